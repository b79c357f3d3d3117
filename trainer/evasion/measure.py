"""What a trained run still detects of attacks that were changed, beside the counting rule."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.event import Address
from sensor.model.schema import TaskSpec
from trainer.baselines.rule import TASKS as RULE_TASKS
from trainer.baselines.rule import rule_scores
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import Patterns, task_labels
from trainer.evaluation import flow_scores
from trainer.evasion.attacked import Stream, dataset_of
from trainer.evasion.changes import CHANGES, UNCHANGED, Change
from trainer.incidents import joined, track
from trainer.runs import Run
from trainer.tasks import chosen

Found = dict[str, Any]


def evasion(
    run: Run, streams: Sequence[Stream], changes: Sequence[Change] = CHANGES
) -> dict[str, Any]:
    """Recall of flows and attacks found, for every change, task, model and seed.

    An attack is an address about which the unchanged labels open an incident of the task. It is
    found if the scores of the changed attack rows open one about it, whenever.

    Args:
        run: with frozen thresholds.
        streams: recordings that it has not learnt from.
        changes: of their attacks.

    Returns:
        ``changes``: for each its budget and, by task and model, the figures of the seeds.
    """
    tasks = chosen(run.task_names)
    wanted = [_attacked(dataset_of(stream, UNCHANGED), tasks) for stream in streams]
    documents = []
    for change in changes:
        totals: dict[str, dict[str, list[Found]]] = {}
        for stream, addresses in zip(streams, wanted, strict=True):
            _add(totals, run, _attack_rows(dataset_of(stream, change)), addresses)
        documents.append(
            {
                **vars(change),
                "budget": change.budget,
                "tasks": {
                    task: {model: list(map(_rounded, seeds)) for model, seeds in its.items()}
                    for task, its in totals.items()
                },
            }
        )
    return {"changes": documents, "recordings": len(streams)}


def _attacked(dataset: Dataset, tasks: Sequence[TaskSpec]) -> dict[str, set[Address]]:
    found = {}
    for task in tasks:
        truth = np.where(dataset.labels[:, dataset.tasks.index(task.name)] == 1, 1.0, np.nan)
        found[task.name] = {span.address for span in joined(track(dataset, task, truth))}
    return found


def _attack_rows(dataset: Dataset) -> Dataset:
    return dataset.take((dataset.labels == 1).any(axis=1))


def _add(
    totals: dict[str, dict[str, list[Found]]],
    run: Run,
    dataset: Dataset,
    addresses: dict[str, set[Address]],
) -> None:
    """Adds what all models make of a recording's attack rows."""
    if not len(dataset):
        return
    patterns = Patterns.of(dataset)
    scores = {
        "lmmoe": [
            (result.tasks, run.scores(result, patterns.encoded)[patterns.number])
            for result in run.seeds
        ]
    }
    by_rule = tuple(
        replace(task, threshold=0.5) for task in chosen(run.task_names) if task.name in RULE_TASKS
    )
    if by_rule:
        its = np.repeat(rule_scores(dataset.batch)[:, None], len(by_rule), axis=1)
        scores["rule"] = [(by_rule, its.astype(np.float32))]
    for model, seeds in scores.items():
        for place, (tasks, values) in enumerate(seeds):
            for column, task in enumerate(tasks):
                entries = totals.setdefault(task.name, {}).setdefault(model, [])
                if len(entries) <= place:
                    entries.append({"flows": 0, "positive": 0, "attacks": 0, "found": 0, "s": []})
                _count(entries[place], dataset, task, values[:, column], patterns, addresses)


def _count(
    entry: Found,
    dataset: Dataset,
    task: TaskSpec,
    scores: NDArray[np.floating],
    patterns: Patterns,
    addresses: dict[str, set[Address]],
) -> None:
    labels = task_labels(dataset, (task,))[:, 0]
    flows = flow_scores(dataset, patterns.number, task, labels, scores)
    attack = flows.labels == 1
    entry["flows"] += int(attack.sum())
    entry["positive"] += int((flows.scores[attack] >= task.threshold).sum())
    opened: dict[Address, float] = {}
    for span in track(dataset, task, np.where(labels == 1, scores, np.nan)):
        seconds = (span.opened_ns - span.first_ns) / 1e9
        opened[span.address] = min(seconds, opened.get(span.address, seconds))
    entry["attacks"] += len(addresses[task.name])
    its = addresses[task.name] & set(opened)
    entry["found"] += len(its)
    entry["s"] += [opened[address] for address in its]


def _rounded(entry: Found) -> Found:
    flows, seconds = entry["flows"], sorted(entry["s"])
    return {
        "flows": flows,
        "recall": round(entry["positive"] / flows, 4) if flows else None,
        "attacks": entry["attacks"],
        "found": entry["found"],
        "seconds_to_alert": round(seconds[len(seconds) // 2], 2) if seconds else None,
    }
