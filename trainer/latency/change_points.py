"""Found change points against marked ones: which belong together, precision and recall.

A found change point fits a marked one that is at most a tolerance of measurements away, and each
is matched once at most. Of the largest sets of such pairs the one with the smallest sum of
distances counts, as in W. Shao et al., "One-to-One Matching of RTT and Path Changes", ITC 29,
2017, who allow two measurements. Along one line such pairs never cross, so it is found by
dynamic programming, without a general assignment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHAO_TOLERANCE = 2
"""Measurements, of the paper that made the marked series."""


@dataclass(frozen=True)
class Tally:
    """How many were marked, found, and matched with each other; tallies of series add up.

    Attributes:
        marked, found, matched: numbers of change points.
        distance: sum of the measurements between matched ones.
    """

    marked: int = 0
    found: int = 0
    matched: int = 0
    distance: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.marked + other.marked,
            self.found + other.found,
            self.matched + other.matched,
            self.distance + other.distance,
        )

    @property
    def precision(self) -> float:
        """Share of the found ones that were marked; NaN if nothing was found."""
        return self.matched / self.found if self.found else np.nan

    @property
    def recall(self) -> float:
        """Share of the marked ones that were found; NaN if nothing was marked."""
        return self.matched / self.marked if self.marked else np.nan

    @property
    def f1(self) -> float:
        """Twice the matched ones among all of both; NaN if there are none of either."""
        both = self.marked + self.found
        return 2 * self.matched / both if both else np.nan

    @property
    def mean_distance(self) -> float:
        """Measurements between matched ones; NaN if there are none."""
        return self.distance / self.matched if self.matched else np.nan


def tally(marked: ArrayLike, found: ArrayLike, tolerance: int) -> Tally:
    """How well found change points of one series fit the marked ones; see `pairs`."""
    matched = pairs(marked, found, tolerance)
    distance = int(np.abs(matched[:, 0] - matched[:, 1]).sum())
    return Tally(len(np.unique(marked)), len(np.unique(found)), len(matched), distance)


def pairs(marked: ArrayLike, found: ArrayLike, tolerance: int) -> NDArray[np.int64]:
    """The largest set of pairs within the tolerance, and of those the closest.

    Args:
        marked: places of change points, in any order; equal ones count once.
        found: the same.
        tolerance: measurements that a pair is apart at most.

    Returns:
        ``(k, 2)`` places of marked and found change points, ascending.
    """
    rows = np.unique(np.asarray(marked, np.int64))
    columns = np.unique(np.asarray(found, np.int64))
    # One more pair outweighs all distances together; what is further apart never pays.
    pair = (tolerance + 1) * (min(len(rows), len(columns)) + 1)
    best = np.zeros((len(rows) + 1, len(columns) + 1), np.int64)
    for k, place in enumerate(rows):
        apart = np.abs(columns - place)
        with_it = np.where(apart <= tolerance, best[k, :-1] + pair - apart, 0)
        best[k + 1, 1:] = np.maximum.accumulate(np.maximum(best[k, 1:], with_it))
    return _traced(best, rows, columns)


def changes(flags: ArrayLike) -> NDArray[np.intp]:
    """Places of measurements that differ from the one before, of ``(m,)`` verdicts."""
    verdicts = np.asarray(flags)
    return np.flatnonzero(verdicts[1:] != verdicts[:-1]) + 1


def total(tallies: Sequence[Tally]) -> Tally:
    """The tally of several series together, in which each change point weighs the same."""
    return sum(tallies, Tally())


def _traced(
    best: NDArray[np.int64], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The pairs behind the last value of `best`."""
    taken = []
    row, column = len(rows), len(columns)
    while row and column:
        if best[row, column] == best[row, column - 1]:
            column -= 1
        elif best[row, column] == best[row - 1, column]:
            row -= 1
        else:
            row, column = row - 1, column - 1
            taken.append((rows[row], columns[column]))
    return np.array(taken[::-1], np.int64).reshape(-1, 2)
