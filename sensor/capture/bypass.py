"""Whether an interface handles packets that a capture can't see.

A network card or a switch chip that forwards known flows by itself (hardware flow offload), and
an XDP program, take packets away before the kernel shows them to anybody. Of a connection then
only the first packets are seen, and those of its end. Drivers count such packets all the same, so
they show as a difference between what the interface has counted and what the ring has. (Where a
driver leaves them out too, or packets don't touch this interface at all, nothing can tell.)

What merges segments (GRO, LRO, TSO) makes the ring count fewer frames as well, but hardly fewer
bytes: as many headers fewer as frames. So where merged frames were seen, only bytes beyond that
count.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sensor.capture.block import CaptureCounters
from sensor.capture.tap import DEVICE_COUNTERS

PERIOD_S = 60
"""How long what is compared goes on."""

LEAST = 1_000
"""Frames that must be missing: more than may be on their way between two counters."""

SHARE = 5
"""A fifth of the frames must be missing, too: some drivers count pause frames and the like."""

_HEADERS = 14 + 40 + 32 + 14
"""What every merged segment loses: Ethernet, IPv6, and TCP with time stamps; and what drivers count
beside, as check sums and padding."""


@dataclass(frozen=True, slots=True)
class _Counted:
    """Frames and their bytes, of the interfaces and of the ring; what the ring knows beside."""

    at: float
    device: tuple[int, int]
    ring: tuple[int, int]
    dropped: int
    merged: int


class Bypass:
    """Compares counters, and adds what is missing to ``counters.bypassed``.

    Loopbacks are left out: they count everything twice.
    """

    def __init__(
        self,
        names: Sequence[str],
        counters: CaptureCounters,
        period_s: float = PERIOD_S,
        path: str = DEVICE_COUNTERS,
    ) -> None:
        """Begins to compare; where the kernel does not tell its counters, there is nothing to it.

        Args:
            names: of the interfaces.
            counters: the ring's.
            period_s: from one comparison to the next, at least.
            path: of the interfaces' counters; by default in the network of this thread.
        """
        self._names, self._counters, self._period_s = names, counters, period_s
        self._file: IO[str] | None = None
        with contextlib.suppress(OSError):
            self._file = Path(path).open()  # noqa: SIM115 -- see `close`
        self._before = self._count()

    def close(self) -> None:
        """Closes what it reads from."""
        if self._file:
            self._file.close()

    def look(self) -> None:
        """Compares if it is time; call it when the ring is empty."""
        if self._before is not None and time.monotonic() - self._before.at < self._period_s:
            return
        now = self._count()
        if self._before is not None and now is not None:
            self._counters.bypassed += _missing(self._before, now)
        self._before = now

    def _count(self) -> _Counted | None:
        if self._file is None:
            return None
        self._file.seek(0)
        packets = octets = seen = 0
        for line in self._file:
            name, _, columns = line.partition(":")
            if name.strip() in self._names:
                numbers = [int(number) for number in columns.split()]
                octets += numbers[0] + numbers[8]
                packets += numbers[1] + numbers[9]
                seen += 1
        if seen < len(self._names) or "lo" in self._names:
            return None
        own = self._counters
        return _Counted(
            time.monotonic(),
            (packets, octets),
            (own.packets + own.kernel_drops + own.cut, own.bytes),
            own.kernel_drops + own.cut,
            own.offload_frames,
        )


def _missing(before: _Counted, now: _Counted) -> int:
    """Frames that the interfaces counted in between and the ring did not, if they are many."""
    handled = now.device[0] - before.device[0]
    missing = handled - (now.ring[0] - before.ring[0])
    # An interface that was made again counts from 0.
    if handled < 0 or missing < max(LEAST, handled // SHARE):
        return 0
    if now.merged > before.merged:
        octets = now.device[1] - before.device[1] - (now.ring[1] - before.ring[1])
        # How long dropped frames were is not known.
        if now.dropped > before.dropped or octets - _HEADERS * missing < LEAST * _HEADERS:
            return 0
    return missing
