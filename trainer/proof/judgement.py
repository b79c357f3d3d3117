"""What models are worth on held-out rows, in numbers that a page is made of.

A judgement (of format `FORMAT`) is a JSON document: for each model a list with one entry a seed, by
task. Everything that a page or a later question needs is in it, so that a page can be written
without the rows.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import TaskSpec
from trainer.comparison import Held, Scored
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import task_labels
from trainer.datasets.labels import MASKED
from trainer.datasets.splits import share_seen
from trainer.decisions import spanned_seconds
from trainer.evaluation import figures, flow_scores, without_nan
from trainer.incidents import incident_figures, incidents_about
from trainer.metrics import roc_auc
from trainer.proof.material import Material
from trainer.reliability import reliability
from trainer.uncertainty import bootstrap

FORMAT = 3
"""Raised when a judgement holds something else, so that results of before are not kept."""


def judge(material: Material, held: Held, *, intervals: bool = True) -> dict[str, Any]:
    """Judges all models on the same rows.

    Args:
        material: which groups and benign hours the rows belong to.
        held: what the models make of them.
        intervals: whether to draw sources for intervals, which takes its time.

    Returns:
        ``hours``, ``sources``, ``groups``, ``benign_hours``, and by model and task its seeds.
    """
    dataset = held.dataset
    present = {dataset.sources[int(each)].name for each in np.unique(dataset.source)}
    benign = [name for name in material.benign() if name in present]
    quiet = np.isin(
        dataset.source,
        [place for place, record in enumerate(dataset.sources) if record.name in benign],
    )
    document: dict[str, Any] = {
        "sources": len(present),
        "groups": len({material.group(name) for name in present}),
        "flows": len(np.unique(dataset.flow)),
        "hours": spanned_seconds(dataset) / 3600,
        "benign_hours": spanned_seconds(dataset.take(quiet)) / 3600 if quiet.any() else 0.0,
        "benign_sources": len(benign),
        "models": {},
    }
    for name, seeds in held.models.items():
        document["models"][name] = [
            {
                entry["task"]: entry
                for entry in _of_seed(material, held, each, quiet, intervals and not place)
            }
            for place, each in enumerate(seeds)
        ]
    result: dict[str, Any] = without_nan(document)
    return result


def _of_seed(
    material: Material,
    held: Held,
    scored: Scored,
    quiet: NDArray[np.bool_],
    intervals: bool,  # noqa: FBT001 -- private
) -> list[dict[str, Any]]:
    dataset, numbers = held.dataset, held.numbers
    labels = task_labels(dataset, scored.tasks)
    groups = material.groups(dataset)
    each = []
    for column, (task, entry) in enumerate(
        zip(scored.tasks, figures(dataset, numbers, scored.tasks, scored.scores), strict=True)
    ):
        of_task, scores = labels[:, column], scored.scores[:, column]
        flows = flow_scores(dataset, numbers, task, of_task, scores)
        document = entry.document()
        calm = dataset.take(quiet)
        incidents = incident_figures(calm, task, of_task[quiet], scores[quiet])
        document["benign"] = {
            "false_incidents": incidents.false,
            "false_minutes": incidents.false_minutes,
            "by_group": _by_group(material, calm, task, of_task[quiet], scores[quiet])
            if incidents.false
            else {},
        }
        document["scans_called"] = _scans_called(dataset, task, scores)
        document["unknown_called"] = _unknown_called(dataset, task, scores)
        document["groups"] = _counts(material, dataset, groups, flows.rows, flows.labels)
        document["seen"] = share_seen(flows.patterns, held.trained) if held.trained.size else None
        document["reliability"] = [vars(each) for each in reliability(flows.labels, flows.scores)]
        if intervals:
            of_flow = material.units(dataset)[flows.rows]
            positive = flows.scores >= task.threshold
            document["auc_interval"] = bootstrap(
                of_flow,
                lambda rows: roc_auc(flows.labels[rows], flows.scores[rows]),  # noqa: B023
                seed=0,
            )
            document["recall_interval"] = bootstrap(
                of_flow,
                lambda rows: _share(positive[rows][flows.labels[rows] == 1]),  # noqa: B023
                seed=0,
            )
        each.append(document)
    return each


def _by_group(
    material: Material,
    dataset: Dataset,
    task: TaskSpec,
    labels: NDArray[np.int8],
    scores: NDArray[np.floating],
) -> dict[str, int]:
    """False incidents of each group that has some."""
    groups = material.groups(dataset)
    found = {}
    for group in np.unique(groups):
        rows = groups == group
        part = dataset.take(rows)
        count = incident_figures(part, task, labels[rows], scores[rows]).false
        if count:
            name = material.group(part.sources[int(part.source[0])].name)
            found[name] = count
    return found


def _counts(
    material: Material,
    dataset: Dataset,
    groups: NDArray[np.intp],
    rows: NDArray[np.intp],
    labels: NDArray[np.int8],
) -> dict[str, int]:
    """Attack flows of each group that has some."""
    attack = rows[labels == 1]
    names = {}
    for group in np.unique(groups[attack]):
        of_group = attack[groups[attack] == group]
        name = material.group(dataset.sources[int(dataset.source[of_group[0]])].name)
        names[name] = int(of_group.size)
    return names


def _scans_called(dataset: Dataset, task: TaskSpec, scores: NDArray[np.floating]) -> int | None:
    """Incidents that scans raise as this task; None for the task of scans, or without a scan."""
    if "scan" not in dataset.tasks or task.name == "scan":
        return None
    scans = dataset.labels[:, dataset.tasks.index("scan")] == 1
    return incidents_about(dataset, task, scores, scans) if scans.any() else None


def _unknown_called(dataset: Dataset, task: TaskSpec, scores: NDArray[np.floating]) -> int | None:
    """Incidents raised by flows of which it is unknown whether they are one; None without any.

    They are neither right nor wrong: reflection by another protocol called an SSDP flood, say.
    """
    unknown = dataset.labels[:, dataset.tasks.index(task.name)] == MASKED
    return incidents_about(dataset, task, scores, unknown) if unknown.any() else None


def _share(positive: NDArray[np.bool_]) -> float:
    return float(positive.mean()) if positive.size else float("nan")
