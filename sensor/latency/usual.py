"""What is usual in a series: a median that reaches back further than a window does.

Of the answered measurements every eighth is kept, and the last 64 of these are remembered: some
500 measurements of which a swell is hardly ever the half.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.latency.rings import Index, Rings, Slots

EVERY = 8
"""Of so many answered measurements the first is kept."""
KEPT = 64
"""Of those that are kept the last so many have a say."""


class Usual:
    """The usual round-trip time of each series."""

    def __init__(self, size: int) -> None:
        """Starts without any, with so many slots."""
        self._kept = Rings(size, KEPT, np.dtype(np.uint32))
        self._answers = np.zeros(size, np.int64)
        self._usual = np.zeros(size, np.uint32)

    def begin(self, slots: Slots) -> None:
        """Forgets what these slots have."""
        self._kept.begin(slots)
        self._answers[slots] = self._usual[slots] = 0

    def push(
        self, rtt: NDArray[np.uint32], answered: NDArray[np.bool_], slots: Slots, sizes: Index
    ) -> NDArray[np.uint32]:
        """Takes new measurements of several slots; what was usual before each of them.

        Args:
            rtt: of measurements; those of a slot are neighbours, the oldest first.
            answered: of the same.
            slots: each once.
            sizes: how many of the measurements are whose.

        Returns:
            The lower median of what was kept, in the unit of `rtt`, 0 where nothing was.
        """
        series = np.repeat(np.arange(slots.size), sizes)
        heads = np.cumsum(sizes) - sizes
        before: Index = np.cumsum(answered) - answered
        before += (self._answers[slots] - before[heads])[series]
        kept = np.flatnonzero(answered & (before % EVERY == 0))
        counts = np.bincount(series[kept], minlength=slots.size)
        some = np.flatnonzero(counts)
        windows, length = self._kept.push(rtt[kept], slots[some], counts[some])

        usual = self._usual[slots][series]
        if kept.size:
            medians = lower_medians(windows, np.arange(KEPT) < length[:, None])
            # of each measurement the one before it that was kept last, if it is of its series
            latest = np.searchsorted(kept, np.arange(rtt.size)) - 1
            here = (latest >= 0) & (kept[latest] >= heads[series])
            usual[here] = medians[latest[here]]
            self._usual[slots[some]] = medians[np.cumsum(counts[some]) - 1]
        self._answers[slots] += np.bincount(series[answered], minlength=slots.size)
        return usual


def lower_medians(values: NDArray[np.uint32], there: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """``(m,)`` lower medians of those values ``(m, k)`` of a row that are there, 0 without any."""
    count = there.sum(axis=1)
    ranked = np.sort(np.where(there, values, np.uint32(np.iinfo(np.uint32).max)), axis=1)
    middle = ranked[np.arange(count.size), np.maximum(count - 1, 0) // 2]
    medians: NDArray[np.uint32] = np.where(count, middle, np.uint32(0))
    return medians
