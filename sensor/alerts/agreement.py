"""How a bundle that is tried (a shadow) agrees with the one in force, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import TaskSpec

CLOSE = 0.05
"""A row that changes sides, though neither score is further than this from its threshold, says
little: such rows change with any training."""


@dataclass(slots=True)
class RowAgreement:
    """How two bundles judged the same rows, for one task.

    Attributes:
        both, only_a, only_b, neither: rows by who found them positive.
        close: of `only_a` and `only_b`, those whose two scores lie within `CLOSE` of their
            thresholds.
        difference: sum of the absolute differences of the scores.
        largest: of these differences.
    """

    both: int = 0
    only_a: int = 0
    only_b: int = 0
    neither: int = 0
    close: int = 0
    difference: float = 0.0
    largest: float = 0.0

    @property
    def compared(self) -> int:
        """Rows that both looked at."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def mean(self) -> float:
        """The mean difference of scores."""
        return self.difference / self.compared if self.compared else 0.0

    def compare(
        self,
        scores: tuple[NDArray[np.float32], NDArray[np.float32]],
        thresholds: tuple[float, float],
    ) -> None:
        """Compares the scores ``(b,)`` of the same rows; NaN where a row does not count."""
        counted = ~(np.isnan(scores[0]) | np.isnan(scores[1]))
        if not counted.any():
            return
        a, b = (each[counted].astype(np.float64) for each in scores)
        # float32 against the threshold, as incidents have it
        by_a, by_b = (
            each[counted] >= np.float32(limit)
            for each, limit in zip(scores, thresholds, strict=True)
        )
        self.both += int(np.count_nonzero(by_a & by_b))
        self.only_a += int(np.count_nonzero(by_a & ~by_b))
        self.only_b += int(np.count_nonzero(by_b & ~by_a))
        self.neither += int(np.count_nonzero(~by_a & ~by_b))
        away = np.maximum(np.abs(a - thresholds[0]), np.abs(b - thresholds[1]))
        self.close += int(np.count_nonzero((by_a != by_b) & (away <= CLOSE)))
        difference = np.abs(a - b)
        self.difference += float(difference.sum())
        self.largest = max(self.largest, float(difference.max()))


class Agreement:
    """Compares a shadow with detectors in force, task by task of the same name.

    Attributes:
        tasks: by name, those of which both have judged a row; ``a`` is the one in force.
    """

    def __init__(self) -> None:
        """Starts without rows."""
        self.tasks: dict[str, RowAgreement] = {}

    def add(
        self,
        tasks: tuple[Sequence[TaskSpec], Sequence[TaskSpec]],
        scores: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> None:
        """Takes in the next rows.

        Args:
            tasks: of the one in force and of the shadow.
            scores: ``(b, tasks)`` of each, of the same rows; NaN where a row does not count.
        """
        places = {task.name: place for place, task in enumerate(tasks[0])}
        for place, shadow in enumerate(tasks[1]):
            if shadow.name in places:
                active = tasks[0][places[shadow.name]]
                found = self.tasks.get(shadow.name) or RowAgreement()
                columns = scores[0][:, places[shadow.name]], scores[1][:, place]
                found.compare(columns, (active.threshold, shadow.threshold))
                if found.compared:
                    self.tasks[shadow.name] = found

    def document(self) -> dict[str, dict[str, Any]]:
        """As the status shows it, by task."""
        return {
            name: {
                "both": found.both,
                "only_active": found.only_a,
                "only_shadow": found.only_b,
                "neither": found.neither,
                "mean_difference": round(found.mean, 6),
                "largest_difference": round(found.largest, 6),
            }
            # Copied at once: the thread that detects may find another task meanwhile.
            for name, found in list(self.tasks.items())
        }
