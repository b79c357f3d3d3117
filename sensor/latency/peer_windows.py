"""Windows: with each step of a series the last ones of it, as a row for a network."""

from collections.abc import Collection

import numpy as np

from sensor.flows.sequences import (
    END_REASONS,
    LONGEST_MS,
    LONGEST_US,
    MEASURED_TYPES,
    SequenceBatch,
)
from sensor.latency.measurements import ENDS
from sensor.latency.peers import SeriesTable
from sensor.latency.rings import Index, Rings, Slots
from sensor.latency.steps import Decided
from sensor.latency.usual import Usual

_US, _MS = 1_000, 1_000_000

STEP = np.dtype([*MEASURED_TYPES.items()])
"""What a window has of a measurement."""


class Windows:
    """The last n steps of each series."""

    def __init__(self, n: int, columns: Collection[str]) -> None:
        """Starts without any.

        Args:
            n: most steps of a window.
            columns: which of `sensor.flows.sequences.MEASURED_TYPES` rows have.
        """
        self._n, self._columns = n, tuple(columns)
        size = SeriesTable.size
        self._steps = Rings(size, n, STEP)
        self._usual = Usual(size)
        self._last_ns = np.zeros(size, np.int64)
        self._start_ns = np.zeros(size, np.int64)

    def begin(self, slots: Slots) -> None:
        """Forgets what these slots have."""
        self._steps.begin(slots)
        self._usual.begin(slots)

    def rows(self, decided: Decided) -> SequenceBatch:
        """Takes steps; the rows that end with them, in order."""
        found, slot = decided.found, decided.slot
        order = np.argsort(slot, kind="stable")
        of, known = slot[order], found["decided_ns"][order]
        heads = np.flatnonzero(np.diff(of, prepend=-1))
        sizes: Index = np.diff(heads, append=of.size)
        slots = of[heads]
        counts = self._steps.count[slots]
        number = np.empty(of.size, np.int64)
        number[order] = np.arange(of.size) + np.repeat(counts - heads, sizes)

        begins = counts == 0
        self._start_ns[slots[begins]] = found["sent_ns"][order[heads[begins]]]
        before = np.empty_like(known)
        before[1:] = known[:-1]
        before[heads] = np.where(begins, known[heads], self._last_ns[slots])
        self._last_ns[of] = known  # of several of a series the last one stays
        steps = np.zeros(of.size, STEP)
        steps["rtt"] = np.minimum(found["rtt_ns"][order] // _US, LONGEST_US)
        steps["rtt_gap"] = np.minimum((known - before) // _MS, LONGEST_MS)
        steps["answered"] = answered = found["answered"][order]
        steps["rtt_usual"] = self._usual.push(steps["rtt"], answered, slots, sizes)
        windows, length = self._steps.push(steps, slots, sizes)

        place = np.empty(of.size, np.int64)  # of each step among those of its series
        place[order] = np.arange(of.size)
        batch = SequenceBatch.zeros(self._n, of.size, self._columns)
        for name in self._columns:
            getattr(batch, name)[:] = windows[name][place]
        for name in ENDS:
            getattr(batch, name)[:] = found[name]
        batch.kind[:] = found["kind"]
        batch.length[:] = length[place]
        batch.flow_ordinal[:] = decided.ordinal
        batch.row[:] = batch.sequence_index[:] = number
        batch.flow_packets[:] = number + 1
        batch.end_reason[:] = END_REASONS.index("full")
        batch.decided_ns[:] = decided.at_ns
        batch.flow_start_ns[:] = self._start_ns[slot]
        batch.first_packet_ns[:] = found["sent_ns"]
        batch.last_packet_ns[:] = found["sent_ns"] + found["rtt_ns"]
        return batch
