"""Windows: with each measurement of a series the last ones of it, as a row for a network.

Rows are bounded: a series has one in each tenth of a second at most, and all of them together have
`ROWS` in each second; a measurement without a row is in no window.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.latency.measurements import ENDS
from sensor.latency.peers import Placed, SeriesTable

SERIES_NS = 100_000_000
"""A series has one measurement in its windows of each such span of the clock, counted from 1970."""
ROWS = 1_000
"""Rows in each second of the clock."""

_SECOND_NS = 1_000_000_000
_US, _MS = 1_000, 1_000_000
_LONGEST_US, _LONGEST_MS = 60_000_000, 3_600_000
"""The clips of the fields."""
_NEVER = -1

STEP = np.dtype([("rtt", np.uint32), ("rtt_gap", np.uint32), ("answered", np.uint8)])
"""What a window has of a measurement."""

Index = NDArray[np.int64]
Slots = NDArray[np.int32]


class Windows:
    """The last n measurements of each series.

    Attributes:
        skipped: measurements so far that were left out, as there were too many.
    """

    def __init__(self, n: int, columns: Collection[str]) -> None:
        """Starts without any.

        Args:
            n: most measurements of a window.
            columns: which of `sensor.flows.sequences.MEASURED_TYPES` rows have.
        """
        self.skipped = 0
        self._n, self._columns = n, tuple(columns)
        size = SeriesTable.size
        self._step = np.zeros((size, n), STEP)
        self._count = np.zeros(size, np.int64)
        self._last_ns = np.zeros(size, np.int64)
        self._start_ns = np.zeros(size, np.int64)
        self._span = np.full(size, _NEVER, np.int64)
        self._second, self._rows = _NEVER, 0

    def restart(self) -> None:
        """Begins another stream."""
        self._second, self._rows = _NEVER, 0

    def rows(self, found: NDArray[np.void], placed: Placed) -> SequenceBatch:
        """Takes a piece of measurements; the rows that end with them, in order.

        Args:
            found: measurements, in order.
            placed: their series.
        """
        self._count[placed.begun] = 0
        self._span[placed.begun] = _NEVER
        wanted = self._wanted(found["decided_ns"][placed.chosen], placed.slot)
        self.skipped += placed.slot.size - wanted.size
        found, slot = found[placed.chosen[wanted]], placed.slot[wanted]
        order = np.argsort(slot, kind="stable")
        of, decided = slot[order], found["decided_ns"][order]
        heads = np.flatnonzero(np.diff(of, prepend=-1))
        sizes = np.diff(heads, append=of.size)
        slots = of[heads]
        rank = np.arange(of.size) - np.repeat(heads, sizes)
        number = np.repeat(self._count[slots], sizes) + rank

        begins = number[heads] == 0
        self._start_ns[slots[begins]] = found["sent_ns"][order[heads[begins]]]
        before = np.empty_like(decided)
        before[1:] = decided[:-1]
        before[heads] = np.where(begins, decided[heads], self._last_ns[slots])
        steps = np.zeros(of.size, STEP)
        steps["rtt"] = np.minimum(found["rtt_ns"][order] // _US, _LONGEST_US)
        steps["rtt_gap"] = np.minimum((decided - before) // _MS, _LONGEST_MS)
        steps["answered"] = found["answered"][order]
        self._last_ns[of] = decided  # of several of a series the last one stays
        windows, length = self._windows(steps, slots, heads, sizes, number)
        self._count[slots] += sizes

        place = np.empty(order.size, np.int64)  # of each measurement among those of its series
        place[order] = np.arange(order.size)
        batch = SequenceBatch.zeros(self._n, order.size, self._columns)
        for name in self._columns:
            getattr(batch, name)[:] = windows[name][place]
        for name in ENDS:
            getattr(batch, name)[:] = found[name]
        batch.kind[:] = found["kind"]
        batch.length[:] = length[place]
        batch.flow_ordinal[:] = placed.ordinal[wanted]
        batch.row[:] = batch.sequence_index[:] = number[place]
        batch.flow_packets[:] = number[place] + 1
        batch.end_reason[:] = END_REASONS.index("full")
        batch.decided_ns[:] = found["decided_ns"]
        batch.flow_start_ns[:] = self._start_ns[slot]
        batch.first_packet_ns[:] = found["sent_ns"]
        batch.last_packet_ns[:] = found["sent_ns"] + found["rtt_ns"]
        return batch

    def _wanted(self, decided: Index, slot: Slots) -> Index:
        """Which measurements become rows."""
        order = np.argsort(slot, kind="stable")
        of, span = slot[order], decided[order] // SERIES_NS
        before = np.empty_like(span)
        before[1:] = span[:-1]
        heads = np.flatnonzero(np.diff(of, prepend=-1))
        before[heads] = self._span[of[heads]]
        self._span[of] = span
        wanted = np.sort(order[span != before])

        second = decided[wanted] // _SECOND_NS
        first = np.searchsorted(second, second)
        rank = np.arange(wanted.size) - first
        if wanted.size:
            rank[second == self._second] += self._rows
            self._second, self._rows = int(second[-1]), int(rank[-1]) + 1
        within: Index = wanted[rank < ROWS]
        return within

    def _windows(
        self, steps: NDArray[np.void], slots: Slots, heads: Index, sizes: Index, number: Index
    ) -> tuple[NDArray[np.void], Index]:
        """The window of each measurement, front-aligned ``(rows, n)``, and lengths."""
        n = self._n
        # each series as it was, oldest first, with what is new behind it
        held = np.minimum(self._count[slots], n)
        total = held + sizes
        start = np.cumsum(total) - total
        line = np.zeros(int(total.sum()), STEP)
        old = np.repeat(np.arange(slots.size), held)
        place = np.arange(old.size) - np.repeat(np.cumsum(held) - held, held)
        source = (self._count[slots] - held)[old] + place
        line[start[old] + place] = self._step[slots[old], source % n]
        mine = np.repeat(start + held, sizes) + np.arange(number.size) - np.repeat(heads, sizes)
        line[mine] = steps
        of = np.repeat(slots, sizes)
        late = np.flatnonzero(number >= np.repeat(self._count[slots] + sizes, sizes) - n)
        self._step[of[late], number[late] % n] = steps[late]

        length = np.minimum(number + 1, n)
        row, step = np.nonzero(np.arange(n) < length[:, None])
        windows = np.zeros((number.size, n), STEP)
        windows[row, step] = line[(mine + 1 - length)[row] + step]
        return windows, length
