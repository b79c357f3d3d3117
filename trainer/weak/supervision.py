"""The whole way, task by task: tables → votes → patterns → figures, label model, labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from trainer.executors import Workers
from trainer.weak.applying import applied
from trainer.weak.functions import ABSTAIN, Columns, LabelingFunction, Task, of_task, tasks_of
from trainer.weak.label_model import Floats, LabelModel, fit, majority
from trainer.weak.patterns import Patterns, Tally
from trainer.weak.report import Report


@dataclass(frozen=True)
class Agreement:
    """How labels compare with what is true; classes beyond the first are what is looked for.

    Attributes:
        rows: whose truth is known.
        accuracy: share of them that are right.
        precision, recall: of the classes beyond the first together; NaN without any.
    """

    rows: int
    accuracy: float
    precision: float
    recall: float

    @classmethod
    def of(cls, labels: NDArray[np.int8], truths: NDArray[np.int64]) -> "Agreement":
        """Counts over patterns.

        Args:
            labels: ``(p,)`` class of each pattern.
            truths: ``(p, classes)`` of `Patterns.truths`.
        """
        right = truths[np.arange(len(labels)), labels]
        found, looked_for = truths[labels > 0].sum(), truths[:, 1:].sum()
        hits = right[labels > 0].sum()
        return cls(
            int(truths.sum()),
            _ratio(right.sum(), truths.sum()),
            _ratio(hits, found),
            _ratio(hits, looked_for),
        )

    def __str__(self) -> str:
        return (
            f"accuracy {self.accuracy:.4f}, precision {self.precision:.4f}, recall "
            f"{self.recall:.4f} on {self.rows} rows"
        )

    def document(self) -> dict[str, Any]:
        """As JSON has it; a figure that is none is null."""
        figures = {"accuracy": self.accuracy, "precision": self.precision, "recall": self.recall}
        return {
            "rows": self.rows,
            **{name: None if np.isnan(value) else value for name, value in figures.items()},
        }


def _ratio(part: np.int64, whole: np.int64) -> float:
    return float(part / whole) if whole else float("nan")


@dataclass(frozen=True)
class TaskVotes:
    """What the functions of one task have voted.

    Attributes:
        task: on what.
        functions: in the order of their votes.
        patterns: of their votes, over the rows of all tables.
        model: learnt from them.
    """

    task: Task
    functions: tuple[LabelingFunction, ...]
    patterns: Patterns
    model: LabelModel

    def probabilities(self) -> Floats:
        """``(p, classes)`` of each pattern; of row r they are those of ``patterns.number[r]``."""
        return self.model.probabilities(self.patterns.votes)

    def report(self, truth: NDArray[np.int8] | None = None) -> Report:
        """Figures of the functions; `truth` as in `Report.of`."""
        return Report.of(self.patterns, self.functions, truth)

    def agreements(self, truth: NDArray[np.int8]) -> dict[str, Agreement]:
        """How the label model and a majority vote compare with ``(m,)`` truth, −1 for unknown."""
        classes = len(self.task.classes)
        truths = self.patterns.truths(truth, classes)
        each = {
            "label model": self.probabilities(),
            "majority vote": majority(self.patterns.votes, classes),
        }
        return {
            name: Agreement.of(found.argmax(axis=1).astype(np.int8), truths)
            for name, found in each.items()
        }


def supervise(
    functions: Sequence[LabelingFunction],
    tables: Iterable[Columns],
    balances: Mapping[str, Sequence[float]] | None = None,
    workers: Workers | None = None,
) -> tuple[TaskVotes, ...]:
    """Applies functions to tables and learns a label model for each of their tasks.

    Args:
        functions: of any tasks.
        tables: as in `applied`; they are taken once, one after the other.
        balances: shares of the classes of tasks, where they are known.
        workers: as in `applied`.

    Returns:
        The tasks on which somebody votes, in the order of the functions.

    Raises:
        LabelError: of a function; or nobody votes on any task.
    """
    tasks = tasks_of(functions)
    places = {task: [functions.index(each) for each in of_task(functions, task)] for task in tasks}
    tallies = {task: Tally(places[task]) for task in tasks}
    for votes in applied(functions, tables, workers=workers):
        for tally in tallies.values():
            tally.add(votes)
    patterns = {task: tally.patterns() for task, tally in tallies.items()}
    told = [task for task in tasks if (patterns[task].votes != ABSTAIN).any()]
    found = []
    # Where there is no vote at all, `fit` says so.
    for task in told or tasks:
        of = of_task(functions, task)
        model = fit(patterns[task], of, (balances or {}).get(task.name))
        found.append(TaskVotes(task, of, patterns[task], model))
    return tuple(found)


def require_two_classes(every: Sequence[TaskVotes]) -> None:
    """Makes sure that labels can be kept as datasets and series keep them: as 0, 1 or unknown.

    Raises:
        LabelError: a task has more classes.
    """
    for votes in every:
        if len(votes.task.classes) > 2:
            raise LabelError(
                f"task {votes.task.name}: {votes.functions[0].place} votes for "
                f"{', '.join(votes.task.classes)}, but labels are 0 or 1; write functions for two "
                "classes"
            )
