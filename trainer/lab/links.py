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
_READS = 64
"""Frames read from one device before the others get their turn."""


@dataclass(frozen=True)
class Cable:
    """Two interface names and what happens between them."""

    near: str
    far: str
    delay_ms: float
    jitter_ms: float
    loss: float


def open_tap(name: str) -> int:
    """Makes a TAP device in the caller's network namespace.

    It may then be moved to another one; it is gone when the descriptor is closed.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    request = struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


def forward(cables: Sequence[tuple[Cable, int, int]], seed: int) -> None:
    """Carries frames until the process is killed; `cables` come with both ends' descriptors.

    Frames of one direction keep their order, as on a wire: a frame never overtakes.
    """
    rng = random.Random(seed)
    ends: dict[int, tuple[int, Cable]] = {}
    for cable, near, far in cables:
        ends[near] = (far, cable)
        ends[far] = (near, cable)
    last_due = dict.fromkeys(ends, 0.0)
    waiting: list[tuple[float, int, int, bytes]] = []
    serial = 0
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        # select, not epoll: its timeout is not rounded up to milliseconds.
        readable, _, _ = select.select(list(ends), [], [], timeout)
        for descriptor in readable:
            target, cable = ends[descriptor]
            now = time.monotonic()
            for frame in _frames(descriptor):
                if rng.random() < cable.loss:
                    continue
                delay_s = (cable.delay_ms + rng.random() * cable.jitter_ms) / 1000
                due = max(now + delay_s, last_due[descriptor])
                last_due[descriptor] = due
                serial += 1
                heapq.heappush(waiting, (due, serial, target, frame))
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
