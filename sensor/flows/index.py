"""Keys to slots: an open-addressing hash table whose every operation takes a block of keys.

Technique: all unresolved keys probe together; keys that meet an empty cell scatter their
position into it, and whoever is read back owns it. The hash has secret multipliers for every
half of a word, so nobody can aim collisions at it; keys are compared in full.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

EMPTY, DELETED = 0, 1
"""Slots that mark a cell without a key; the first slot that is given out is `FIRST_SLOT`."""
FIRST_SLOT = 2

Words = NDArray[np.uint64]
Slots = NDArray[np.int32]
Mask = NDArray[np.bool_]

_HALF = np.uint64(32)
_LOW_HALF = np.uint64(0xFFFFFFFF)


class KeyIndex:
    """A fixed number of slots for keys of up to `words` 64-bit words.

    Keys may be of two kinds, short ones of two words and long ones of all; these must differ in
    the first two words. No key has all ones in its second word.

    Attributes:
        free: number of slots without a key.
    """

    def __init__(self, slots: int, words: int) -> None:
        self._words = np.zeros((words, slots + FIRST_SLOT), np.uint64)
        self._words[1, :FIRST_SLOT] = np.iinfo(np.uint64).max
        self._long = np.zeros(slots + FIRST_SLOT, np.bool_)
        bits = (2 * slots).bit_length()
        self._cells: Slots = np.zeros(1 << bits, np.int32)
        self._mask = np.int64((1 << bits) - 1)
        self._shift = np.uint64(64 - bits)
        self._cell_of = np.zeros(slots + FIRST_SLOT, np.int32)
        self._stack: Slots = np.arange(slots + FIRST_SLOT - 1, FIRST_SLOT - 1, -1, dtype=np.int32)
        self.free = slots
        self._deleted = 0
        self._multipliers = [
            (np.uint64(secrets.randbits(64)), np.uint64(secrets.randbits(64))) for _ in range(words)
        ]
        self._spread = np.uint64(secrets.randbits(64) | 1)

    def find(self, words: Words, long: Mask | None = None) -> tuple[Slots, Slots]:
        """Slots of keys; a key that has none gets a free one.

        Args:
            words: ``(w, keys)``, of which at most `free` are new; w is 2 if all keys are short.
            long: ``(keys,)`` which keys are long; all of them if not given. The further words of
                short keys are 0.

        Returns:
            slots: ``(keys,)``; equal keys have equal slots.
            created: the slots given out by this call, each once.
        """
        # half of the cells stay empty, or probing would take long
        used = self._stack.size - self.free
        if (used + self._deleted + words.shape[1]) * 2 > self._cells.size and self._deleted:
            self._rebuild()
        cell = self._hash(words, long)
        slot = self._cells[cell]
        open_keys = np.flatnonzero(~self._equal(slot, words, long))
        created: list[Slots] = []
        if open_keys.size:
            cell, words = cell[open_keys], words[:, open_keys]
            long = None if long is None else long[open_keys]
        # the first deleted cell on the way, which a key that has no slot takes: one that comes and
        # goes would else leave another deleted cell each time, and find its way ever longer
        reused = np.full(open_keys.size, -1, np.int64)
        while open_keys.size:
            found = self._cells[cell]
            if self._deleted:
                deleted = np.flatnonzero((found == DELETED) & (reused < 0))
                reused[deleted] = cell[deleted]
            empty = np.flatnonzero(found == EMPTY)
            if empty.size:
                place = np.where(reused[empty] < 0, cell[empty], reused[empty])
                # who has lost it to another key, now or before, goes on looking behind it
                cell[empty], reused[empty] = place, -1
                free = self._cells[place] <= DELETED
                wide = np.full(empty.size, words.shape[0] > 2) if long is None else long[empty]
                created.append(self._claim(place[free], words[:, empty[free]], wide[free]))
                found[empty] = self._cells[place]
            equal = self._equal(found, words, long)
            slot[open_keys[equal]] = found[equal]
            rest = np.flatnonzero(~equal)
            open_keys, words, reused = open_keys[rest], words[:, rest], reused[rest]
            long = None if long is None else long[rest]
            cell = (cell[rest] + 1) & self._mask
        return slot, np.concatenate(created) if created else np.zeros(0, np.int32)

    def delete(self, slots: Slots) -> None:
        """Frees slots, each given once and holding a key."""
        self._cells[self._cell_of[slots]] = DELETED
        self._deleted += slots.size
        # the second word of a free slot must match no key; keys never have all ones there
        self._words[1, slots] = np.iinfo(np.uint64).max
        self._stack[self.free : self.free + slots.size] = slots
        self.free += slots.size

    def _hash(self, words: Words, long: Mask | None) -> NDArray[np.int64]:
        """First cells of keys, the same for two of them with a probability of 2 / cells + 2^-32.

        A sum of products of 32-bit halves with secret 64-bit multipliers differs in its top 32
        bits for any two keys but with a probability of 2^-32 (Lemire and Kaser, Strongly universal
        string hashing is fast, 2014). Another product spreads it over the cells (Dietzfelbinger et
        al., A reliable randomized algorithm for the closest-pair problem, 1997).

        (Multipliers of whole words would not do: a difference in the top bits of a word stays
        there, and one in the next word undoes it, whatever the multipliers.)
        """
        mixed = np.zeros(words.shape[1], np.uint64)
        self._add(mixed, words[:2], self._multipliers)
        if words.shape[0] > 2:
            rows = slice(None) if long is None else np.flatnonzero(long)
            further = mixed[rows]
            self._add(further, words[2:, rows], self._multipliers[2:])
            mixed[rows] = further
        mixed ^= mixed >> _HALF
        mixed *= self._spread
        mixed >>= self._shift
        cells: NDArray[np.int64] = mixed.view(np.int64)
        return cells

    @staticmethod
    def _add(
        mixed: NDArray[np.uint64], words: Words, multipliers: list[tuple[np.uint64, np.uint64]]
    ) -> None:
        for word, (low, high) in zip(words, multipliers, strict=False):
            mixed += (word & _LOW_HALF) * low
            mixed += (word >> _HALF) * high

    def _equal(self, slots: Slots, words: Words, long: Mask | None) -> Mask:
        equal: Mask = self._words[0][slots] == words[0]
        equal &= self._words[1][slots] == words[1]
        if words.shape[0] > 2:
            rows = np.flatnonzero(equal if long is None else equal & long)
            slots = slots[rows]
            for stored, asked in zip(self._words[2:], words[2:], strict=True):
                equal[rows] &= stored[slots] == asked[rows]
        return equal

    def _claim(self, cells: NDArray[np.int64], words: Words, long: Mask) -> Slots:
        """Gives a free slot to one key for each distinct cell."""
        # whoever is read back has won the cell; negative, as slots are not
        claims = -1 - np.arange(cells.size, dtype=np.int32)
        before = self._cells[cells]
        self._cells[cells] = claims
        winners = np.flatnonzero(self._cells[cells] == claims)
        self._deleted -= int(np.count_nonzero(before[winners] == DELETED))
        slots: Slots = self._stack[self.free - winners.size : self.free].copy()
        self.free -= winners.size
        self._words[: words.shape[0], slots] = words[:, winners]
        self._words[words.shape[0] :, slots] = 0
        self._long[slots] = long[winners]
        self._cells[cells[winners]] = slots
        self._cell_of[slots] = cells[winners]
        return slots

    def _rebuild(self) -> None:
        """Re-inserts every key, which drops the marks of deleted ones."""
        taken = np.ones(self._words.shape[1], np.bool_)
        taken[:FIRST_SLOT] = False
        taken[self._stack[: self.free]] = False
        slots = np.flatnonzero(taken).astype(np.int32)
        self._cells[:] = EMPTY
        self._deleted = 0
        cell = self._hash(self._words[:, slots], self._long[slots])
        while slots.size:
            empty = self._cells[cell] == EMPTY
            self._cells[cell[empty]] = slots[empty]
            placed = self._cells[cell] == slots
            self._cell_of[slots[placed]] = cell[placed]
            slots, cell = slots[~placed], (cell[~placed] + 1) & self._mask
