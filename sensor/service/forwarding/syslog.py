"""Alerts as syslog messages: RFC 5424 over UDP or TCP, or to the machine's own daemon.

- UDP (RFC 5426): a datagram for each alert. Nobody says that it has arrived.
- TCP (RFC 6587, octet counting). The protocol has no answers, so an alert counts as arrived when
  the other machine's kernel has acknowledged its bytes: one that is lost with the connection is
  sent again.
- A Unix socket such as /dev/log: datagrams in the form of syslog(3), which local daemons expect.

The message is the line of the alert log.
"""

import errno
import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

from sensor.reporting.alert_log import Alert
from sensor.service.forwarding.destination import TIMEOUT_S, UnsendableError

FACILITY = 21
"""local5 (RFC 5424, 6.2.1)."""

SEVERITIES = {1: 2, 2: 4, 3: 5}
"""EVE's severities as those of RFC 5424: critical, warning, notice."""

INFORMATIONAL = 6

APPLICATION = "multa-sensor"

_PORTS = {"udp": 514, "tcp": 601}  # RFC 5426, 3.3; RFC 3195 registered 601/tcp for syslog
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def priority(alert: Alert) -> int:
    """PRI of RFC 5424, 6.2.1."""
    return FACILITY * 8 + SEVERITIES.get(alert.severity, INFORMATIONAL)


def message(alert: Alert) -> bytes:
    """An alert in the form of RFC 5424; its time is that of the packets."""
    host = str(alert.document.get("host") or socket.gethostname())
    # HOSTNAME is of 1 to 255 printable ASCII characters without spaces.
    host = "".join(each for each in host if "!" <= each <= "~")[:255] or "-"
    time_text = alert.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = f"<{priority(alert)}>1 {time_text} {host} {APPLICATION} - alert - "
    return head.encode("ascii") + alert.line


def local_message(alert: Alert) -> bytes:
    """An alert in the form of syslog(3), which has no host and the machine's time."""
    local = alert.time.astimezone()
    month = _MONTHS[local.month - 1]
    head = f"<{priority(alert)}>{month} {local.day:2} {local:%H:%M:%S} {APPLICATION}: "
    return head.encode("ascii") + alert.line


class Syslog:
    """A syslog server."""

    name = "syslog"

    def __init__(self, url: str) -> None:
        """Takes where it is: ``udp://host[:514]``, ``tcp://host[:601]`` or ``unix:PATH``."""
        self.address = url
        parts = urlsplit(url)
        self._scheme, self._path = parts.scheme, parts.path
        self._host, self._port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        self._socket: socket.socket | None = None
        self._to: tuple[Any, ...] = ()
        self._sent = self._bytes = 0
        self._ends: deque[int] = deque()

    def connect(self) -> None:
        """Opens the socket; of UDP this says nothing about the other end."""
        self.close()
        self._sent = self._bytes = 0
        self._ends.clear()
        if self._scheme == "unix":
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(self._path)
        elif self._scheme == "tcp":
            self._socket = socket.create_connection((self._host, self._port), TIMEOUT_S)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        else:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            family, kind, number, _, address = found[0]
            # Not connected, or an ICMP message about one datagram would take the next one along.
            self._socket = socket.socket(family, kind, number)
            self._socket.settimeout(TIMEOUT_S)
            self._to = address

    def send(self, alert: Alert) -> None:
        """Sends one message."""
        content = local_message(alert) if self._scheme == "unix" else message(alert)
        opened = self._opened()
        if self._scheme == "tcp":
            framed = b"%d " % len(content) + content
            self._refuse_a_closed_end(opened)
            opened.sendall(framed)
            self._bytes += len(framed)
            self._ends.append(self._bytes)
            return
        try:
            if self._scheme == "unix":
                opened.send(content)
            else:
                opened.sendto(content, self._to)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                raise UnsendableError(f"{len(content)} bytes are more than a datagram") from None
            raise
        self._sent += 1

    def delivered(self, wait_s: float) -> int:
        """What the other end's kernel has; of datagrams, what was sent."""
        if self._scheme != "tcp":
            return self._sent
        opened, until = self._opened(), time.monotonic() + wait_s
        while self._ends:
            # tcp(7): SIOCOUTQ, which is TIOCOUTQ, tells the bytes that are not acknowledged.
            (unknown,) = struct.unpack("i", fcntl.ioctl(opened, termios.TIOCOUTQ, bytes(4)))
            while self._ends and self._ends[0] <= self._bytes - unknown:
                self._ends.popleft()
                self._sent += 1
            if not self._ends or time.monotonic() >= until:
                break
            self._refuse_a_closed_end(opened)
            time.sleep(0.005)
        self._refuse_a_closed_end(opened)
        return self._sent

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _opened(self) -> socket.socket:
        if self._socket is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self._socket

    def _refuse_a_closed_end(self, opened: socket.socket) -> None:
        """Notices that the other end has closed, before anything is sent into the void."""
        told = select.poll()
        told.register(opened, select.POLLIN | select.POLLRDHUP)
        if told.poll(0) and not opened.recv(4096):
            raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection")
