"""Labels of flows from votes on their rows, and the dataset that has them for labels.

A dataset of labeling functions is one like any other: `multa-trainer train` takes it. Its labels
are those of which the label model is sure enough, all others are unknown; networks learn from the
probabilities, which are there too (`Dataset.likely`). As with
labels of people, all rows of a flow have the flow's; it is decided by the row that decides about
the flow (`docs/semantics.md` 6): the last one for a task that looks at a flow's first packets,
the most suspicious one for a task that looks at every row.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError, MissingInputError
from trainer.datasets.dataset import Dataset, SourceRecord, add_source, create
from trainer.datasets.labels import MASKED
from trainer.metrics import rows_that_count
from trainer.tasks import FURTHER, TASKS
from trainer.weak.label_model import Floats, hard
from trainer.weak.supervision import TaskVotes, require_two_classes

_POLICIES: dict[str, Literal["first", "repeat"]] = {
    task.name: task.policy for task in (*TASKS, *FURTHER)
}


def flow_probabilities(dataset: Dataset, votes: TaskVotes) -> Floats:
    """``(rows, classes)`` of each row's flow, NaN where no row of it counts.

    Args:
        dataset: whose rows were voted on.
        votes: on a task.
    """
    each = votes.probabilities()[votes.patterns.number]
    policy = _POLICIES.get(votes.task.name, "first")
    counts = rows_that_count(dataset.batch.sequence_index, policy)
    deciding = deciding_rows(dataset.flow, each, counts, policy)
    return np.where(deciding[:, None] < 0, np.nan, each[deciding])


def flow_labels(probabilities: Floats, confidence: float) -> NDArray[np.int8]:
    """``(rows,)`` the label of each row's flow, `MASKED` where the model is not sure.

    Args:
        probabilities: as `flow_probabilities` gives them.
        confidence: that the likeliest class of a flow must have.
    """
    known = np.nan_to_num(probabilities)
    return np.where(known.any(axis=1), hard(known, confidence), np.int8(MASKED))


def deciding_rows(
    flow: NDArray[np.int64],
    probabilities: Floats,
    counts: NDArray[np.bool_],
    policy: Literal["first", "repeat"],
) -> NDArray[np.intp]:
    """``(rows,)`` the row that decides about each row's flow; −1 where none counts.

    Args:
        flow: ``(rows,)`` numbers of flows; rows of a flow in their order.
        probabilities: ``(rows, classes)``.
        counts: ``(rows,)`` whether the task looks at a row.
        policy: of the task.
    """
    _, inverse = np.unique(flow, return_inverse=True)
    inverse = inverse.reshape(-1)
    rows = np.arange(len(flow))
    # Of equally suspicious rows the first one, as the sensor sees it first.
    order = np.lexsort((-rows, 1 - probabilities[:, 0])) if policy == "repeat" else rows
    rank = np.empty(len(rows), np.intp)
    rank[order] = rows
    highest = np.full(int(inverse.max(initial=-1)) + 1, -1, np.intp)
    np.maximum.at(highest, inverse[counts], rank[counts])
    found: NDArray[np.intp] = np.where(highest < 0, -1, order[highest])[inverse]
    return found


def write(
    folder: Path,
    dataset: Dataset,
    every: Sequence[TaskVotes],
    confidence: float,
    kept: Collection[str] = (),
    author: str = "labeling functions",
) -> list[tuple[SourceRecord, NDArray[np.int8]]]:
    """Writes a dataset of the same rows with the labels of labeling functions.

    Args:
        folder: of the new dataset.
        dataset: whose rows were voted on.
        every: votes on each task; these are the new dataset's tasks.
        confidence: as in `flow_labels`.
        kept: sources whose labels stay those of the dataset, to test with.
        author: by whom the others are labelled.

    Returns:
        The sources with their labels ``(rows, tasks)``.

    Raises:
        MissingInputError: there is no source of a name.
        LabelError: a task has more than two classes; or a source is to keep labels of a task of
            which the dataset has none.
        OutputError: the folder can't be written.
    """
    require_two_classes(every)
    names = [record.name for record in dataset.sources]
    for name in kept:
        if name not in names:
            raise MissingInputError(
                f"the dataset has no source {name!r}; it has {', '.join(names)}"
            )
    tasks = [votes.task.name for votes in every]
    missing = [task for task in tasks if task not in dataset.tasks]
    if kept and missing:
        raise LabelError(
            f"the dataset has no labels of {missing[0]} to keep; it has those of "
            f"{', '.join(dataset.tasks)}"
        )
    each = [flow_probabilities(dataset, votes) for votes in every]
    labels = np.stack([flow_labels(of_task, confidence) for of_task in each], axis=1)
    likely = np.stack([of_task[:, 1] for of_task in each], axis=1).astype(np.float32)
    create(folder, dataset.schema, tasks)
    written = []
    for place, record in enumerate(dataset.sources):
        rows = np.flatnonzero(dataset.source == place)
        its, how_likely = labels[rows], likely[rows] if record.name not in kept else None
        if record.name in kept:
            its = dataset.labels[rows][:, [dataset.tasks.index(task) for task in tasks]]
            covered = tuple(task for task in record.covered if task in tasks)
            its_record = replace(record, covered=covered)
        else:
            digest = hashlib.sha256(its.tobytes() + likely[rows].tobytes()).hexdigest()
            its_record = replace(record, labels_sha256=digest, covered=(), labelled_by=author)
        batch = dataset.batch.take(rows)
        add_source(folder, its_record, batch, its, how_likely)
        written.append((its_record, its))
    return written
