"""Which measurements of a series become steps of its windows (`docs/semantics.md` 39).

Of a span of the clock there is one: the first, or of TCP timestamps the least. What echoes a
timestamp may have waited for as long as the other end likes to wait before it acknowledges
(RFC 1122, 4.2.3.2: up to 500 ms), and hardly ever has all that came back within a second done so.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.latency.measurements import MEASUREMENT, TIMESTAMP_KIND
from sensor.latency.peers import Placed, SeriesTable

SPAN_NS = 100_000_000
"""A series has one step of each such span of the clock, counted from 1970."""
STAMPED_NS = 1_000_000_000
"""The same of kind ``timestamp``."""
STEPS = 1_000
"""Steps of all series that are decided in a second of the clock."""

_SECOND_NS = 1_000_000_000
_NEVER = -1

Index = NDArray[np.int64]
Slots = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Decided:
    """Steps, in the order in which they were decided.

    Attributes:
        found: ``(steps,)`` their measurements, as `MEASUREMENT`.
        slot, ordinal: of their series.
        at_ns: flow clock at which they were decided.
    """

    found: NDArray[np.void]
    slot: Slots
    ordinal: Index
    at_ns: Index


class Steps:
    """Chooses them.

    Attributes:
        skipped: measurements so far that are no step.
    """

    def __init__(self) -> None:
        self.skipped = 0
        size = SeriesTable.size
        self._span = np.full(size, _NEVER, np.int64)
        self._least = np.zeros(size, MEASUREMENT)  # of the span that is not over yet
        self._waiting = np.zeros(size, np.int64)  # measurements of that span
        self._second, self._steps = _NEVER, 0

    def begin(self, slots: Slots) -> None:
        """Forgets what these slots have; what waits in them is no step."""
        self.skipped += int(self._waiting[slots].sum())
        self._waiting[slots] = 0
        self._span[slots] = _NEVER

    def restart(self) -> None:
        """Begins another stream: nothing that waits is a step."""
        self.begin(np.arange(SeriesTable.size, dtype=np.int32))
        self._second, self._steps = _NEVER, 0

    def take(self, found: NDArray[np.void], placed: Placed) -> Decided:
        """Takes a piece of measurements, in order; the steps that they decide.

        Args:
            found: measurements.
            placed: their series.
        """
        self.begin(placed.begun)
        found, slot = found[placed.chosen], placed.slot
        stamped = found["kind"] == TIMESTAMP_KIND
        span = found["decided_ns"] // np.where(stamped, STAMPED_NS, SPAN_NS)
        order = np.argsort(slot, kind="stable")
        of, spans = slot[order], span[order]
        heads = np.flatnonzero(np.diff(of, prepend=-1) | np.diff(spans, prepend=_NEVER))
        sizes = np.diff(heads, append=of.size)
        first = order[heads]
        goes_on = spans[heads] == self._span[of[heads]]
        least = stamped[first]
        early = np.flatnonzero(~least & ~goes_on)
        self.skipped += int(sizes[~least].sum()) - early.size
        late = np.flatnonzero(least)
        place, released = self._released(
            found, slot, order, heads[late], sizes[late], goes_on[late]
        )
        last = heads[np.diff(of[heads], append=-1) != 0]
        self._span[of[last]] = spans[last]

        place = np.concatenate((first[early], place))
        steps = np.concatenate((found[first[early]], released))
        ranked = np.argsort(place)
        place, steps = place[ranked], steps[ranked]
        within = self._within(found["decided_ns"][place])
        place = place[within]
        at_ns = found["decided_ns"][place]
        return Decided(steps[within], slot[place], placed.ordinal[place], at_ns)

    def _released(
        self,
        found: NDArray[np.void],
        slot: Slots,
        order: Index,
        heads: Index,
        sizes: Index,
        goes_on: NDArray[np.bool_],
    ) -> tuple[Index, NDArray[np.void]]:
        """The least measurements of timestamps' spans that are over.

        Args:
            found: measurements.
            slot: their series.
            order: of them, by series.
            heads: places in the order of the first one of each span; spans of a series follow
                each other.
            sizes: measurements of each span.
            goes_on: whether it is the span in which its series has waited.

        Returns:
            Places of the measurements with which they were decided, and them.
        """
        starts = np.cumsum(sizes) - sizes
        member = order[np.repeat(heads - starts, sizes) + np.arange(sizes.sum())]
        of_span = np.repeat(np.arange(heads.size), sizes)
        ranked = np.lexsort((found["rtt_ns"][member], of_span))
        least = found[member[ranked[starts]]]
        first = order[heads]
        slots = slot[first]
        on = np.flatnonzero(goes_on)
        before = self._least[slots[on]]
        stays = before["rtt_ns"] <= least["rtt_ns"][on]
        least[on[stays]] = before[stays]
        sizes = sizes + np.where(goes_on, self._waiting[slots], 0)

        # a span is over with the first measurement of the next one
        begins = np.diff(slots, prepend=-1) != 0
        waited = begins & ~goes_on & (self._waiting[slots] > 0)
        over = np.flatnonzero(~begins | waited)
        released, counts = least[over - 1], sizes[over - 1]
        from_before = waited[over]
        released[from_before] = self._least[slots[over[from_before]]]
        counts[from_before] = self._waiting[slots[over[from_before]]]
        self.skipped += int(counts.sum()) - over.size
        ends = np.flatnonzero(np.diff(slots, append=-1) != 0)
        self._least[slots[ends]] = least[ends]
        self._waiting[slots[ends]] = sizes[ends]
        return first[over], released

    def _within(self, at_ns: Index) -> Index:
        """Places of the first `STEPS` steps of each second."""
        second = at_ns // _SECOND_NS
        rank = np.arange(second.size) - np.searchsorted(second, second)
        if second.size:
            rank[second == self._second] += self._steps
            self._second, self._steps = int(second[-1]), int(rank[-1]) + 1
        within = np.flatnonzero(rank < STEPS)
        self.skipped += rank.size - within.size
        return within
