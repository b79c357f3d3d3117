"""Floods of refused connections, each to a victim of its own, for as long as a fault takes."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import frames
import netns

FLOWS = 40
"""Enough for the counting rule to open an incident (30 flows a second), and to update it (10)."""

_ADDRESS = {True: 26, False: 30}
"""Offsets of the client's address in an Ethernet frame, by whether it is the source."""


def address(number: int) -> str:
    """Of a victim, all of which differ."""
    return f"10.{64 + (number >> 16 & 63)}.{number >> 8 & 255}.{number & 255}"


def refused(victim: int, count: int = FLOWS) -> list[bytes]:
    """Connections of as many clients to one victim, which refuses them: so each is decided at once.

    The decoder does not look at checksums.
    """
    client, port = "10.1.0.1", 1024 + victim % 60_000
    there = bytearray(frames.tcp_frame(client, port, address(victim), 80, frames.SYN))
    back = bytearray(frames.tcp_frame(address(victim), 80, client, port, frames.RST | frames.ACK))
    contents = []
    for number in range(count):
        for frame, from_client in ((there, True), (back, False)):
            at = _ADDRESS[from_client]
            frame[at : at + 4] = struct.pack("!I", 0x0A010000 + number)
            contents.append(bytes(frame))
    return contents


class Floods(threading.Thread):
    """Floods one victim after the other from the near end of a cable.

    An interface that is gone or down is waited for.

    Attributes:
        victims: how many have been flooded whole.
    """

    def __init__(self, cable: netns.Link, *, per_second: float, flows: int, first: int) -> None:
        super().__init__(daemon=True)
        self._cable, self._every_s, self._flows = cable, 1 / per_second, flows
        self._first = first
        self.victims = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Until `stop`."""
        with netns.inside(self._cable.near):
            due = time.monotonic()
            sender = None
            while not self._over.is_set():
                ahead = due - time.monotonic()
                if ahead > 0:
                    time.sleep(ahead)
                due += max(self._every_s, -ahead)  # what was missed is not made up for
                try:
                    if sender is None:
                        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                        sender.bind((self._cable.port, 0))
                    for frame in refused(self._first + self.victims, self._flows):
                        sender.send(frame)
                except OSError:
                    if sender:
                        sender.close()
                    sender = None
                    time.sleep(0.02)
                    continue
                self.victims += 1
            if sender:
                sender.close()

    def stop(self) -> None:
        """Ends the thread after the flood that it is at."""
        self._over.set()
        self.join()


@contextlib.contextmanager
def floods(
    cable: netns.Link, *, per_second: float, flows: int = FLOWS, first: int = 0
) -> Iterator[Floods]:
    """Floods so many victims a second within the block."""
    sender = Floods(cable, per_second=per_second, flows=flows, first=first)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()


def flood(cable: netns.Link, victim: int, flows: int = FLOWS) -> None:
    """Floods one victim now."""
    netns.play(cable.near, cable.port, refused(victim, flows))
