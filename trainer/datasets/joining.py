"""Datasets of different tasks as one: what a dataset has no labels for is unknown."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sensor.errors import BundleError, LabelError
from sensor.flows.sequences import SequenceBatch
from trainer.datasets.dataset import Dataset
from trainer.datasets.labels import MASKED


def join(datasets: Sequence[Dataset], tasks: Sequence[str]) -> Dataset:
    """The rows of all datasets with labels of the given tasks.

    Args:
        datasets: at least one.
        tasks: columns of the result; columns of other tasks are left out.

    Raises:
        BundleError: their fingerprints differ.
        LabelError: a source is in two of them, or none has labels of a task.
    """
    fingerprints = {dataset.schema.fingerprint()[:16] for dataset in datasets}
    if len(fingerprints) > 1:
        raise BundleError(
            f"the datasets' feature fingerprints are {'…, '.join(sorted(fingerprints))}…; extract "
            "all with one version and one schema"
        )
    names = [record.name for dataset in datasets for record in dataset.sources]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LabelError(f"source {twice[0]} is in two of the datasets; leave one of them out")
    for task in tasks:
        if not any(task in dataset.tasks for dataset in datasets):
            raise LabelError(
                f"no dataset has labels of {task}; extract one with `--task {task}` among its tasks"
            )
    sources, flows, before = 0, 0, []
    for dataset in datasets:
        before.append((sources, flows))
        sources += len(dataset.sources)
        flows += sum(record.flows for record in dataset.sources)
    return replace(
        datasets[0],
        tasks=tuple(tasks),
        sources=tuple(record for dataset in datasets for record in dataset.sources),
        batch=SequenceBatch.concatenate([dataset.batch for dataset in datasets]),
        labels=np.concatenate([_labels(dataset, tasks) for dataset in datasets]),
        source=np.concatenate(
            [each.source + np.int32(s) for each, (s, _) in zip(datasets, before, strict=True)]
        ),
        flow=np.concatenate([each.flow + f for each, (_, f) in zip(datasets, before, strict=True)]),
        likely=_likely(datasets, tasks),
    )


def _labels(dataset: Dataset, tasks: Sequence[str]) -> NDArray[np.int8]:
    unknown = np.full(len(dataset), MASKED, np.int8)
    columns = [
        dataset.labels[:, dataset.tasks.index(task)] if task in dataset.tasks else unknown
        for task in tasks
    ]
    return np.stack(columns, axis=1)


def _likely(datasets: Sequence[Dataset], tasks: Sequence[str]) -> NDArray[np.float32] | None:
    if all(dataset.likely is None for dataset in datasets):
        return None
    every = []
    for dataset in datasets:
        found = np.full((len(dataset), len(tasks)), np.nan, np.float32)
        for column, task in enumerate(tasks):
            if dataset.likely is not None and task in dataset.tasks:
                found[:, column] = dataset.likely[:, dataset.tasks.index(task)]
        every.append(found)
    return np.concatenate(every)
