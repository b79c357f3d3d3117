"""Votes as distinct patterns with counts: a long table has few.

Eight functions of two classes have at most 6,561 patterns, however many rows there are. Reports
and the label model look at patterns alone, so they cost as much for 24.5 million rows as for a
thousand.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.weak.applying import Votes

_ROWS = 1 << 18
_CODES = 1 << 20
"""Patterns that there could be, up to which a table of all of them is made."""


@dataclass(frozen=True)
class Patterns:
    """The distinct votes of some functions.

    Attributes:
        votes: ``(p, functions)`` int8, each pattern once, in order of its first row.
        counts: ``(p,)`` int64 rows that have it.
        number: ``(m,)`` int32 pattern of each row.
    """

    votes: Votes
    counts: NDArray[np.int64]
    number: NDArray[np.int32]

    @classmethod
    def of(cls, tables: Iterable[Votes], functions: Sequence[int] | None = None) -> "Patterns":
        """Finds the patterns of one or more tables, whose rows follow each other.

        Args:
            tables: at least one, each ``(m, functions)``.
            functions: columns of the tables that are looked at; by default all.
        """
        tally = Tally(functions)
        for table in tables:
            tally.add(table)
        return tally.patterns()

    def __len__(self) -> int:
        return len(self.votes)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.counts.sum())

    def truths(self, truth: NDArray[np.int8], classes: int) -> NDArray[np.int64]:
        """``(p, classes)`` rows of each pattern by what is true of them; unknown ones in none.

        Args:
            truth: ``(m,)`` places of classes, −1 for unknown.
            classes: how many there are.
        """
        known = truth >= 0
        place = self.number[known].astype(np.int64) * classes + truth[known]
        counts = np.bincount(place, minlength=len(self) * classes)
        return counts.reshape(len(self), classes).astype(np.int64)


class Tally:
    """Counts patterns of tables as they come.

    Args:
        functions: columns of the tables that are looked at; by default all.
    """

    def __init__(self, functions: Sequence[int] | None = None) -> None:
        self._functions = None if functions is None else list(functions)
        self._width = 0
        self._known: dict[bytes, int] = {}
        self._votes: list[NDArray[np.int8]] = []
        self._counts: list[int] = []
        self._numbers: list[NDArray[np.int32]] = []

    def add(self, table: Votes) -> None:
        """Takes the next rows ``(m, functions)``."""
        self._width = table.shape[1] if self._functions is None else len(self._functions)
        for begin in range(0, len(table), _ROWS):
            piece = table[begin : begin + _ROWS]
            piece = piece if self._functions is None else piece[:, self._functions]
            first, inverse, times = _distinct(piece)
            places = np.empty(len(first), np.int32)
            for place in np.argsort(first).tolist():
                pattern = np.ascontiguousarray(piece[first[place]])
                number = self._known.setdefault(pattern.tobytes(), len(self._known))
                if number == len(self._votes):
                    self._votes.append(pattern)
                    self._counts.append(0)
                self._counts[number] += int(times[place])
                places[place] = number
            self._numbers.append(places[inverse])

    def patterns(self) -> Patterns:
        """The patterns of all rows so far."""
        return Patterns(
            np.array(self._votes, np.int8).reshape(len(self._votes), self._width),
            np.array(self._counts, np.int64),
            np.concatenate([np.zeros(0, np.int32), *self._numbers]),
        )


def _distinct(
    votes: Votes,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """First row of each distinct row, the distinct row of each row, and how often it occurs."""
    base = int(votes.max(initial=0)) + 2
    width = votes.shape[1]
    if base**width > _CODES:
        return _distinct_by_sorting(votes)
    code = np.zeros(len(votes), np.int32)
    for column in votes.T:
        code *= base
        code += column
        code += 1
    counts = np.bincount(code, minlength=base**width)
    found = np.flatnonzero(counts)
    first = np.zeros(base**width, np.intp)
    # Of several rows of a code, the one that is written last stays: the first.
    first[code[::-1]] = np.arange(len(votes) - 1, -1, -1)
    rank = np.zeros(base**width, np.intp)
    rank[found] = np.arange(len(found))
    return first[found], rank[code], counts[found]


def _distinct_by_sorting(
    votes: Votes,
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The same where there could be too many patterns for a table.

    Rows are read as numbers, which sort far faster than rows of bytes do: four votes of 8 bits
    behind the place that the votes before them have among the distinct ones.
    """
    inverse = np.zeros(len(votes), np.int64)
    first: NDArray[np.intp] = np.zeros(1, np.intp)
    times: NDArray[np.intp] = np.array([len(votes)], np.intp)
    for begin in range(0, votes.shape[1], 4):
        code = inverse
        for column in votes[:, begin : begin + 4].T:
            code = code << 8 | (column.astype(np.int64) + 1)
        _, first, inverse, times = np.unique(
            code, return_index=True, return_inverse=True, return_counts=True
        )
        inverse = inverse.reshape(-1)
    return first, inverse, times
