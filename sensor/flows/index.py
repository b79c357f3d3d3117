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

_PAIR = np.dtype("V16")
_NO_KEY = np.iinfo(np.uint64).max
_HALF = np.uint64(32)
_LOW_HALF = np.uint64(0xFFFFFFFF)


class KeyIndex:
    """A fixed number of slots for keys of up to `words` 64-bit words.

    Keys may be of two kinds, short ones of two words and long ones of all; these must differ in
    the first two words. No key has all ones in its second word.

    Attributes:
        free: number of slots without a key.
    """

    def __init__(self, slots: int, words: int, cells_per_slot: int = 8) -> None:
        """Makes an index without keys.

        Args:
            slots: keys that are held at once.
            words: of a long key, at least 2.
            cells_per_slot: about; more take memory, fewer make keys probe longer.
        """
        # the first two words lie together, as they are always compared: one look at memory
        self._pairs = np.zeros(slots + FIRST_SLOT, _PAIR)
        self._pairs.view(np.uint64)[1 : 2 * FIRST_SLOT : 2] = _NO_KEY
        self._further = np.zeros((words - 2, slots + FIRST_SLOT), np.uint64)
        self._long = np.zeros(slots + FIRST_SLOT, np.bool_)
        bits = (cells_per_slot * slots // 2).bit_length()
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
        slot: Slots = self._cells[cell]
        keys = np.flatnonzero(~self._equal(slot, words, long))
        created: list[Slots] = []
        found, cell = slot[keys], cell[keys]
        # the first deleted cell on the way, which a key that has no slot takes: one that comes and
        # goes would else leave another deleted cell each time, and find its way ever longer
        reused = np.full(keys.size, -1, np.int64)
        while keys.size:
            if self._deleted:
                deleted = np.flatnonzero((found == DELETED) & (reused < 0))
                reused[deleted] = cell[deleted]
            empty = np.flatnonzero(found == EMPTY)
            if empty.size:
                place = np.where(reused[empty] < 0, cell[empty], reused[empty])
                # who has lost it to another key, now or before, goes on looking behind it
                cell[empty], reused[empty] = place, -1
                free = np.flatnonzero(self._cells[place] <= DELETED)
                won, slots = self._claim(place[free], words, keys[empty[free]], long)
                created.append(slots)
                found[empty] = self._cells[place]
                won = empty[free[won]]
                slot[keys[won]] = slots
                # of a flood's keys hardly any is left now
                open_ = np.ones(keys.size, np.bool_)
                open_[won] = False
                rest = np.flatnonzero(open_)
                keys, found, cell, reused = keys[rest], found[rest], cell[rest], reused[rest]
            equal = self._equal(found, words, long, keys)
            slot[keys[equal]] = found[equal]
            rest = np.flatnonzero(~equal)
            keys, reused = keys[rest], reused[rest]
            cell = (cell[rest] + 1) & self._mask
            found = self._cells[cell]
        return slot, np.concatenate(created) if created else np.zeros(0, np.int32)

    def delete(self, slots: Slots) -> None:
        """Frees slots, each given once and holding a key."""
        cells = self._cell_of[slots]
        self._cells[cells] = DELETED
        # before an empty cell nobody has to look further, so no mark is needed either
        unmarked = cells[self._cells[(cells + 1) & self._mask] == EMPTY]
        self._cells[unmarked] = EMPTY
        self._deleted += slots.size - unmarked.size
        # the second word of a free slot must match no key; keys never have all ones there
        self._pairs.view(np.uint64)[1::2][slots] = _NO_KEY
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

    def _equal(
        self, slots: Slots, words: Words, long: Mask | None, keys: NDArray[np.int64] | None = None
    ) -> Mask:
        """Whether the slots hold the given keys, or all of them in order."""
        stored = self._pairs[slots].view(np.uint64)
        first, second = words[:2] if keys is None else (words[0][keys], words[1][keys])
        equal: Mask = stored[::2] == first
        equal &= stored[1::2] == second
        if words.shape[0] > 2:
            rows = np.flatnonzero(equal)
            asked = rows if keys is None else keys[rows]
            if long is not None:
                is_long = np.flatnonzero(long[asked])
                rows, asked = rows[is_long], asked[is_long]
            slots = slots[rows]
            for further, word in zip(self._further, words[2:], strict=True):
                equal[rows] &= further[slots] == word[asked]
        return equal

    def _claim(
        self, cells: NDArray[np.int64], words: Words, keys: NDArray[np.int64], long: Mask | None
    ) -> tuple[NDArray[np.int64], Slots]:
        """Gives a free slot to one of the keys for each distinct cell.

        Returns:
            Positions of those among the keys, and their slots.
        """
        # whoever is read back has won the cell; negative, as slots are not
        claims = -1 - np.arange(cells.size, dtype=np.int32)
        before = self._cells[cells]
        self._cells[cells] = claims
        won = np.flatnonzero(self._cells[cells] == claims)
        self._deleted -= int(np.count_nonzero(before[won] == DELETED))
        winners, cells = keys[won], cells[won]
        slots: Slots = self._stack[self.free - won.size : self.free].copy()
        self.free -= won.size
        pairs = np.empty((won.size, 2), np.uint64)
        pairs[:, 0], pairs[:, 1] = words[0, winners], words[1, winners]
        self._pairs[slots] = pairs.view(_PAIR)[:, 0]
        for further, word in zip(self._further, words[2:], strict=False):
            further[slots] = word[winners]
        self._long[slots] = words.shape[0] > 2 if long is None else long[winners]
        self._cells[cells] = slots
        self._cell_of[slots] = cells
        return won, slots

    def _rebuild(self) -> None:
        """Re-inserts every key, which drops the marks of deleted ones."""
        taken = np.ones(self._cell_of.size, np.bool_)
        taken[:FIRST_SLOT] = False
        taken[self._stack[: self.free]] = False
        slots = np.flatnonzero(taken).astype(np.int32)
        self._cells[:] = EMPTY
        self._deleted = 0
        first = self._pairs[slots].view(np.uint64).reshape(-1, 2).T
        words = np.concatenate((first, self._further[:, slots]))
        cell = self._hash(words, self._long[slots])
        while slots.size:
            empty = self._cells[cell] == EMPTY
            self._cells[cell[empty]] = slots[empty]
            placed = self._cells[cell] == slots
            self._cell_of[slots[placed]] = cell[placed]
            slots, cell = slots[~placed], (cell[~placed] + 1) & self._mask
