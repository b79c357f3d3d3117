"""Labels of measurements from the votes of labeling functions: a probability for each task."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.latency.series import TASKS
from trainer.weak.applying import Votes
from trainer.weak.functions import ABSTAIN, LabelingFunction
from trainer.weak.label_model import LabelModel, fit
from trainer.weak.loading import load
from trainer.weak.patterns import Patterns

Labels = NDArray[np.float32]
"""``(rows, tasks)`` probabilities, NaN where nothing is known."""

LIKELY = 0.5
"""Probability from which on the label model alone says that it is so."""


def functions() -> tuple[LabelingFunction, ...]:
    """The labeling functions of latency, in the order of their columns of votes."""
    return load("latency")


def columns_of(every: Sequence[LabelingFunction], task: str) -> list[int]:
    """Columns of votes on a task."""
    return [place for place, function in enumerate(every) if function.task.name == task]


@dataclass(frozen=True)
class Labelling:
    """One label model a task.

    Attributes:
        functions: whose votes it is about.
        models: of each of `TASKS`.
        seconds: that learning took, of each task.
    """

    functions: tuple[LabelingFunction, ...]
    models: dict[str, LabelModel]
    seconds: dict[str, float]

    @classmethod
    def of(
        cls, functions: tuple[LabelingFunction, ...], patterns: dict[str, Patterns]
    ) -> "Labelling":
        """Learnt from votes alone.

        Args:
            functions: that voted.
            patterns: by task, of the votes on it.
        """
        models, seconds = {}, {}
        for task in TASKS:
            begin = time.perf_counter()
            of_task = [functions[place] for place in columns_of(functions, task)]
            models[task] = fit(patterns[task], of_task)
            seconds[task] = time.perf_counter() - begin
        return cls(functions, models, seconds)

    def of_patterns(self, task: str, votes: Votes) -> NDArray[np.float32]:
        """``(p,)`` probability of a task for each pattern of votes on it.

        NaN where nobody votes, and nobody's silence says anything either.
        """
        model = self.models[task]
        likely = model.probabilities(votes)[:, 1]
        silent = (votes == ABSTAIN).all(axis=1) & ~model.speaks.any()
        return np.where(silent, np.nan, likely).astype(np.float32)

    def of_votes(self, votes: Votes) -> Labels:
        """``(m, tasks)`` probabilities for the votes of all functions."""
        found = np.empty((len(votes), len(TASKS)), np.float32)
        for column, task in enumerate(TASKS):
            patterns = Patterns.of([votes], columns_of(self.functions, task))
            found[:, column] = self.of_patterns(task, patterns.votes)[patterns.number]
        return found


def patterns_of(functions: Sequence[LabelingFunction], votes: Votes) -> dict[str, Patterns]:
    """Distinct votes on each task."""
    return {task: Patterns.of([votes], columns_of(functions, task)) for task in TASKS}
