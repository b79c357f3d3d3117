"""Negative filling: what is not known to be an attack is taken as none.

MULTA, section IV-B, merges datasets of single tasks for Aurora: "we merge the three datasets into
one and supplement the missing labels in other task dimensions with negative labels (i.e., mark
them as "normal" traffic)", and calls the procedure error-prone. It is: a filled label that is
wrong teaches the wrong thing. So only training labels are filled; what a network is judged by and
tuned on is known.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import task_labels
from trainer.datasets.labels import MASKED


def labels_for_training(
    dataset: Dataset,
    tasks: Sequence[TaskSpec],
    training: NDArray[np.bool_],
    unknown: Literal["mask", "negative"],
) -> NDArray[np.int8]:
    """Labels ``(rows, tasks)`` of all parts, those of the training rows filled if that is wanted.

    Where a task does not look, its label stays masked.

    Args:
        dataset: the rows.
        tasks: the columns.
        training: ``(rows,)``.
        unknown: whether unknown labels of training rows are masked or 0.

    Raises:
        LabelError: the dataset has no labels for a task.
    """
    labels = task_labels(dataset, tasks)
    if unknown == "negative":
        known = np.where(dataset.labels == MASKED, np.int8(0), dataset.labels)
        filled = task_labels(replace(dataset, labels=known), tasks)
        labels[training] = filled[training]
    return labels
