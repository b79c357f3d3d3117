"""From rows to what a network is trained on: distinct patterns with labels and weights.

A flood is the same few sequences thousands of times over. So equal rows with equal labels become
one example; k of them weigh 1 + log2(k), which keeps what is frequent ahead of what is rare but
lets no flood drown the rest. Then positives and negatives of a task are brought to the same total
weight, and all tasks to the same total, however many of their labels are masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from sensor.model.encoding import Encoded, encode
from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.labels import MASKED
from trainer.metrics import rows_that_count


@dataclass(frozen=True)
class Patterns:
    """The distinct rows of a dataset as the network sees them.

    Attributes:
        encoded: each distinct row once.
        number: ``(rows,)`` int64 position in `encoded` of every row of the dataset.
    """

    encoded: Encoded
    number: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset) -> "Patterns":
        """Finds the distinct rows."""
        encoded = encode(dataset.schema, dataset.batch)
        first, inverse = encoded.unique_rows()
        return cls(encoded.take(first), inverse.astype(np.int64))


@dataclass(frozen=True)
class Examples:
    """What a network is trained on.

    Attributes:
        x: ``(examples, n, channels)`` float32.
        c: ``(examples, context)`` float32.
        labels: ``(examples, tasks)`` int8: 0, 1 or −1 for masked.
        weights: ``(examples, tasks)`` float32; their mean over all examples is 1 for every task.
    """

    x: NDArray[np.float32]
    c: NDArray[np.float32]
    labels: NDArray[np.int8]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)


def task_labels(dataset: Dataset, tasks: Sequence[TaskSpec]) -> NDArray[np.int8]:
    """Labels ``(rows, tasks)`` in the order of the tasks, masked where a task does not look.

    Raises:
        LabelError: the dataset has no labels for a task.
    """
    columns = []
    for task in tasks:
        if task.name not in dataset.tasks:
            raise LabelError(
                f"the dataset has no labels for {task.name}, only for {', '.join(dataset.tasks)}"
            )
        labels = dataset.labels[:, dataset.tasks.index(task.name)]
        looked_at = rows_that_count(dataset.batch.sequence_index, task.policy)
        columns.append(np.where(looked_at, labels, np.int8(MASKED)))
    return np.stack(columns, axis=1)


def make_examples(
    patterns: Patterns, labels: NDArray[np.int8], rows: NDArray[np.bool_]
) -> Examples:
    """Gathers some rows of a dataset into weighted examples.

    Args:
        patterns: of the whole dataset.
        labels: ``(rows, tasks)`` of the whole dataset, as `task_labels` gives them.
        rows: ``(rows,)`` those to use; a row with all labels masked is left out.
    """
    used = np.flatnonzero(rows & (labels != MASKED).any(axis=1))
    # Labels −1, 0, 1 as digits of base 3 make one number of a row's pattern and labels.
    digits = 3 ** np.arange(labels.shape[1], dtype=np.int64)
    code = (labels[used].astype(np.int64) + 1) @ digits
    kind = patterns.number[used] * 3 ** labels.shape[1] + code
    _, first, counts = np.unique(kind, return_index=True, return_counts=True)
    x, c = patterns.encoded.expand(patterns.number[used[first]])
    chosen = labels[used[first]]
    return Examples(x, c, chosen, _weights(chosen, counts))


def _weights(labels: NDArray[np.int8], counts: NDArray[np.intp]) -> NDArray[np.float32]:
    weights = np.zeros(labels.shape)
    for column in range(labels.shape[1]):
        classes = [labels[:, column] == value for value in (0, 1)]
        present = [of_class for of_class in classes if of_class.any()]
        for of_class in present:
            each = 1 + np.log2(counts[of_class])
            weights[of_class, column] = each * len(labels) / (len(present) * each.sum())
    return weights.astype(np.float32)
