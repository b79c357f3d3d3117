"""Columns of decoded packets in memory that a process shares with those it is forked into."""

import mmap
from collections.abc import Collection
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.packets.headers import OPTIONAL_TYPES, Headers

ROWS = 8_192
"""Packets that a slot holds."""

SLOTS = 4

_TYPES: dict[str, type[np.generic]] = {
    "timestamp_ns": np.int64,
    "version": np.uint8,
    "protocol": np.uint8,
    "source_high": np.uint64,
    "source_low": np.uint64,
    "destination_high": np.uint64,
    "destination_low": np.uint64,
    "source_port": np.uint16,
    "destination_port": np.uint16,
    "ip_length": np.uint16,
    "payload_length": np.uint16,
    "tcp_flags": np.uint8,
    **OPTIONAL_TYPES,
}


class SharedColumns:
    """A few slots, each with room for the columns of `ROWS` packets, and a flag.

    Who may write a slot, and who may read it, is agreed upon elsewhere.
    """

    def __init__(self, optional: Collection[str]) -> None:
        """Reserves the memory: 0.4 MiB a slot.

        Args:
            optional: which of `OPTIONAL_TYPES` the packets have.
        """
        kept = {
            each.name: np.dtype(_TYPES[each.name])
            for each in fields(Headers)
            if each.name not in OPTIONAL_TYPES or each.name in optional
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
            each.name: columns[each.name][:count]
            if each.name in columns
            else np.zeros((count, 0), _TYPES[each.name])
            for each in fields(Headers)
        }
        return Headers(**read)
