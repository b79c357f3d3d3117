"""From rows to what a network is trained on: distinct patterns with labels and weights.

A flood is the same few sequences thousands of times over. So equal rows with equal labels become
one example; k of them weigh 1 + log2(k), which keeps what is frequent ahead of what is rare but
lets no flood drown the rest. Then the rarer label of a task is raised, by the square root of how
much the other outweighs it: raised all the way, a few attack rows that look benign would outvote
the benign rows that they look like. Last, all tasks get the same total, however many of their
labels are masked.

A flow's label says that the attack is somewhere in the flow. For a task that looks at every row
of it (policy ``repeat``), the rows before the attack begins are as benign as any, and only the
network can tell which they are. So once it has learnt a little, a positive flow's rows that it
scores below half of the flow's highest are masked, anew in every epoch: learning from bags of
instances (O. Maron and T. Lozano-Pérez, A Framework for Multiple-Instance Learning, 1998).

A label that labeling functions have made is a probability p: the row counts as p rows with label 1
and as 1 − p rows with label 0. Weighted so, the cross entropy is the one expected under the labels
(A. Ratner et al., Snorkel: Rapid Training Data Creation with Weak Supervision, VLDB 2017, section
2.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from sensor.model.encoding import Encoded, encode
from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.labels import MASKED
from trainer.metrics import rows_that_count

LEAST = 0.01
"""Rows that a label counts for, of an example that is worth its time."""


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


def task_likely(dataset: Dataset, tasks: Sequence[TaskSpec]) -> NDArray[np.float32] | None:
    """Probabilities ``(rows, tasks)`` of the labels that `task_labels` gives, where there are any.

    NaN where the label alone is known, and where a task does not look.
    """
    if dataset.likely is None:
        return None
    columns = []
    for task in tasks:
        likely = dataset.likely[:, dataset.tasks.index(task.name)]
        looked_at = rows_that_count(dataset.batch.sequence_index, task.policy)
        columns.append(np.where(looked_at, likely, np.float32(np.nan)))
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class LabelledRows:
    """Rows of one part of a split, of which examples are made.

    Attributes:
        patterns: of the whole dataset.
        labels: ``(rows, tasks)`` int8 of the whole dataset, as `task_labels` gives them.
        flow: ``(rows,)`` int64 of the whole dataset.
        rows: ``(rows,)`` bool, those of this part.
        tasks: the columns of `labels`.
        likely: ``(rows, tasks)`` of the whole dataset, as `task_likely` gives them.
    """

    patterns: Patterns
    labels: NDArray[np.int8]
    flow: NDArray[np.int64]
    rows: NDArray[np.bool_]
    tasks: tuple[TaskSpec, ...]
    likely: NDArray[np.float32] | None = None

    def examples(self) -> Examples:
        """Examples with the labels as they are."""
        return self._examples(self.labels, self.likely)

    def settled_examples(self, score: Callable[[Encoded], NDArray[np.float32]]) -> Examples:
        """Examples without the rows of positive flows in which nothing of the attack shows.

        Args:
            score: gives the network's raw scores ``(b, tasks)`` of encoded rows.
        """
        labels = self.labels.copy()
        likely = None if self.likely is None else self.likely.copy()
        for column, task in enumerate(self.tasks):
            if task.policy != "repeat":
                continue
            positive = np.flatnonzero(self.rows & (labels[:, column] == 1))
            scores = score(self.patterns.encoded.take(self.patterns.number[positive]))[:, column]
            _, flow = np.unique(self.flow[positive], return_inverse=True)
            flow = flow.reshape(-1)
            highest = np.zeros(int(flow.max(initial=-1)) + 1, np.float32)
            np.maximum.at(highest, flow, scores)
            settled = positive[scores < 0.5 * highest[flow]]
            labels[settled, column] = MASKED
            if likely is not None:
                likely[settled, column] = np.nan
        return self._examples(labels, likely)

    def _examples(self, labels: NDArray[np.int8], likely: NDArray[np.float32] | None) -> Examples:
        if likely is not None:
            return self._expected_examples(labels, likely)
        used = np.flatnonzero(self.rows & (labels != MASKED).any(axis=1))
        number = self.patterns.number[used]
        # Labels −1, 0, 1 as digits of base 3 make one number of a row's pattern and labels.
        digits = 3 ** np.arange(labels.shape[1], dtype=np.int64)
        kind = number * 3 ** labels.shape[1] + (labels[used].astype(np.int64) + 1) @ digits
        _, first, counts = np.unique(kind, return_index=True, return_counts=True)
        x, c = self.patterns.encoded.expand(number[first])
        chosen = labels[used[first]]
        return Examples(x, c, chosen, _weights(chosen, counts[:, None]))

    def _expected_examples(self, labels: NDArray[np.int8], likely: NDArray[np.float32]) -> Examples:
        """One example a pattern, with its likelier labels, and another one with the others."""
        yes = np.where(np.isnan(likely), np.where(labels == MASKED, np.nan, labels), likely)
        used = np.flatnonzero(self.rows & ~np.isnan(yes).all(axis=1))
        number, place = np.unique(self.patterns.number[used], return_inverse=True)
        yes, place = yes[used], place.reshape(-1)

        def rows(shares: NDArray[np.float64]) -> NDArray[np.float64]:
            columns = (np.bincount(place, share, len(number)) for share in np.nan_to_num(shares).T)
            return np.stack([*columns], axis=1)

        counts = np.stack([rows(1 - yes), rows(yes)])
        likelier = counts.argmax(axis=0)
        chosen, times = [], []
        for label in (likelier, 1 - likelier):
            of_label = np.take_along_axis(counts, label[None], 0)[0]
            chosen.append(np.where(of_label >= LEAST, label, MASKED).astype(np.int8))
            times.append(of_label)
        of_both, counts = np.concatenate(chosen), np.concatenate(times)
        kept = np.flatnonzero((of_both != MASKED).any(axis=1))
        x, c = self.patterns.encoded.expand(number[kept % len(number)])
        return Examples(x, c, of_both[kept], _weights(of_both[kept], counts[kept]))


def _weights(labels: NDArray[np.int8], counts: NDArray[np.number]) -> NDArray[np.float32]:
    """Weights ``(examples, tasks)`` of labels that count for so many rows each."""
    counts = np.broadcast_to(counts, labels.shape)
    weights = np.zeros(labels.shape)
    for column in range(labels.shape[1]):
        known = labels[:, column] != MASKED
        if not known.any():
            continue
        times = counts[known, column]
        weights[known, column] = np.where(times < 1, times, 1 + np.log2(np.maximum(times, 1)))
        classes = [labels[:, column] == value for value in (0, 1)]
        totals = [weights[of_class, column].sum() for of_class in classes]
        for of_class, total in zip(classes, totals, strict=True):
            if total:
                weights[of_class, column] *= np.sqrt(max(totals) / total)
        weights[:, column] *= len(labels) / weights[:, column].sum()
    return weights.astype(np.float32)
