"""Figures of merit over scores and labels, in numpy.

`docs/semantics.md` 8: a flow's score for a task is that of its last row of sequence 0 (policy
``first``) or its highest (policy ``repeat``).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]


def roc_auc(labels: NDArray[np.integer], scores: Scores) -> float:
    """Chance that a positive scores above a negative, ties counting half; NaN for one class."""
    positive = labels == 1
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return float("nan")
    _, kind, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    rank = (last - (counts - 1) / 2)[kind.reshape(-1)]
    count = int(positive.sum())
    return float((rank[positive].sum() - count * (count + 1) / 2) / pairs)


def average_precision(labels: NDArray[np.integer], scores: Scores) -> float:
    """Area under the precision-recall curve as the sum of precision · gained recall.

    NaN without a positive.
    """
    found, false = _cumulative(labels, scores)
    if not found.size or not found[-1]:
        return float("nan")
    precision = found / (found + false)
    gained = np.diff(found, prepend=0) / found[-1]
    return float((precision * gained).sum())


def roc_curve(labels: NDArray[np.integer], scores: Scores) -> tuple[Scores, Scores]:
    """False-positive and true-positive rates at every distinct score, from (0, 0) to (1, 1)."""
    found, false = _cumulative(labels, scores)
    both = (np.concatenate([[0], false]), np.concatenate([[0], found]))
    return both[0] / max(1, both[0][-1]), both[1] / max(1, both[1][-1])


def _cumulative(
    labels: NDArray[np.integer], scores: Scores
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives and negatives at or above each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], labels[order] == 1
    ends = (
        np.flatnonzero(np.append(np.diff(ranked) != 0, True)) if ranked.size else np.zeros(0, int)
    )
    found = np.cumsum(positive)[ends]
    return found, ends + 1 - found


@dataclass(frozen=True)
class FlowScores:
    """One entry a flow whose label is known.

    Attributes:
        labels: ``(flows,)`` 0 or 1.
        scores: ``(flows,)``.
        patterns: ``(flows,)`` int64, equal where the scored rows were equal to the network.
        rows: ``(flows,)`` index of the row that gave the score.
    """

    labels: NDArray[np.int8]
    scores: Scores
    patterns: NDArray[np.int64]
    rows: NDArray[np.intp]

    def distinct(self) -> "FlowScores":
        """One flow for each (pattern, label): the first."""
        pairs = np.stack([self.patterns, self.labels.astype(np.int64)], axis=1)
        _, first = np.unique(pairs, axis=0, return_index=True)
        first.sort()
        return FlowScores(
            self.labels[first], self.scores[first], self.patterns[first], self.rows[first]
        )


def rows_that_count(
    sequence_index: NDArray[np.int32], policy: Literal["first", "repeat"]
) -> NDArray[np.bool_]:
    """Rows at which a task of this policy looks."""
    return sequence_index == 0 if policy == "first" else np.ones(sequence_index.size, bool)


def by_flow(
    policy: Literal["first", "repeat"],
    *,
    scores: Scores,
    labels: NDArray[np.int8],
    patterns: NDArray[np.int64],
    flow: NDArray[np.int64],
    row: NDArray[np.int32],
    sequence_index: NDArray[np.int32],
) -> FlowScores:
    """Gathers rows into flows; rows with a masked label are left out.

    Args:
        policy: of the task.
        scores: ``(rows,)`` of the task.
        labels: ``(rows,)`` of the task.
        patterns: ``(rows,)`` numbers of the patterns.
        flow: ``(rows,)`` flow of each row.
        row: ``(rows,)`` number of the row within its flow.
        sequence_index: ``(rows,)`` as in `SequenceBatch`.
    """
    counts = np.flatnonzero(rows_that_count(sequence_index, policy) & (labels >= 0))
    deciding = row[counts] if policy == "first" else scores[counts]
    # The deciding row stands last within its flow; of equal scores, the earliest decides.
    order = counts[np.lexsort((-row[counts], deciding, flow[counts]))]
    last = np.append(np.diff(flow[order]) != 0, True) if order.size else np.zeros(0, bool)
    chosen = order[last]
    return FlowScores(labels[chosen], scores[chosen], patterns[chosen], chosen)
