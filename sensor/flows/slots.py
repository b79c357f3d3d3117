"""A fixed number of slots for flows: which packets are one flow, when flows begin and end.

`docs/semantics.md` 5 and 6, for whatever a key is made of: the flow table has one, and the
conversations behind keys that gather several of them have another.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.flows import segments as cutting
from sensor.flows.index import FIRST_SLOT, KeyIndex, Words
from sensor.flows.segments import CLOSED, Segments
from sensor.hops import hop

DEFAULT_SLOTS = 65_536
EVICTION_PACKETS = 16_384
"""Room is made at every multiple of this many packets of the stream, and for as many flows."""
FOREVER = np.iinfo(np.int64).max

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Slots = NDArray[np.int32]

_look_up = hop("lookup")(KeyIndex.find)


class FlowSlots:
    """Slots, and of the flow in each what cutting, silence and eviction ask of all flows at once.

    Attributes:
        size: length of columns that are indexed by slot.
        capacity: flows that fit.
        live: by slot, whether it holds a flow.
        last_clock: by slot, the flow clock at its last packet.
        due: by slot, when something of the flow is due; `FOREVER` without a flow.
        ordinal: by slot, number of the flow.
    """

    def __init__(self, slots: int, key_words: int, idle_ns: int) -> None:
        """Makes empty slots.

        Args:
            slots: flows that are held at once, at least 65,536.
            key_words: words of a long key.
            idle_ns: the idle timeout.
        """
        if slots < DEFAULT_SLOTS:
            raise ValueError(f"a flow table has at least {DEFAULT_SLOTS:,} slots")
        self.size = size = slots + FIRST_SLOT
        self.live = np.zeros(size, np.bool_)
        self.last_clock = np.zeros(size, np.int64)
        self.due = np.full(size, FOREVER, np.int64)
        self.ordinal = np.zeros(size, np.int64)
        self._closing = np.zeros(size, np.uint8)
        self._probation = np.zeros(size, np.bool_)
        self._touched = np.zeros(size, np.bool_)
        self._scratch = np.zeros(size, np.uint16)
        self._index = KeyIndex(slots, key_words)
        self.capacity = slots
        self._quarter = slots // 4
        self._idle_ns = idle_ns
        self._packets = 0

    @property
    def taken(self) -> int:
        """Slots that hold a flow."""
        return self.capacity - self._index.free

    def restart(self) -> None:
        """Begins another stream; no slot holds a flow."""
        self._packets = 0

    # ------------------------------------------------------------------ packets

    def piece_size(self, remaining: int) -> int:
        """How many of the packets that remain can be taken without missing an eviction."""
        remaining = min(remaining, 4 * EVICTION_PACKETS)
        if self._index.free - remaining >= EVICTION_PACKETS:
            return remaining
        return min(remaining, EVICTION_PACKETS - self._packets % EVICTION_PACKETS)

    def crowded(self, packets: int) -> bool:
        """Whether flows have to be evicted after so many further packets, which fit a piece."""
        self._packets += packets
        return self._packets % EVICTION_PACKETS == 0 and self._index.free < EVICTION_PACKETS

    def cut(
        self, words: Words, long: Mask, clock: Index, flags: NDArray[np.uint8], forward: Mask
    ) -> tuple[Segments, Index]:
        """Segments of a piece; flows that begin get a slot.

        Args:
            words: ``(w, packets)`` keys as `KeyIndex.find` takes them.
            long: ``(packets,)`` which of them are long.
            clock: ``(packets,)`` flow clock at each packet.
            flags: ``(packets,)`` TCP flags; 0 where a packet closes nothing.
            forward: ``(packets,)`` from which of its flow's two sides it comes.

        Returns:
            The segments, and the clock in their order.
        """
        slot, _ = _look_up(self._index, words, long)
        order = cutting.group(slot, self._scratch)
        sorted_clock = clock[order]
        segments = cutting.cut(
            order,
            slot[order],
            sorted_clock,
            flags[order],
            forward[order],
            self.live,
            self.last_clock,
            self._closing,
            self._idle_ns,
        )
        return segments, sorted_clock

    def due_elsewhere(self, segments: Segments, now: int) -> Slots:
        """Slots where something was due before now, but those of the segments."""
        self._touched[segments.slot] = True
        due = np.flatnonzero((self.due < now) & ~self._touched).astype(np.int32)
        self._touched[segments.slot] = False
        return due

    def settle(
        self,
        segments: Segments,
        flow: NDArray[np.void],
        last_clock: Index,
        due: Index,
        staying: Mask,
    ) -> None:
        """Takes down what has become of the flows of a piece.

        Args:
            segments: of the piece.
            flow: ``(segments,)`` states after it; `ordinal`, `seen` and `packets` are read.
            last_clock: ``(segments,)`` flow clock at the last packet.
            due: ``(segments,)`` when something is due next.
            staying: ``(segments,)`` whether the flow stays in its slot.
        """
        slots = segments.slot[staying]
        self._closing[slots] = segments.closed_bits[staying]
        self.last_clock[slots] = last_clock[staying]
        self.live[slots] = True
        self.ordinal[slots] = flow["ordinal"][staying]
        probation = (flow["seen"] != 3) | (flow["packets"] <= 2)
        probation |= (segments.closed_bits & CLOSED) != 0
        self._probation[slots] = probation[staying]
        self.due[slots] = due[staying]
        self.free(segments.slot[segments.final & ~staying])

    # ------------------------------------------------------------------ ends

    def open(self, slots: Slots) -> Mask:
        """Whether the flows in the slots have not closed."""
        open_: Mask = (self._closing[slots] & CLOSED) == 0
        return open_

    def crowd(self) -> Slots:
        """Whom to evict until a quarter of the slots is free, by ordinal.

        Flows on probation come first, by ordinal; then those that have been silent for longest.
        """
        needed = self._quarter - self._index.free
        young = np.flatnonzero(self.live & self._probation)
        if young.size > needed:
            chosen = young[np.argpartition(self.ordinal[young], needed)[:needed]]
        else:
            old = np.flatnonzero(self.live & ~self._probation)
            chosen = np.concatenate((young, old[self._most_silent(old, needed - young.size)]))
        return chosen[np.argsort(self.ordinal[chosen])].astype(np.int32)

    def _most_silent(self, slots: Index, count: int) -> Index:
        """The given number of slots whose flows have been silent for longest, then by ordinal."""
        if not 0 < count < slots.size:
            return np.arange(max(count, 0))
        silent = self.last_clock[slots]
        limit = np.partition(silent, count - 1)[count - 1]
        longer, tied = np.flatnonzero(silent < limit), np.flatnonzero(silent == limit)
        by_ordinal = np.argsort(self.ordinal[slots[tied]])
        return np.concatenate((longer, tied[by_ordinal[: count - longer.size]]))

    def free(self, slots: Slots) -> None:
        """Empties slots."""
        self._index.delete(slots)
        self.live[slots] = False
        self.due[slots] = FOREVER
