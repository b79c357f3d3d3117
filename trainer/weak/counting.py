"""Counts among the rows around each row, for labeling functions.

The window of row i are the rows i − k … i + k that there are and that were decided no more than a
span of time before or after it. What it gives depends on nothing but the rows in it, so it is the
same whether a table is looked at as a whole or in pieces.
"""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
"""Which of some things each row is about; −1 for none."""


def numbered(*columns: NDArray[np.integer]) -> Numbers:
    """Numbers ``(m,)`` from 0 on, the same where rows are equal in all columns ``(m,)``."""
    numbers = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        _, place = np.unique(column, return_inverse=True)
        place = place.reshape(-1).astype(np.int64)
        numbers = numbers * (place.max(initial=0) + 1) + place
        # Numbered anew after each column, so that products stay below the square of m.
        _, numbers = np.unique(numbers, return_inverse=True)
        numbers = numbers.reshape(-1).astype(np.int64)
    return numbers


def count_around(
    asked: Numbers, there: Numbers, times: NDArray[np.int64], rows: int, span: int
) -> Numbers:
    """How many rows of each row's window are about what the row asks for.

    Args:
        asked: ``(m,)`` what to count for each row.
        there: ``(m,)`` what each row counts for.
        times: ``(m,)``, never falling.
        rows: k of the window.
        span: of time, in the unit of `times`.

    Returns:
        ``(m,)``, 0 where nothing is asked for.
    """
    places = np.arange(len(times))
    first = np.maximum(places - rows, np.searchsorted(times, times - span, "left"))
    end = np.minimum(places + rows + 1, np.searchsorted(times, times + span, "right"))
    # What is counted and where, as one ascending list.
    listed = np.sort((there * len(times) + places)[there >= 0])
    begin = asked * len(times)
    found = np.searchsorted(listed, begin + end) - np.searchsorted(listed, begin + first)
    return np.where(asked >= 0, found, 0).astype(np.int64)


def first_of(numbers: Numbers, rows: int) -> NDArray[np.bool_]:
    """``(m,)`` whether a row is about something that none of the so many rows before it is."""
    order = np.argsort(numbers, kind="stable")
    again = np.zeros(len(numbers), np.bool_)
    again[order[1:]] = (np.diff(numbers[order]) == 0) & (np.diff(order) <= rows)
    first: NDArray[np.bool_] = (numbers >= 0) & ~again
    return first
