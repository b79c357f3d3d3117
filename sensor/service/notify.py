"""Messages to the service manager that started us (sd_notify(3)), without libsystemd."""

import os
import socket
import time
from collections.abc import Mapping

PATIENCE_S = 1.0
"""How long a message waits for a manager that does not read: frames wait meanwhile, and the ring
holds those of two seconds. A busy one should not miss the end of a reload; one that has kept us
waiting once is not waited for again until it reads."""


class ServiceManager:
    """Says ready, alive and stopping to systemd; without one, nothing is sent."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Reads NOTIFY_SOCKET and, if it is meant for this process, WATCHDOG_USEC."""
        given = os.environ if environment is None else environment
        self._address = given.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # Linux's abstract namespace
            self._address = "\0" + self._address[1:]
        watchdog_us = given.get("WATCHDOG_USEC", "0")
        meant = given.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        # Half the time, as sd_watchdog_enabled(3) recommends.
        self._every_s = int(watchdog_us) / 2e6 if meant and watchdog_us.isdecimal() else 0.0
        self._pinged = 0.0
        self._stands_still = False

    def ready(self) -> None:
        """The capture is bound and every model has answered."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` says that it is over."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1_000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Pings the watchdog if it is time to; called from the capture loop and nowhere else."""
        now = time.monotonic()
        if self._every_s and now - self._pinged >= self._every_s:
            self._pinged = now
            self._send("WATCHDOG=1", waits=False)  # another one follows

    def _send(self, message: str, *, waits: bool = True) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(PATIENCE_S if waits and not self._stands_still else 0.0)
                sender.connect(self._address)
                sender.send(message.encode())
            self._stands_still = False
        except TimeoutError:
            self._stands_still = True
        except OSError:
            # A manager that does not listen is no reason to stop watching the network.
            return
