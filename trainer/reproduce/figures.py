"""From results to what the page says: areas over seeds, and whether two courses are apart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.reproduce.courses import TASKS
from trainer.reproduce.results import Result

PAPER = {
    "Aurora": (0.9358, 0.9429, 0.9633, 0.9694, 0.9681),
    "Rainbow": (0.9407, 0.9573, 0.9763, 0.9710, 0.9736),
}
"""Table II: average AUC of three tasks at epochs 2, 4, 6, 8 and 10, on Kitsune's captures."""

Curve = dict[int, list[float]]
"""By epoch, one area a seed."""


def curve(results: Iterable[Result], course: str, part: str, task: str = "") -> Curve:
    """Areas of a task, or the average of all tasks, in the order of the seeds.

    Args:
        results: of any courses.
        course: name of the one that is meant.
        part: that was tested.
        task: one of `TASKS`; empty for the average.
    """
    areas: Curve = {}
    for result in results:
        if result.course != course:
            continue
        for epoch, of_part in result.followed.areas.items():
            each = of_part[part]
            value = each[TASKS.index(task)] if task else float(np.mean(each))
            areas.setdefault(epoch, []).append(value)
    return areas


@dataclass(frozen=True)
class Difference:
    """How one course's areas stand to another's.

    Attributes:
        median: of the one less that of the other.
        apart: whether every seed of one is above every seed of the other; None where one of them
            has a single seed, which tells no spread.
    """

    median: float
    apart: bool | None

    @classmethod
    def of(cls, one: Sequence[float], other: Sequence[float]) -> "Difference":
        """Both with at least one area."""
        apart = min(one) > max(other) or max(one) < min(other)
        told = min(len(one), len(other)) > 1
        return cls(float(np.median(one) - np.median(other)), apart if told else None)

    @property
    def below(self) -> bool:
        """Whether the one is below the other beyond the spread of seeds."""
        return bool(self.apart) and self.median < 0

    def __str__(self) -> str:
        words = {True: "seeds' ranges apart", False: "seeds' ranges overlap", None: "a single seed"}
        return f"{self.median:+.4f}, {words[self.apart]}"


def explanation(right: Difference, wrong: Difference) -> str:
    """Whether errors of filling put Aurora behind Rainbow, as MULTA, section IV-B, explains it.

    Args:
        right: filled Aurora less Rainbow where every filled label is right.
        wrong: the same where half of an attack's labels are wrong.
    """
    if right.apart is None or wrong.apart is None:
        return "open: a single seed tells no spread"
    if wrong.below and not right.below:
        return "holds: Aurora is behind Rainbow only where filled labels are wrong"
    if wrong.below and wrong.median < right.median:
        return "holds in part: Aurora is behind either way, and further where filling is wrong"
    if wrong.below:
        return "does not hold: Aurora is behind either way, and no further where filling is wrong"
    return (
        "does not hold: wrong filling does not put Aurora behind Rainbow beyond the seeds' spread"
    )
