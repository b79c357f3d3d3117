"""The last values of each series, and the window that each new value makes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Slots = NDArray[np.int32]


class Rings:
    """A ring for each slot.

    Attributes:
        count: ``(size,)`` values that each slot has been given since it began.
    """

    def __init__(self, size: int, n: int, dtype: np.dtype[Any]) -> None:
        """Starts without any.

        Args:
            size: slots.
            n: values that a slot remembers.
            dtype: of a value.
        """
        self.count = np.zeros(size, np.int64)
        self._n = n
        self._ring = np.zeros((size, n), dtype)

    def begin(self, slots: Slots) -> None:
        """Forgets what these slots have."""
        self.count[slots] = 0

    def push(self, values: NDArray[Any], slots: Slots, sizes: Index) -> tuple[NDArray[Any], Index]:
        """Takes new values of several slots.

        Args:
            values: those of a slot are neighbours, the oldest first.
            slots: each once.
            sizes: how many of the values are whose.

        Returns:
            For each value the last n of its slot with it, front-aligned ``(values, n)`` with zeros
            behind, and how many these are.
        """
        n, counts = self._n, self.count[slots]
        heads = np.cumsum(sizes) - sizes
        rank = np.arange(len(values)) - np.repeat(heads, sizes)
        number = np.repeat(counts, sizes) + rank
        # each slot as it was, oldest first, with what is new behind it
        held = np.minimum(counts, n)
        total = held + sizes
        start = np.cumsum(total) - total
        line = np.zeros(int(total.sum()), values.dtype)
        old = np.repeat(np.arange(slots.size), held)
        place = np.arange(old.size) - np.repeat(np.cumsum(held) - held, held)
        source = (counts - held)[old] + place
        line[start[old] + place] = self._ring[slots[old], source % n]
        mine = np.repeat(start + held, sizes) + rank
        line[mine] = values
        late = np.flatnonzero(rank >= np.repeat(sizes, sizes) - n)
        self._ring[np.repeat(slots, sizes)[late], number[late] % n] = values[late]
        self.count[slots] += sizes

        length: Index = np.minimum(number + 1, n)
        row, step = np.nonzero(np.arange(n) < length[:, None])
        windows = np.zeros((number.size, n), values.dtype)
        windows[row, step] = line[(mine + 1 - length)[row] + step]
        return windows, length
