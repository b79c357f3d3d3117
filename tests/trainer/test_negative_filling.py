"""Negative filling: which labels become 0, and which never do."""

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import LabelError
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset, SourceRecord
from trainer.datasets.splits import Split
from trainer.paradigms.negative_filling import labels_for_training
from trainer.runs import train
from trainer.settings import Settings
from trainer.tasks import TASKS

U = -1
NAMES = tuple(task.name for task in TASKS)


def dataset():
    """Five rows; the last two are repeated sequences, at which only the third task looks."""
    batch = rows(
        *(
            {"ip_length": [60], "direction": [1], "sequence_index": index}
            for index in (0, 0, 0, 1, 1)
        )
    )
    labels = np.array([[U, 1, 0], [0, U, U], [U, U, U], [U, 1, U], [1, U, U]], np.int8)
    number = np.arange(5)
    return Dataset(FeatureSchema(), NAMES, (), batch, labels, number.astype(np.int32) * 0, number)


def test_masks_stay_masks_unless_filling_is_asked_for():
    training = np.ones(5, bool)
    labels = labels_for_training(dataset(), TASKS, training, "mask")
    expected = [[U, 1, 0], [0, U, U], [U, U, U], [U, U, U], [U, U, U]]
    assert labels.tolist() == expected


def test_unknown_is_negative_in_training_rows_only_and_where_a_task_looks():
    training = np.array([True, True, False, True, False])
    given = dataset()
    labels = labels_for_training(given, TASKS, training, "negative")
    assert labels.tolist() == [[0, 1, 0], [0, 0, 0], [U, U, U], [U, U, 0], [U, U, U]]
    assert given.labels.tolist() == dataset().labels.tolist()  # the dataset itself is unchanged


def test_a_run_fills_training_labels_and_is_judged_by_known_ones(tmp_path):
    """Of the second task, each recording says only where it is."""
    sizes = [{"ip_length": [60 + i], "direction": [1]} for i in range(8)]
    records = tuple(
        SourceRecord(name, name, name, "", (), "0", 4, 0, 4, 4, 0, 1) for name in ("a", "b")
    )
    labels = np.array([[0, U], [1, U], [0, 1], [1, 1]] * 2, np.int8)
    source = np.repeat(np.arange(2, dtype=np.int32), 4)
    given = Dataset(FeatureSchema(), NAMES[:2], records, rows(*sizes), labels, source, np.arange(8))
    split = Split("source", ("a",), ("b",), ())
    for unknown, part in (("mask", "train"), ("negative", "validation")):
        settings = Settings(unknown=unknown)
        with pytest.raises(LabelError, match=f"no row of {part} has ssdp_flood = 0"):
            train(given, NAMES[:2], settings, split, (0,), 1.0, tmp_path / "run")
