"""Columns of decoded packets in memory that a process shares with those it is forked into."""

import mmap
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.packets.headers import ASKED_FOR, COLUMN_TYPES, Headers

ROWS = 8_192
"""Packets that a slot holds."""

SLOTS = 4


class SharedColumns:
    """A few slots, each with room for the columns of `ROWS` packets, and a flag.

    Who may write a slot, and who may read it, is agreed upon elsewhere.
    """

    def __init__(self, optional: Collection[str]) -> None:
        """Reserves the memory: 0.4 MiB a slot.

        Args:
            optional: which of `ASKED_FOR` the packets have.
        """
        kept = {
            name: np.dtype(kind)
            for name, kind in COLUMN_TYPES.items()
            if name not in ASKED_FOR or name in optional
        }
        size = ROWS * sum(each.itemsize for each in kept.values())
        memory = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE + SLOTS * size), np.uint8)
        self._flag = memory[:1]
        self._slots: list[dict[str, NDArray[np.generic]]] = []
        start = mmap.PAGESIZE
        for _ in range(SLOTS):
            columns = {}
            for name, kind in kept.items():
                stop = start + ROWS * kind.itemsize
                columns[name] = memory[start:stop].view(kind)
                start = stop
            self._slots.append(columns)

    @property
    def flag(self) -> bool:
        """Something that one side tells the other at any time."""
        return bool(self._flag[0])

    @flag.setter
    def flag(self, value: bool) -> None:
        self._flag[0] = value

    def write(self, slot: int, headers: Headers) -> None:
        """Copies at most `ROWS` packets into a slot."""
        for name, column in self._slots[slot].items():
            column[: len(headers)] = getattr(headers, name)

    def read(self, slot: int, count: int) -> Headers:
        """The first packets in a slot, as views of it."""
        columns = self._slots[slot]
        read: dict[str, Any] = {
            name: columns[name][:count] if name in columns else np.zeros((count, 0), kind)
            for name, kind in COLUMN_TYPES.items()
        }
        return Headers(**read)
