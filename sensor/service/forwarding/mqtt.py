"""Alerts as MQTT messages of quality 1: the broker says of each that it has taken it.

The payload is the line of the alert log. Nothing is retained: an alert is an event, not a state.
Needs paho-mqtt 2 (extra ``forward``).
"""

import errno
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sensor.errors import ConfigurationError
from sensor.reporting.alert_log import Alert
from sensor.service.forwarding.destination import TIMEOUT_S, WINDOW

PASSWORD = "MULTA_MQTT_PASSWORD"  # noqa: S105 -- the name of a variable
"""Environment variable that holds the password."""

CREDENTIAL = "mqtt-password"
"""File in systemd's ``$CREDENTIALS_DIRECTORY`` that holds it (``LoadCredential=``)."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_S = 60
_PASSWORD_BYTES = 1 << 12


def password(environment: Mapping[str, str]) -> str | None:
    """The password for the broker, which never stands in a command line or a configuration.

    Raises:
        ConfigurationError: the credential can't be read.
    """
    if given := environment.get(PASSWORD):
        return given
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder is None or not (path := Path(folder, CREDENTIAL)).exists():
        return None
    try:
        with path.open("rb") as file:
            return file.read(_PASSWORD_BYTES).decode().rstrip("\n")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(
            f"{path}: can't be read as a password; it holds one line of text"
        ) from None


class Mqtt:
    """A topic of an MQTT broker."""

    name = "mqtt"

    def __init__(self, url: str, secret: str | None) -> None:
        """Connects to nothing yet.

        Args:
            url: ``mqtt[s]://[user@]host[:port]/topic``.
            secret: the user's password.

        Raises:
            ConfigurationError: paho-mqtt is not installed.
        """
        try:
            from paho.mqtt import client  # noqa: PLC0415 -- an extra
        except ImportError:
            raise ConfigurationError(
                "forward.mqtt: needs paho-mqtt, which is not installed; install the extra with pip "
                "install 'multa[forward]', or leave the key out"
            ) from None
        self._paho: Any = client
        parts = urlsplit(url)
        self.address = url
        self._tls = parts.scheme == "mqtts"
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._user, self._secret = unquote(parts.username or ""), secret
        self._topic = parts.path.removeprefix("/")
        self._client: Any = None
        self._answer: str | None = None
        self._under_way: deque[Any] = deque()
        self._arrived = 0

    def connect(self) -> None:
        """Connects, and waits for what the broker says to it."""
        self.close()
        self._under_way.clear()
        self._arrived, self._answer = 0, None
        paho = self._paho
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"multa-{socket.gethostname()[:40]}-{os.getpid()}",
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(WINDOW)
        client.connect_timeout = TIMEOUT_S
        if self._user:
            client.username_pw_set(self._user, self._secret)
        if self._tls:
            client.tls_set_context(ssl.create_default_context())
        client.on_connect = self._hear
        self._client = client
        try:
            client.connect(self._host, self._port, _KEEPALIVE_S)
            until = time.monotonic() + TIMEOUT_S
            while self._answer is None:
                if time.monotonic() > until:
                    raise TimeoutError(errno.ETIMEDOUT, "the broker does not answer")
                self._loop(0.1)
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error)) from None
        if self._answer:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"the broker says: {self._answer}")

    def send(self, alert: Alert) -> None:
        """Publishes one message."""
        info = self._opened().publish(self._topic, alert.line, qos=1)
        if info.rc != self._paho.MQTT_ERR_SUCCESS:
            raise ConnectionResetError(errno.ECONNRESET, self._words(info.rc))
        self._under_way.append(info)

    def delivered(self, wait_s: float) -> int:
        """What the broker has taken; it is kept talking to meanwhile."""
        until = time.monotonic() + wait_s
        while True:
            self._loop(max(0.0, min(0.05, until - time.monotonic())))
            while self._under_way and self._under_way[0].is_published():
                self._under_way.popleft()
                self._arrived += 1
            if not self._under_way or time.monotonic() >= until:
                return self._arrived

    def close(self) -> None:
        """Takes leave of the broker."""
        if self._client is not None:
            self._client.disconnect()
            self._client = None

    def _opened(self) -> Any:
        if self._client is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._client

    def _loop(self, wait_s: float) -> None:
        if (
            code := self._opened().loop(wait_s)
        ) != self._paho.MQTT_ERR_SUCCESS and not self._answer:
            raise ConnectionResetError(errno.ECONNRESET, self._words(code))

    def _hear(self, _client: Any, _data: Any, _flags: Any, reason: Any, _more: Any) -> None:
        self._answer = str(reason).lower() if reason.is_failure else ""

    def _words(self, code: int) -> str:
        return str(self._paho.error_string(code)).rstrip(".").lower()
