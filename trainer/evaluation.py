"""What a detector is worth on held-out traffic.

Every figure comes with its sample count, over flows and over distinct patterns, for areas that
need no threshold and at the frozen threshold. See `docs/training.md` for how to read the table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import task_labels
from trainer.incidents import IncidentFigures, incident_figures
from trainer.metrics import FlowScores, average_precision, by_flow, roc_auc


@dataclass(frozen=True)
class TaskFigures:
    """Figures of one task on one set of sources.

    Attributes:
        task: its name.
        flows, attack_flows: with a known label, and those of them that are 1.
        patterns, attack_patterns: distinct patterns among them.
        roc_auc, average_precision: over flows.
        pattern_roc_auc, pattern_average_precision: over distinct patterns.
        threshold: frozen before.
        recall: share of the attack flows at or above it; NaN without any.
        pattern_recall: the same over distinct patterns.
        false_positives: benign flows at or above it.
        incidents: by the sensor's tracker.
    """

    task: str
    flows: int
    attack_flows: int
    patterns: int
    attack_patterns: int
    roc_auc: float
    average_precision: float
    pattern_roc_auc: float
    pattern_average_precision: float
    threshold: float
    recall: float
    pattern_recall: float
    false_positives: int
    incidents: IncidentFigures

    def document(self) -> dict[str, Any]:
        """The figures as JSON has them: NaN becomes null."""
        document: dict[str, Any] = without_nan(asdict(self))
        return document


def figures(
    dataset: Dataset,
    patterns: NDArray[np.int64],
    tasks: Sequence[TaskSpec],
    scores: NDArray[np.floating],
) -> list[TaskFigures]:
    """Figures of every task.

    Args:
        dataset: rows of whole sources.
        patterns: ``(rows,)`` number of each row's pattern.
        tasks: with calibration and frozen thresholds.
        scores: ``(rows, tasks)`` calibrated.
    """
    labels = task_labels(dataset, tasks)
    each = []
    for column, task in enumerate(tasks):
        flows = flow_scores(dataset, patterns, task, labels[:, column], scores[:, column])
        distinct = flows.distinct()
        attack = flows.labels == 1
        positive = flows.scores >= task.threshold
        each.append(
            TaskFigures(
                task=task.name,
                flows=int(attack.size),
                attack_flows=int(attack.sum()),
                patterns=int(distinct.labels.size),
                attack_patterns=int((distinct.labels == 1).sum()),
                roc_auc=roc_auc(flows.labels, flows.scores),
                average_precision=average_precision(flows.labels, flows.scores),
                pattern_roc_auc=roc_auc(distinct.labels, distinct.scores),
                pattern_average_precision=average_precision(distinct.labels, distinct.scores),
                threshold=task.threshold,
                recall=_share(positive[attack]),
                pattern_recall=_share(distinct.scores[distinct.labels == 1] >= task.threshold),
                false_positives=int((positive & ~attack).sum()),
                incidents=incident_figures(dataset, task, labels[:, column], scores[:, column]),
            )
        )
    return each


def flow_scores(
    dataset: Dataset,
    patterns: NDArray[np.int64],
    task: TaskSpec,
    labels: NDArray[np.int8],
    scores: NDArray[np.floating],
) -> FlowScores:
    """A task's rows ``(rows,)`` gathered into flows."""
    return by_flow(
        task.policy,
        scores=scores,
        labels=labels,
        patterns=patterns,
        flow=dataset.flow,
        row=dataset.batch.row,
        sequence_index=dataset.batch.sequence_index,
    )


def summary(seeds: Sequence[float]) -> str:
    """Median and, of several seeds, smallest and largest value."""
    known = [value for value in seeds if value == value]  # noqa: PLR0124 -- NaN is not itself
    if not known:
        return "–"
    middle = f"{np.median(known):.4f}"
    return middle if len(known) == 1 else f"{middle} [{min(known):.4f}, {max(known):.4f}]"


COLUMNS = (
    "task",
    "model",
    "attack flows",
    "attack patterns",
    "ROC-AUC",
    "PR-AUC",
    "ROC-AUC patterns",
    "PR-AUC patterns",
    "recall",
    "false flows",
    "incidents",
    "false incidents",
)
"""Header of `table`; counts of attacks stand before those of all."""


def table(models: Mapping[str, Sequence[Sequence[TaskFigures]]]) -> list[list[str]]:
    """Rows of text, the first of them the header.

    Args:
        models: for every model a list of its seeds' figures.
    """
    tasks = [entry.task for entry in next(iter(models.values()))[0]]
    rows = [list(COLUMNS)]
    for task in tasks:
        for name, seeds in models.items():
            each = [entry for seed in seeds for entry in seed if entry.task == task]
            if each:
                rows.append([task, name, *_cells(each)])
    return rows


def _cells(seeds: Sequence[TaskFigures]) -> list[str]:
    one = seeds[0]
    areas = ("roc_auc", "average_precision", "pattern_roc_auc", "pattern_average_precision")
    return [
        f"{one.attack_flows} / {one.flows}",
        f"{one.attack_patterns} / {one.patterns}",
        *(summary([getattr(entry, area) for entry in seeds]) for area in (*areas, "recall")),
        _counts([entry.false_positives for entry in seeds]),
        _counts([entry.incidents.found for entry in seeds]) + f" / {one.incidents.attacks}",
        _counts([entry.incidents.false for entry in seeds]),
    ]


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """A table for a terminal, columns aligned."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table for a model card."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def _share(positive: NDArray[np.bool_]) -> float:
    return float(positive.mean()) if positive.size else float("nan")


def _counts(seeds: Sequence[int]) -> str:
    low, high = min(seeds), max(seeds)
    return str(low) if low == high else f"{low}–{high}"


def without_nan(value: Any) -> Any:
    """The value with every NaN in it, however deep, replaced by None, which JSON knows."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124
