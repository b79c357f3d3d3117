"""How a bundle that is tried (a shadow) agrees with the one in force, row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import TaskSpec


@dataclass(slots=True)
class TaskAgreement:
    """Rows at which both looked, for one task.

    Attributes:
        both, active, shadow, neither: rows that were positive to both, to one alone, to none.
        difference: sum of the absolute differences of the scores.
        largest: of these differences.
    """

    both: int = 0
    active: int = 0
    shadow: int = 0
    neither: int = 0
    difference: float = 0.0
    largest: float = 0.0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.both + self.active + self.shadow + self.neither

    def document(self) -> dict[str, Any]:
        """As the status shows it."""
        mean = self.difference / self.rows if self.rows else 0.0
        return {
            "both": self.both,
            "only_active": self.active,
            "only_shadow": self.shadow,
            "neither": self.neither,
            "mean_difference": round(mean, 6),
            "largest_difference": round(self.largest, 6),
        }


class Agreement:
    """Compares a shadow with detectors in force, task by task of the same name.

    Attributes:
        tasks: by name; those that both have.
    """

    def __init__(self) -> None:
        """Starts without rows."""
        self.tasks: dict[str, TaskAgreement] = {}

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
                columns = scores[0][:, places[shadow.name]], scores[1][:, place]
                self._add(active, shadow, columns)

    def _add(
        self,
        active: TaskSpec,
        shadow: TaskSpec,
        columns: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> None:
        counted = ~np.isnan(columns[0]) & ~np.isnan(columns[1])
        one, other = columns[0][counted], columns[1][counted]
        if not one.size:
            return
        positive = one >= np.float32(active.threshold)
        also = other >= np.float32(shadow.threshold)
        found = self.tasks.setdefault(active.name, TaskAgreement())
        both = int(np.count_nonzero(positive & also))
        found.both += both
        found.active += int(np.count_nonzero(positive)) - both
        found.shadow += int(np.count_nonzero(also)) - both
        found.neither += int(np.count_nonzero(~positive & ~also))
        difference = np.abs(one - other)
        found.difference += float(difference.sum(dtype=np.float64))
        found.largest = max(found.largest, float(difference.max()))
