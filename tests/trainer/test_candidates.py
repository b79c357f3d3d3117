"""What candidates are drawn from, trained on and tested on."""

import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from tuning_rows import SCHEMA, SPLIT, TASKS, tuning_dataset

from sensor.errors import LabelError, UsageError
from trainer.datasets.splits import Split
from trainer.settings import Settings
from trainer.tuning.algorithm1 import Candidate
from trainer.tuning.candidates import Material, train_candidate

QUICK = Settings(tower_units=(3,), epochs=20, patience=20, batch_size=8, learning_rate=0.02)


def test_flows_are_drawn_of_every_combination_of_labels():
    dataset = tuning_dataset(60)
    material = Material.draw(dataset, SPLIT, TASKS, 5, 0)
    for part in (material.training, material.validation):
        kinds, counts = np.unique(material.labels[part], axis=0, return_counts=True)
        assert kinds.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
        assert counts.tolist() == [5, 5, 5, 5]
    assert not (material.training & material.validation).any()
    assert (material.training == (material.flow < 60)).all()
    assert (material.validation == ((material.flow >= 60) & (material.flow < 120))).all()
    # Numbers of patterns lead to the rows that were drawn.
    sizes = dataset.batch.ip_length[material.flow, 0]
    assert ((sizes > 700) == material.labels[:, 0]).all()
    assert len(material.patterns.encoded) == np.unique(material.patterns.number).size


def test_all_flows_are_drawn_where_there_are_no_more():
    material = Material.draw(tuning_dataset(), SPLIT, TASKS, 1000, 0)
    assert material.flow.tolist() == list(range(80))


def test_flows_are_drawn_whole():
    dataset = tuning_dataset()
    # Rows 2i and 2i + 1 become one flow, whose label is that of its first row.
    flow = np.arange(120) // 2
    labels = dataset.labels[flow * 2]
    dataset = replace(dataset, flow=flow, labels=labels)
    dataset.batch.row[:] = np.arange(120) % 2
    dataset.batch.sequence_index[:] = np.arange(120) % 2
    material = Material.draw(dataset, SPLIT, TASKS, 2, 0)
    numbers, counts = np.unique(material.flow, return_counts=True)
    assert numbers.size == 16
    assert (counts == 2).all()
    # Both tasks look at a flow's first sequence alone.
    assert (material.labels[material.sequence_index == 1] == -1).all()
    assert (material.labels[material.sequence_index == 0] >= 0).all()


def test_the_identity_is_that_of_rows_labels_and_parts():
    dataset = tuning_dataset()
    first = Material.draw(dataset, SPLIT, TASKS, 5, 0)
    assert Material.draw(dataset, SPLIT, TASKS, 5, 0).identity == first.identity
    wrong = replace(dataset, labels=1 - dataset.labels)
    others = [
        Material.draw(dataset, SPLIT, TASKS, 5, 1),
        Material.draw(dataset, SPLIT, TASKS, 6, 0),
        Material.draw(dataset, SPLIT, TASKS[::-1], 5, 0),
        Material.draw(wrong, SPLIT, TASKS, 5, 0),
        Material.draw(dataset, Split("source", ("b",), ("a",), ("c",)), TASKS, 5, 0),
    ]
    assert len({each.identity for each in (first, *others)}) == 6


def test_a_part_that_lacks_a_class_is_refused():
    dataset = tuning_dataset()
    labels = dataset.labels.copy()
    labels[dataset.source == 1, 1] = 0
    with pytest.raises(LabelError, match="no row of validation has ssdp_flood = 1"):
        Material.draw(replace(dataset, labels=labels), SPLIT, TASKS, 5, 0)
    with pytest.raises(LabelError, match="no labels for scan"):
        Material.draw(dataset, SPLIT, ("scan",), 5, 0)
    with pytest.raises(UsageError, match="unknown task 'dig'"):
        Material.draw(dataset, SPLIT, ("dig",), 5, 0)


def test_a_common_network_is_trained_for_all_tasks():
    material = Material.draw(tuning_dataset(), SPLIT, TASKS, 1000, 0)
    trained = train_candidate(material, Candidate(3, 2, TASKS), QUICK, 0)
    assert len(trained.aucs) == 2
    # Which protocol it is shows in one input; how long the packet is takes longer to learn.
    assert trained.aucs[1] > 0.95 > trained.aucs[0] > 0.55
    channels, context = len(SCHEMA.channels), len(SCHEMA.context)
    experts = 2 * 4 * 3 * (channels + 3)
    gates = 2 * 2 * (2 * 3 + context + 1)
    towers = 2 * ((3 + context + 1) * 3 + 3 + 1)
    assert trained.parameters == experts + gates + towers
    assert 1 <= trained.best_epoch <= trained.epochs <= 20
    assert trained.seconds > 0


def test_one_task_and_one_expert_are_a_plain_lstm_and_tested_on_the_validation_flows():
    dataset = tuning_dataset()
    labels = dataset.labels.copy()
    labels[dataset.source == 1, 1] ^= 1  # the contrary of what is learnt
    material = Material.draw(replace(dataset, labels=labels), SPLIT, TASKS, 1000, 0)
    trained = train_candidate(material, Candidate(2, 1, TASKS[1:]), replace(QUICK, patience=2), 1)
    assert len(trained.aucs) == 1
    assert trained.aucs[0] < 0.2
    assert (trained.best_epoch, trained.epochs) == (1, 3)
    channels, context = len(SCHEMA.channels), len(SCHEMA.context)
    assert trained.parameters == 4 * 2 * (channels + 2) + (2 + context + 1) * 3 + 3 + 1
