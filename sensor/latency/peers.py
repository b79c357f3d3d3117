"""Series: the measurements of one kind with one peer, of which a fixed number is remembered.

A peer has a series from its first answer on. What nobody answered counts for a series only if its
peer has answered lately, so that a scan of dead hosts raises nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.flows.index import FIRST_SLOT, KeyIndex, Words
from sensor.flows.segments import group
from sensor.latency.measurements import SYN_KIND

SERIES = 4_096
"""Series that are remembered, at least three quarters of them."""
PIECE = 1_024
"""Measurements of the stream after which room is made, if there is too little for as many again."""
KNOWN_NS = 600_000_000_000
"""How long a peer that has answered is expected to answer."""

_KEY_WORDS = 4
_NEVER = -(1 << 62)
_KIND, _PORT = np.uint64(48), np.uint64(32)
_VERSION4, _VERSION6 = np.uint64(4 << 56), np.uint64(6 << 56)

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Slots = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Placed:
    """Measurements that belong to a series.

    Attributes:
        chosen: ``(measurements,)`` which of those that were given.
        slot: their series.
        ordinal: number of the series in order of first answers, from 0.
        begun: slots that were given to new series with them.
    """

    chosen: Index
    slot: Slots
    ordinal: Index
    begun: Slots


class SeriesTable:
    """The series.

    Attributes:
        begun: series that have begun so far.
        evicted: series so far that made room for others.
        unknown: measurements without an answer so far that were of no series.
    """

    size = SERIES + FIRST_SLOT
    """Length of columns that are indexed by slot."""

    def __init__(self) -> None:
        self.begun = self.evicted = self.unknown = 0
        self._index = KeyIndex(SERIES, _KEY_WORDS)
        self._live = np.zeros(self.size, np.bool_)
        self._answered_ns = np.zeros(self.size, np.int64)
        self._last_ns = np.zeros(self.size, np.int64)
        self._ordinal = np.zeros(self.size, np.int64)
        self._scratch = np.zeros(self.size, np.uint16)
        self._measurements = 0

    @property
    def held(self) -> int:
        """Series that are remembered now."""
        return SERIES - self._index.free

    def restart(self) -> None:
        """Forgets everything but the counters."""
        self._free(np.flatnonzero(self._live).astype(np.int32))
        self._measurements = 0

    def piece_size(self, remaining: int) -> int:
        """How many of the measurements that remain are the next piece."""
        return min(PIECE - self._measurements % PIECE, remaining)

    def place(self, found: NDArray[np.void]) -> Placed:
        """Takes a piece of measurements, in order; those that belong to a series, in order."""
        slot, _ = self._index.find(*_keys(found))
        order = group(slot, self._scratch)
        of = slot[order]
        answered = found["answered"][order]
        heads = np.flatnonzero(np.diff(of, prepend=-1))
        sizes = np.diff(heads, append=of.size)
        slots = of[heads]

        # the first answer that is no refusal begins a series
        opens = np.where(answered & ~found["refused"][order], np.arange(of.size), of.size)
        first = np.minimum.reduceat(opens, heads)
        first[self._live[slots]] = -1
        held = np.arange(of.size) >= np.repeat(first, sizes)

        decided = found["decided_ns"][order]
        before = np.where(self._live[slots], self._answered_ns[slots], _NEVER)
        latest = np.maximum.accumulate(np.where(answered & held, np.arange(of.size), -1))
        here = latest >= np.repeat(heads, sizes)
        lately = np.where(here, decided[latest], np.repeat(before, sizes))
        kept = held & (answered | (lately >= decided - KNOWN_NS))
        self.unknown += int(np.count_nonzero(~answered & ~kept))

        begun = np.flatnonzero((first >= 0) & (first < of.size))
        begun = begun[np.argsort(order[first[begun]])]
        self._ordinal[slots[begun]] = self.begun + np.arange(begun.size)
        self.begun += begun.size
        self._live[slots[begun]] = True
        last = heads + sizes - 1
        live = self._live[slots]
        self._answered_ns[slots[live]] = lately[last[live]]
        # of several measurements of a series the last assignment stays
        self._last_ns[of[kept]] = decided[kept]
        self._index.delete(slots[~live])

        chosen = np.sort(order[kept])
        mine = slot[chosen]
        return Placed(chosen, mine, self._ordinal[mine], slots[begun])

    def make_room(self, taken: int) -> None:
        """Counts a piece; where another one may not fit, the longest silent series go."""
        self._measurements += taken
        if self._measurements % PIECE or self._index.free >= PIECE:
            return
        slots = np.flatnonzero(self._live).astype(np.int32)
        silent = np.lexsort((self._ordinal[slots], self._last_ns[slots]))
        slots = slots[silent[: PIECE - self._index.free]]
        self.evicted += slots.size
        self._free(slots)

    def _free(self, slots: Slots) -> None:
        self._index.delete(slots)
        self._live[slots] = False


def _keys(found: NDArray[np.void]) -> tuple[Words, Mask]:
    """Peer, kind and, of a connection, the peer's port."""
    kind = found["kind"]
    port = np.where(kind == SYN_KIND, found["destination_port"], 0).astype(np.uint64)
    what = (kind.astype(np.uint64) << _KIND) | (port << _PORT)
    long: Mask = found["version"] == 6
    if not long.any():
        return np.stack((found["destination_low"] | what, np.full(found.size, _VERSION4))), long
    low, high = found["destination_low"], found["destination_high"]
    zero = np.uint64(0)
    return np.stack(
        (
            np.where(long, what, low | what),
            np.where(long, _VERSION6, _VERSION4),
            np.where(long, high, zero),
            np.where(long, low, zero),
        )
    ), long
