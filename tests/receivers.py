"""Receivers of syslog messages, and an MQTT broker, on this machine."""

import contextlib
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from running import until

LOCALHOST = "127.0.0.1"


class Datagrams:
    """A socket that keeps what comes."""

    def __init__(self, path: Path | None = None) -> None:
        family = socket.AF_UNIX if path else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.bind(str(path) if path else (LOCALHOST, 0))
        self._socket.settimeout(60)
        self.url = f"unix:{path}" if path else f"udp://{LOCALHOST}:{self._socket.getsockname()[1]}"

    def take(self, count: int) -> list[bytes]:
        return [self._socket.recv(1 << 16) for _ in range(count)]

    def close(self) -> None:
        self._socket.close()


class Frames:
    """A TCP server that cuts what comes by octet counting (RFC 6587, 3.4.1)."""

    def __init__(self, port: int = 0) -> None:
        self._server = socket.create_server((LOCALHOST, port))
        self.port = self._server.getsockname()[1]
        self.url = f"tcp://{LOCALHOST}:{self.port}"
        self.messages: list[bytes] = []
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def wait(self, count: int) -> list[bytes]:
        until(lambda: len(self.messages) >= count, f"{count} messages, not {len(self.messages)}")
        return self.messages

    def close(self) -> None:
        """Ends the server and all connections, as if the machine were switched off."""
        for each in [self._server, *self._connections]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._connections.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while chunk := connection.recv(1 << 16):
                rest += chunk
                while (head := re.match(rb"([0-9]+) ", rest)) and len(rest) >= head.end() + int(
                    head[1]
                ):
                    end = head.end() + int(head[1])
                    self.messages.append(rest[head.end() : end])
                    rest = rest[end:]


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.create_server((LOCALHOST, 0)) as server:
        return int(server.getsockname()[1])


class Broker:
    """Debian's mosquitto with a configuration of its own; for `contextlib.closing`."""

    def __init__(self, folder: Path, port: int, lines: list[str]) -> None:
        self.port = port
        self._configuration = folder / "mosquitto.conf"
        text = [f"listener {port} {LOCALHOST}", "user root", *lines]
        self._configuration.write_text("\n".join(text) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            ["mosquitto", "-c", str(self._configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._answers, "mosquitto to listen")

    def close(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, self.port), 1):
            return True
        return False


@contextlib.contextmanager
def subscribed(broker: Broker, topic: str) -> Iterator[list[bytes]]:
    """Messages of a topic as they come."""
    from paho.mqtt import client

    messages: list[bytes] = []
    granted = threading.Event()
    subscriber = client.Client(client.CallbackAPIVersion.VERSION2)
    subscriber.on_message = lambda _client, _data, message: messages.append(message.payload)
    subscriber.on_subscribe = lambda *_: granted.set()
    subscriber.connect(LOCALHOST, broker.port)
    subscriber.subscribe(topic, qos=1)
    subscriber.loop_start()
    try:
        assert granted.wait(60)
        yield messages
    finally:
        subscriber.disconnect()
        subscriber.loop_stop()
