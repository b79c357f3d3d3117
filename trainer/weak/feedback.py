"""What operators have said of alerts as one more voter on the rows of flows.

An alert that somebody has labelled (`multa-sensor label`) has left rows of its flows as evidence.
Whoever meets one of those flows in a dataset knows what was said of it. That is a vote like any
other: people are wrong at times too, and how often, the label model finds out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.datasets.feedback import Judged, labels_by_row, source
from trainer.datasets.labels import MASKED
from trainer.weak.functions import ABSTAIN, Columns, LabelingFunction, Task

KEY = (
    *("version", "source_high", "source_low", "destination_high", "destination_low"),
    *("source_port", "destination_port", "protocol", "flow_start_ns"),
)
"""Columns that tell which flow a row is of."""

CONFIDENCE = 0.95

Key = tuple[int, ...]


@dataclass(frozen=True)
class _Said:
    """Votes of operators: by flow, and the microseconds at which these began."""

    by_flow: Mapping[Key, int]
    starts_us: NDArray[np.int64]

    def __call__(self, given: Columns) -> NDArray[np.int8]:
        votes = np.full(len(given["flow_start_ns"]), ABSTAIN, np.int8)
        # Hardly a row is of such a flow: most are left out by their start.
        maybe = np.flatnonzero(np.isin(given["flow_start_ns"] // 1000, self.starts_us))
        for row, key in zip(maybe.tolist(), _keys(given, maybe), strict=True):
            votes[row] = self.by_flow.get(key, ABSTAIN)
        return votes


def said_by_operators(
    judged: Sequence[Judged], task: Task, confidence: float = CONFIDENCE
) -> LabelingFunction:
    """The labeling function of the labels that operators have given.

    Args:
        judged: alerts with their labels and evidence, of any tasks.
        task: whose votes are wanted.
        confidence: in operators.

    Returns:
        It votes 1 on every row of a flow in the evidence of an alert that was right, 0 where it
        was not, and abstains elsewhere and where operators contradict each other.
    """
    said: dict[Key, set[int]] = {}
    by_row = labels_by_row(judged)
    for each in judged:
        _, batch, labels = source(each, by_row, tuple(dict.fromkeys([task.name, each.label.task])))
        columns = {name: getattr(batch, name) for name in KEY}
        for key, value in zip(_keys(columns, np.arange(len(batch))), labels[:, 0], strict=True):
            if value != MASKED:
                said.setdefault(key, set()).add(int(value))
    by_flow = {key: values.pop() for key, values in said.items() if len(values) == 1}
    starts = np.array(sorted({key[-1] for key in by_flow}), np.int64)
    return LabelingFunction(
        f"said_by_operators_{task.name}",
        task,
        KEY,
        _Said(by_flow, starts),
        confidence=confidence,
    )


def _keys(columns: Columns, rows: NDArray[np.intp]) -> list[Key]:
    """Which flow each of the rows is of; evidence knows microseconds."""
    lists = [columns[name][rows] for name in KEY[:-1]]
    return list(
        zip(*(each.tolist() for each in (*lists, columns[KEY[-1]][rows] // 1000)), strict=True)
    )
