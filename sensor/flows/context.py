"""Context of new flows: how many others began lately for the same service, source, destination.

`docs/semantics.md` 9. A log of the last `REMEMBERED` flow starts is a ring; each of the three
scopes counts, per key, the starts that lie within either window. A block of starts is counted
at once: starts and the expiries between them are laid out in order, grouped by key with a radix
sort, and summed up within the group.
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensor.flows.index import FIRST_SLOT, KeyIndex
from sensor.hops import hop

REMEMBERED = 65_536
"""Flow starts that are remembered; their count is the clip of the context fields."""
WINDOWS_NS = (1_000_000_000, 10_000_000_000)
SCOPES = 3
"""Service, source, destination."""

_CHUNK = 16_384
"""Starts counted at once: they and their expiries fit 16-bit positions a few times over."""

Words = NDArray[np.uint64]


class ContextWindows:
    """Sliding counts of flow starts; state is bounded by `REMEMBERED`."""

    def __init__(self) -> None:
        # Start number s (from 0) lies at s modulo the size: those remembered, the one before
        # them (its age tells saturation), and the starts that are being added.
        self._size = REMEMBERED + 1 + _CHUNK
        self._time = np.zeros(self._size, np.int64)
        self._slot = np.zeros((SCOPES, self._size), np.int32)
        self._begun = 0
        self._expired = [0, 0]
        self._keys = [KeyIndex(self._size, 3, cells_per_slot=4) for _ in range(SCOPES)]
        # starts within the windows by key: 1 s in the low half of the word, 10 s in the high one
        self._counts = np.zeros((SCOPES, self._size + FIRST_SLOT), np.int64)
        self._position = np.zeros(self._size + FIRST_SLOT, np.uint16)

    @hop("context")
    def add(
        self,
        clock_ns: NDArray[np.int64],
        scopes: Sequence[Words],
        long: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Counts for new flows, in order of their first packets, and remembers them.

        Args:
            clock_ns: ``(flows,)`` flow clock at each start, never falling.
            scopes: keys of service, source and destination, each ``(3, flows)`` as
                `KeyIndex.find` takes them, or ``(2, flows)`` where all are short.
            long: ``(flows,)`` which keys are long, as there.

        Returns:
            ``(flows, 6)`` counts in the order of `CONTEXT_COLUMNS`, and ``(flows,)`` whether a
            window held more starts than are remembered.
        """
        flows = clock_ns.size
        counts = np.zeros((flows, 2 * SCOPES), np.uint32)
        saturated = np.zeros(flows, np.bool_)
        for begin in range(0, flows, _CHUNK):
            part = slice(begin, min(begin + _CHUNK, flows))
            slots = [
                keys.find(words[:, part], None if long is None else long[part])[0]
                for keys, words in zip(self._keys, scopes, strict=True)
            ]
            self._add(clock_ns[part], slots, counts[part], saturated[part])
        return counts, saturated

    def clear(self) -> None:
        """Forgets all starts."""
        log = np.arange(self._expired[-1], self._begun) % self._size
        for scope, keys in enumerate(self._keys):
            slots = self._distinct(self._slot[scope, log])
            self._counts[scope, slots] = 0
            keys.delete(slots)
        self._begun, self._expired = 0, [0, 0]

    def _add(
        self,
        clock_ns: NDArray[np.int64],
        slots: list[NDArray[np.int32]],
        counts: NDArray[np.uint32],
        saturated: NDArray[np.bool_],
    ) -> None:
        flows = clock_ns.size
        first = self._begun
        log = np.arange(first, first + flows) % self._size
        self._time[log] = clock_ns
        self._slot[:, log] = slots
        self._begun += flows

        # Start s leaves a window when a later one is that much younger, or when it is no longer
        # among the last REMEMBERED; `leaves` is the first new start that misses it.
        entries, leaves = [], []
        for window, span in enumerate(WINDOWS_NS):
            kept = range(self._expired[window], self._begun)
            aged = bisect_right(kept, int(clock_ns[-1]) - span, key=self._time_of)
            leaving = kept[: max(aged, self._begun - 1 - REMEMBERED - kept.start, 0)]
            starts = np.arange(leaving.start, leaving.stop)
            entry = starts % self._size
            forgotten = np.maximum(starts + (REMEMBERED + 1 - first), 0)
            entries.append(entry)
            leaves.append(
                np.minimum(np.searchsorted(clock_ns, self._time[entry] + span), forgotten)
            )
            self._expired[window] = leaving.stop
        self._count(flows, log, entries, leaves, counts)
        for scope, keys in enumerate(self._keys):
            left = self._slot[scope, entries[-1]]
            keys.delete(self._distinct(left[self._counts[scope, left] == 0]))
        youngest_forgotten = np.arange(first, self._begun) - (REMEMBERED + 1)
        known = np.flatnonzero(youngest_forgotten >= 0)
        age = clock_ns[known] - self._time[youngest_forgotten[known] % self._size]
        saturated[known] = age < WINDOWS_NS[-1]

    def _time_of(self, start: int) -> int:
        return int(self._time[start % self._size])

    def _distinct(self, slots: NDArray[np.int32]) -> NDArray[np.int32]:
        # numpy.unique would sort, and load numpy.ma, which holds more than a megabyte.
        among = np.zeros(self._counts.shape[1], np.bool_)
        among[slots] = True
        return np.flatnonzero(among).astype(np.int32)

    def _count(
        self,
        flows: int,
        log: NDArray[np.int64],
        entries: list[NDArray[np.int64]],
        leaves: list[NDArray[np.int64]],
        counts: NDArray[np.uint32],
    ) -> None:
        """Runs through starts and expiries in order, for each key of each scope."""
        # order of events: expiries before the start that misses them, then the start itself
        when = np.concatenate((2 * leaves[0], 2 * leaves[1], 2 * np.arange(flows) + 1))
        order = np.argsort(when, kind="stable")
        which = np.concatenate((*entries, log))[order]
        weight = np.concatenate(
            (
                np.full(entries[0].size, -1, np.int64),
                np.full(entries[1].size, -(1 << 32), np.int64),
                np.full(flows, 1 + (1 << 32), np.int64),
            )
        )[order]
        start = order - (order.size - flows)
        for begin in range(0, order.size, 65_536):
            part = slice(begin, begin + 65_536)
            self._count_part(which[part], weight[part], start[part], counts)

    def _grouped(self, slot: NDArray[np.int32]) -> NDArray[np.int64] | slice:
        """Events by key, in order within; under a flood all of them are about one address."""
        if (slot == slot[0]).all():
            return slice(None)
        self._position[slot] = np.arange(slot.size).astype(np.uint16)
        return np.argsort(self._position[slot], kind="stable")

    def _count_part(
        self,
        which: NDArray[np.int64],
        weight: NDArray[np.int64],
        start: NDArray[np.int64],
        counts: NDArray[np.uint32],
    ) -> None:
        starts = np.flatnonzero(start >= 0)
        for scope in range(SCOPES):
            slot = self._slot[scope, which]
            grouped = self._grouped(slot)
            group_slot, group_weight = slot[grouped], weight[grouped]
            head = np.empty(slot.size, np.bool_)
            head[0] = True
            np.not_equal(group_slot[1:], group_slot[:-1], out=head[1:])
            heads = np.flatnonzero(head)
            total = np.cumsum(group_weight)
            base = self._counts[scope, group_slot[heads]] - (total[heads] - group_weight[heads])
            running = total + np.repeat(base, np.diff(heads, append=slot.size))
            self._counts[scope, group_slot[heads]] = running[np.append(heads[1:], slot.size) - 1]
            before = np.empty(slot.size, np.int64)
            before[grouped] = running - group_weight
            before = before[starts]
            counts[start[starts], 2 * scope] = before & 0xFFFFFFFF
            counts[start[starts], 2 * scope + 1] = before >> 32
