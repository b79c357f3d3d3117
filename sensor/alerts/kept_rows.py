"""Which rows of an incident are kept for whoever asks why (`docs/evidence.md`).

A leaf of the alerts: knows records with a score, not what else is in them.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import FeatureSchema

FIRST, HIGHEST, SAMPLED = 16, 16, 32
WHY = ("first", "highest", "sampled")

_LAST_LOT = np.uint64(2**64 - 1)


class KeptRows:
    """Rows of one incident: the first ones, those with the highest scores, and a fair sample.

    Of equal scores the earlier one counts as higher. The sample are the rows with the lowest
    *lots*, numbers without a pattern that belong to the rows (`lots`): a row's place in the stream
    does not matter for it, and neither does how rows are batched.

    Attributes:
        schema: of the rows.
        records: the rows, in order of the stream; their type has a field ``score``.
        seen: how many rows the incident has had.
        given_up: whether they were given up to make room.
    """

    __slots__ = ("_least", "_lot", "_most", "_number", "given_up", "records", "schema", "seen")

    def __init__(self, schema: FeatureSchema, kind: "np.dtype[np.void]") -> None:
        """Starts without rows; `kind` is the type of their records."""
        self.schema = schema
        self.records: NDArray[np.void] = np.zeros(0, kind)
        self.seen = 0
        self.given_up = False
        self._number: NDArray[np.int64] = np.zeros(0, np.int64)
        self._lot: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._least, self._most = -np.inf, _LAST_LOT

    def __len__(self) -> int:
        return self.records.size

    def entering(self, scores: NDArray[np.float32], lots: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Takes in the next rows; which of them are kept, and their records to be `put`.

        Args:
            scores: ``(rows,)``, never NaN.
            lots: ``(rows,)``.
        """
        first = self.seen
        self.seen += scores.size
        if self.given_up:
            return np.zeros(0, np.intp)
        # Until `HIGHEST` rows have come, and so for the `FIRST`, every score is high enough.
        fits: NDArray[np.bool_] = np.asarray((scores > self._least) | (lots < self._most))
        new = np.flatnonzero(fits)
        if not new.size:
            return new
        old = len(self)
        number = np.concatenate([self._number, first + new])
        lot = np.concatenate([self._lot, lots[new]])
        score = np.concatenate([self.records["score"], scores[new]])
        stays: NDArray[np.bool_] = np.logical_or.reduce(_chosen(number, score, lot), axis=1)
        self.records = self.records[stays[:old]]
        self._number, self._lot, score = number[stays], lot[stays], score[stays]
        if score.size >= HIGHEST:
            self._least = float(np.partition(score, -HIGHEST)[-HIGHEST])
        if score.size >= SAMPLED:
            self._most = np.partition(self._lot, SAMPLED - 1)[SAMPLED - 1]
        return new[stays[old:]]

    def put(self, records: NDArray[np.void]) -> None:
        """Adds the records of the rows that `entering` chose last."""
        self.records = np.concatenate([self.records, records])

    def why(self) -> NDArray[np.bool_]:
        """``(rows, 3)``: which of `WHY` a row is kept for; at least one."""
        return _chosen(self._number, self.records["score"], self._lot)

    def give_up(self) -> None:
        """Forgets the rows, and keeps no others."""
        self.given_up = True
        self.records = self.records[:0].copy()
        self._number, self._lot = self._number[:0].copy(), self._lot[:0].copy()


def lots(ordinal: NDArray[np.int64], row: NDArray[np.int32]) -> NDArray[np.uint64]:
    """A number without a pattern for each row, from its flow's number and its own.

    SplitMix64's output function (Steele, Lea and Flood, OOPSLA 2014).
    """
    mixed: NDArray[np.uint64] = ordinal.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += row.astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _chosen(
    number: NDArray[np.int64], score: NDArray[np.float32], lot: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """``(rows, 3)``: which rows are kept for each of `WHY`; rows are in order of their numbers."""
    chosen = np.zeros((number.size, len(WHY)), np.bool_)
    chosen[:, 0] = number < FIRST
    chosen[np.argsort(-score, kind="stable")[:HIGHEST], 1] = True
    chosen[np.argsort(lot, kind="stable")[:SAMPLED], 2] = True
    return chosen
