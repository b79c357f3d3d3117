"""How many rows a detector gave which scores: what drift is measured by.

Scores are counted in the 20 bins of a manifest's histograms (`docs/bundle.md`), in all and by hour
of packet time, of which the last whole one and the running one are kept. So memory does not depend
on what comes, and a replay counts as a live run does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 20
"""Of equal width from 0 to 1. The last one holds 1 as well."""

HOUR_NS = 3_600 * 10**9

_UNCOUNTED = BINS
"""Place behind the bins for rows that do not count for a task."""

Counts = NDArray[np.int64]
"""``(tasks, BINS + 1)``: rows by bin, and last those that do not count for the task."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Rows that were decided within an hour of packet time.

    Attributes:
        start_ns: begin of the hour since 1970, which is a multiple of `HOUR_NS`.
        counts: see `Counts`; those of the running hour still grow.
    """

    start_ns: int
    counts: Counts


class ScoreCounts:
    """Counts the scores of one detector.

    One thread adds; another may read meanwhile, and finds a batch counted in one place and not yet
    in another at worst.

    Attributes:
        counts: of all rows so far, see `Counts`.
        hours: at most two of them: the last one that was left, then the running one.
        rows: so far, each once.
    """

    def __init__(self, tasks: int) -> None:
        """Starts without rows, for so many tasks."""
        self.counts: Counts = np.zeros((tasks, BINS + 1), np.int64)
        self.hours: tuple[Hour, ...] = ()
        self.rows = 0
        self._offset = np.arange(tasks) * (BINS + 1)

    def add(self, decided_ns: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Counts the next rows.

        Args:
            decided_ns: ``(b,)`` when they were decided, ascending (`SequenceBatch`).
            scores: ``(b, tasks)`` from 0 to 1; NaN where a row does not count for a task.
        """
        self.rows += len(scores)
        hours = decided_ns // HOUR_NS
        start = 0
        while start < hours.size:
            hour = int(hours[start])
            stop = hours.size if hour == hours[-1] else int(np.searchsorted(hours, hour, "right"))
            self._add(hour * HOUR_NS, scores[start:stop])
            start = stop

    def _add(self, start_ns: int, scores: NDArray[np.float32]) -> None:
        bins = np.minimum(scores * np.float32(BINS), np.float32(BINS - 1))
        np.copyto(bins, _UNCOUNTED, where=np.isnan(bins))
        places = np.add(bins, self._offset, dtype=np.intp, casting="unsafe").ravel()
        counts = np.bincount(places, minlength=self.counts.size).reshape(self.counts.shape)
        # Where the clock was set back the hour that was running is the last one, too.
        if not self.hours or self.hours[-1].start_ns != start_ns:
            self.hours = (*self.hours[-1:], Hour(start_ns, np.zeros_like(self.counts)))
        running = self.hours[-1].counts
        running += counts
        self.counts += counts
