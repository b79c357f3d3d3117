"""What an annotating network is worth: counts of what it tells of flows, and figures of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import AnnotationSpec
from trainer.annotating.abstention import calibration_error


@dataclass(frozen=True)
class Figures:
    """Of a task, over flows whose class is known.

    Attributes:
        confusion: ``(classes, classes)`` flows by true class and by the class that is told, where
            one is told.
        best: the same of all flows by the best class, told or not.
        calibration_error: of the best class's probability.
    """

    confusion: NDArray[np.int64]
    best: NDArray[np.int64]
    calibration_error: float

    @property
    def flows(self) -> int:
        """All of them."""
        return int(self.best.sum())

    @property
    def accuracy(self) -> float:
        """Share of the told ones that are told right; 0 where none is told."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))

    @property
    def abstained(self) -> float:
        """Share of which no class is told."""
        return 1 - float(self.confusion.sum() / max(1, self.flows))

    @property
    def commonest(self) -> float:
        """Share of the true class that most of them are of."""
        return float(self.best.sum(axis=1).max(initial=0) / max(1, self.flows))

    @property
    def best_right(self) -> float:
        """Share of all whose best class is the true one."""
        return float(np.trace(self.best) / max(1, self.flows))

    def document(self) -> dict[str, Any]:
        """As a manifest states it beside the other tasks (`docs/bundle.md`)."""
        return {
            "accuracy": round(self.accuracy, 4),
            "flows": self.flows,
            "commonest": round(self.commonest, 4),
            "abstained": round(self.abstained, 4),
        }


def figures(
    annotation: AnnotationSpec, probabilities: NDArray[np.float32], labels: NDArray[np.int32]
) -> Figures:
    """Of a task.

    Args:
        annotation: with its threshold.
        probabilities: ``(flows, classes)``.
        labels: ``(flows,)`` place of the true class, −1 where it is not known.
    """
    size = len(annotation.classes)
    known = labels >= 0
    best = probabilities[known].argmax(axis=1)
    told = probabilities[known].max(axis=1, initial=0.0) >= annotation.abstain_below
    confusion, of_best = (np.zeros((size, size), np.int64) for _ in range(2))
    np.add.at(of_best, (labels[known], best), 1)
    np.add.at(confusion, (labels[known][told], best[told]), 1)
    return Figures(confusion, of_best, calibration_error(probabilities, labels))


def split_columns(
    annotations: Sequence[AnnotationSpec], scores: NDArray[np.float32]
) -> Mapping[str, NDArray[np.float32]]:
    """Columns of each task, of scores that have nothing but annotations."""
    ends = np.cumsum([len(each.classes) for each in annotations])
    parts = np.split(scores, ends[:-1], axis=1)
    return {each.name: part for each, part in zip(annotations, parts, strict=True)}
