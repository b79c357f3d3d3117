"""Cables with delay, jitter and loss: TAP devices in pairs, joined by one process.

A TAP in one namespace is joined to a TAP in another: what the kernel sends into the one, this
process reads, holds back for the link's delay and writes into the other. So the lab needs no netem
in the kernel. A TAP without offloads takes frames as a wire does: whole checksums, no segment
larger than the MTU.
"""

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

_TUNSETIFF = 0x400454CA  # include/uapi/linux/if_tun.h
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_FRAME_BYTES = 2048
_QUEUE_S = 0.3
"""What a link with a rate holds back at most; what does not fit is lost."""
_READS = 64
"""Frames read from one device before the others get their turn."""


@dataclass(frozen=True)
class Cable:
    """Two interface names and what happens between them.

    Attributes:
        delay_ms, jitter_ms: one way, and the most that is added to it.
        loss: share of frames.
        rate_kbit: thousand bits a second each way; 0: any.
        loss_burst: frames lost in a row, on average; 1: each for itself.
    """

    near: str
    far: str
    delay_ms: float
    jitter_ms: float
    loss: float
    rate_kbit: float = 0.0
    loss_burst: float = 1.0


class Direction:
    """One way of a cable, and what it remembers of the frames before."""

    def __init__(self, cable: Cable, target: int, rng: random.Random) -> None:
        self.target = target
        self._cable = cable
        self._rng = rng
        self._losing = False
        self._free_at = 0.0
        self._last_due = 0.0

    def arrival(self, now: float, size: int) -> float | None:
        """When a frame of `size` bytes arrives that is sent now; ``None``: it is lost.

        Frames keep their order, as on a wire: a frame never overtakes.
        """
        if self._loses():
            return None
        cable = self._cable
        if cable.rate_kbit:
            self._free_at = max(now, self._free_at) + size * 8 / (1000 * cable.rate_kbit)
            if self._free_at - now > _QUEUE_S:
                self._free_at -= size * 8 / (1000 * cable.rate_kbit)
                return None
        delay_s = (cable.delay_ms + self._rng.random() * cable.jitter_ms) / 1000
        sent = max(now, self._free_at) if cable.rate_kbit else now
        self._last_due = max(sent + delay_s, self._last_due)
        return self._last_due

    def _loses(self) -> bool:
        """Gilbert's model of a line that is well or is not (Bell System Technical Journal 1960)."""
        loss, burst = self._cable.loss, self._cable.loss_burst
        if burst <= 1:
            return self._rng.random() < loss
        enters = loss / (burst * (1 - loss))
        self._losing = self._rng.random() < (1 - 1 / burst if self._losing else enters)
        return self._losing


def open_tap(name: str) -> int:
    """Makes a TAP device in the caller's network namespace.

    It may then be moved to another one; it is gone when the descriptor is closed.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


def forward(cables: Sequence[tuple[Cable, int, int]], seed: int) -> None:
    """Carries frames until the process is killed; `cables` come with both ends' descriptors."""
    rng = random.Random(seed)
    ways: dict[int, Direction] = {}
    for cable, near, far in cables:
        ways[near] = Direction(cable, far, rng)
        ways[far] = Direction(cable, near, rng)
    waiting: list[tuple[float, int, int, bytes]] = []
    serial = 0
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        # select, not epoll: its timeout is not rounded up to milliseconds.
        readable, _, _ = select.select(list(ways), [], [], timeout)
        for descriptor in readable:
            way, now = ways[descriptor], time.monotonic()
            for frame in _frames(descriptor):
                due = way.arrival(now, len(frame))
                if due is not None:
                    serial += 1
                    heapq.heappush(waiting, (due, serial, way.target, frame))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, frame = heapq.heappop(waiting)
            _write(target, frame)


def _frames(descriptor: int) -> list[bytes]:
    frames: list[bytes] = []
    with contextlib.suppress(OSError):  # nothing left, or the device is down
        while len(frames) < _READS:
            frames.append(os.read(descriptor, _FRAME_BYTES))
    return frames


def _write(descriptor: int, frame: bytes) -> None:
    with contextlib.suppress(OSError):  # the other end is down or full: lost, as on a wire
        os.write(descriptor, frame)
