"""Sequences that were scored before, with their scores: a table of fixed size.

A flood is thousands of rows a second that are the same few sequences on the schema's grid. Each
sequence has one place, given by its hash, and whatever is scored later takes the place over. A
row is known only if all of its bytes stand there, so sequences made to share a place cost
computing, which any sequences that differ do, and never a wrong score.
"""

import numpy as np
from numpy.typing import NDArray

PLACES = 4_096
"""Sequences of one width that are remembered, a power of two. With six tasks and one packet a
sequence they take 160 kB. Recorded floods of spoofed sources are fewer than 200 sequences."""


class SeenSequences:
    """The scores of sequences of one width."""

    def __init__(self, words: int, tasks: int) -> None:
        """An empty table.

        Args:
            words: 64-bit words of an encoded row (`sensor.model.encoding.Encoded.words`).
            tasks: scores of a row.
        """
        # No row is all zeros: it holds its length.
        self._words = np.zeros((words, PLACES), np.uint64)
        self._scores = np.zeros((PLACES, tasks), np.float32)

    def find(
        self, words: NDArray[np.uint64], hashed: NDArray[np.uint64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Looks rows up.

        Args:
            words: ``(b, words)`` the rows.
            hashed: ``(b,)`` their hashes.

        Returns:
            ``(b, tasks)`` scores, and ``(b,)`` whether they are the row's.
        """
        place = self._place(hashed)
        known = np.ones(place.size, np.bool_)
        for kept, word in zip(self._words, words.T, strict=True):
            known &= kept.take(place) == word
        return self._scores.take(place, axis=0), known

    def remember(
        self,
        words: NDArray[np.uint64],
        hashed: NDArray[np.uint64],
        scores: NDArray[np.float32],
    ) -> None:
        """Keeps rows; of several at one place only one, which one does not matter.

        Args:
            words: ``(b, words)`` the rows.
            hashed: ``(b,)`` their hashes.
            scores: ``(b, tasks)``.
        """
        place = self._place(hashed)
        # Words and scores must be the same row's, so a single row is named for each place first.
        owner = np.zeros(PLACES, np.intp)
        owner[place] = np.arange(place.size)
        rows = np.flatnonzero(owner[place] == np.arange(place.size))
        self._words[:, place[rows]] = words[rows].T
        self._scores[place[rows]] = scores[rows]

    def _place(self, hashed: NDArray[np.uint64]) -> NDArray[np.intp]:
        # The low bits of a hash depend on fewer of the row's.
        place: NDArray[np.intp] = (hashed >> np.uint64(32) & np.uint64(PLACES - 1)).astype(np.intp)
        return place
