"""What a model's answers are worth where truth is known."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """Measurements of known truth, by what is true and what was said.

    Attributes:
        true_positives, false_positives, false_negatives, true_negatives: how many.
    """

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @classmethod
    def of(cls, said: NDArray[np.bool_], truth: NDArray[np.integer]) -> "Counts":
        """Of measurements that were said to be positive or not; truth −1 is left out."""
        known = truth >= 0
        said, true = said[known], truth[known] == 1
        hits = int(np.count_nonzero(said & true))
        alarms, positives = int(np.count_nonzero(said)), int(np.count_nonzero(true))
        return cls(hits, alarms - hits, positives - hits, said.size - alarms - positives + hits)

    @classmethod
    def total(cls, every: Sequence["Counts"]) -> "Counts":
        """Of several series together."""
        return cls(*np.sum([list(vars(each).values()) for each in every], axis=0).tolist())

    @property
    def positives(self) -> int:
        """How many are true."""
        return self.true_positives + self.false_negatives

    @property
    def accuracy(self) -> float:
        """Share that was told right; NaN of none."""
        right = self.true_positives + self.true_negatives
        return _share(right, right + self.false_positives + self.false_negatives)

    @property
    def precision(self) -> float:
        """Share of what was said that is true; NaN where nothing was said."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """Share of what is true that was said; NaN where nothing is true."""
        return _share(self.true_positives, self.positives)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing true was said."""
        errors = self.false_positives + self.false_negatives
        return _share(2 * self.true_positives, 2 * self.true_positives + errors)

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the shares of positives and of negatives that were told right."""
        negatives = self.true_negatives + self.false_positives
        return (self.recall + _share(self.true_negatives, negatives)) / 2


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
