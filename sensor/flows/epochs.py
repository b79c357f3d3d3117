"""Where the clock that stamped the packets was set back, and the stream begins anew.

`docs/semantics.md` 2, clock step. Of all packets of a stream only their times matter here.
"""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from sensor.packets.headers import Headers

STEP_PACKETS = 64
"""Packets in a row that must lie behind the clock: fewer may be corrupt times, or disorder."""
STEP_NS = 10_000_000_000

Index = NDArray[np.int64]


class Epochs:
    """Cuts a stream of blocks where its clock was set back."""

    def __init__(self) -> None:
        self._clock_ns = 0
        self._behind = 0

    def cut(self, headers: Headers, clock_ns: int = 0) -> list[tuple[bool, Headers, int]]:
        """The parts of a block, at least one.

        Args:
            headers: the block.
            clock_ns: lower bound of the clock after it (`PacketBlock.clock_ns`).

        Returns:
            Of each part whether a stream begins with it, its packets, and the lower bound of the
            clock after it.
        """
        steps = self._steps(headers.timestamp_ns)
        self._clock_ns = max(self._clock_ns, clock_ns)
        if not steps:
            return [(False, headers, clock_ns)]
        starts, stops = [0, *steps], [*steps, len(headers)]
        parts = [
            (start in steps, part_of(headers, slice(start, stop)), 0)
            for start, stop in zip(starts, stops, strict=True)
            if start < stop  # a step with the first packet leaves nothing before it
        ]
        begins, packets, _ = parts.pop()
        return [*parts, (begins, packets, clock_ns)]

    def _steps(self, time: Index) -> list[int]:
        """Packets with which a stream begins."""
        if not time.size:
            return []
        latest = max(self._clock_ns, int(time.max()))
        if int(time.min()) >= latest - STEP_NS:
            self._clock_ns, self._behind = latest, 0
            return []
        clock = np.maximum.accumulate(np.maximum(time, self._clock_ns))
        timely = np.flatnonzero(time >= clock - STEP_NS)
        stops = np.concatenate(([-1 - self._behind], timely, [time.size]))
        if int(np.diff(stops).max()) <= STEP_PACKETS:
            self._clock_ns, self._behind = latest, time.size - 1 - int(stops[-2])
            return []
        return self._walk(time)

    def _walk(self, time: Index) -> list[int]:
        """The same packet by packet: what a step leaves behind depends on the steps before it."""
        steps = []
        clock, behind = self._clock_ns, self._behind
        for packet, at in enumerate(time.tolist()):
            if at >= clock - STEP_NS:
                behind = 0
                clock = max(clock, at)
                continue
            behind += 1
            if behind == STEP_PACKETS:
                steps.append(packet)
                clock, behind = at, 0
        self._clock_ns, self._behind = clock, behind
        return steps


def part_of(headers: Headers, part: slice) -> Headers:
    """The given packets of a block, as views."""
    return Headers(*(getattr(headers, column.name)[part] for column in fields(headers)))
