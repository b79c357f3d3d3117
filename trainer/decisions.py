"""What a network's raw scores on held-out rows decide: calibration, thresholds, recall."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sensor.model.inference import calibrate as calibrated_scores
from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import task_labels
from trainer.evaluation import flow_scores
from trainer.incidents import opening_scores
from trainer.thresholds import calibrate, choose_threshold


def decide(
    dataset: Dataset,
    patterns: NDArray[np.int64],
    tasks: Sequence[TaskSpec],
    raw: NDArray[np.float32],
    allowed: int,
) -> tuple[TaskSpec, ...]:
    """Calibrates tasks and chooses their thresholds.

    Args:
        dataset: held-out rows.
        patterns: ``(rows,)`` numbers of their patterns.
        tasks: to decide.
        raw: ``(rows, tasks)`` raw scores.
        allowed: false incidents that benign traffic may make, for each task.
    """
    labels = task_labels(dataset, tasks)
    decided = []
    for column, task in enumerate(tasks):
        of_task = labels[:, column]
        flows = flow_scores(dataset, patterns, task, of_task, raw[:, column])
        calibrated = replace(task, calibration=calibrate(flows.scores, flows.labels))
        scores = calibrated_scores([calibrated], raw[:, column, None])[:, 0]
        benign, attack = opening_scores(dataset, calibrated, of_task, scores)
        threshold = choose_threshold(np.array(benign), np.array(attack), allowed)
        decided.append(replace(calibrated, threshold=threshold))
    return tuple(decided)


def attack_recalls(
    dataset: Dataset,
    patterns: NDArray[np.int64],
    tasks: Sequence[TaskSpec],
    raw: NDArray[np.float32],
) -> tuple[float, ...]:
    """Share of the attack flows at or above each task's threshold; arguments as in `decide`."""
    labels, scores = task_labels(dataset, tasks), calibrated_scores(tasks, raw)
    each = []
    for column, task in enumerate(tasks):
        flows = flow_scores(dataset, patterns, task, labels[:, column], scores[:, column])
        each.append(float((flows.scores[flows.labels == 1] >= task.threshold).mean()))
    return tuple(each)


SILENCE_NS = 120_000_000_000
"""Longer silences of all flows of a source are no time that it was watched: captures that were
joined from several of different days say nothing about the days between."""


def spanned_seconds(dataset: Dataset) -> float:
    """Packet time that the rows span, source by source, less silences above `SILENCE_NS`."""
    total = 0
    for source in np.unique(dataset.source):
        rows = dataset.source == source
        start = dataset.batch.flow_start_ns[rows]
        order = np.argsort(start, kind="stable")
        start, last = start[order], np.maximum.accumulate(dataset.batch.last_packet_ns[rows][order])
        gaps = start[1:] - last[:-1]
        total += int(last[-1] - start[0]) - int(gaps[gaps > SILENCE_NS].sum())
    return total / 1e9
