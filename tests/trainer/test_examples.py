"""What a network is trained on: distinct patterns, masks, and weights worked out by hand."""

import math

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import LabelError
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import Patterns, make_examples, task_labels
from trainer.tasks import TASKS, chosen

SYN_DOS, SSDP, RENEGOTIATION = TASKS
SCHEMA = FeatureSchema()


def dataset(*each, tasks=("syn_dos", "ssl_renegotiation")):
    """Rows of (columns, labels)."""
    batch = rows(*(columns for columns, _ in each))
    labels = np.array([labels for _, labels in each], np.int8)
    none = np.zeros(len(batch), np.int32)
    return Dataset(SCHEMA, tasks, (), batch, labels, none, none.astype(np.int64))


def packet(length, index=0, port=1):
    return {
        "ip_length": [length],
        "direction": [1],
        "tcp_flags": [2],
        "protocol": 6,
        "sequence_index": index,
        "source": ("10.0.0.1", port),
    }


ALL = slice(None)


def examples(rows_of, tasks=(SYN_DOS, RENEGOTIATION), used=ALL):
    chosen_rows = np.zeros(len(rows_of), bool)
    chosen_rows[used] = True
    return make_examples(Patterns.of(rows_of), task_labels(rows_of, tasks), chosen_rows)


def test_a_task_looks_only_at_the_rows_of_its_policy():
    rows_of = dataset((packet(40), (1, 1)), (packet(40, index=1), (1, 1)))
    labels = task_labels(rows_of, (RENEGOTIATION, SYN_DOS))
    assert labels.tolist() == [[1, 1], [1, -1]]


def test_a_task_without_labels_is_refused():
    with pytest.raises(LabelError, match="no labels for ssdp_flood, only for syn_dos"):
        task_labels(dataset((packet(40), (1, 1))), (SSDP,))


def test_equal_rows_of_equal_labels_become_one_example_whatever_their_identity():
    rows_of = dataset(
        *((packet(40, port=port), (1, 0)) for port in range(4)),
        (packet(40), (0, 0)),
        (packet(1400), (0, 0)),
    )
    made = examples(rows_of)
    assert len(made) == 3
    assert sorted(map(tuple, made.labels)) == [(0, 0), (0, 0), (1, 0)]
    assert made.x.shape == (3, SCHEMA.n, len(SCHEMA.channels))
    assert made.c.shape == (3, len(SCHEMA.context))


def test_inputs_are_the_rows_on_the_grid_left_padded():
    made = examples(dataset((packet(40), (1, 0)), (packet(1400), (0, 0))))
    column = SCHEMA.channels.index("ip_length")
    positive = int(np.flatnonzero(made.labels[:, 0] == 1)[0])
    assert made.x[positive, -1, column] == round(8 * math.log2(41)) / 128
    assert not made.x[:, :-1].any()
    assert (made.x[:, -1, SCHEMA.channels.index("valid")] == 1).all()


def test_weights_by_hand():
    # Task 1: four equal positives (1 + log2 4 = 3) and two kinds of negatives (1 each) are brought
    # to half of three examples each. Task 2 has one class only, which then gets all the weight.
    rows_of = dataset(
        *((packet(40), (1, 0)) for _ in range(4)), (packet(60), (0, 0)), (packet(80), (0, 0))
    )
    made = examples(rows_of)
    first = dict(zip(made.labels[:, 0].tolist(), made.weights[:, 0].tolist(), strict=True))
    assert first == {1: 1.5, 0: 0.75}
    np.testing.assert_allclose(made.weights.mean(axis=0), 1)
    second = made.weights[made.labels[:, 0] == 1, 1]
    np.testing.assert_allclose(second, 3 * 3 / 5)


def test_masked_labels_weigh_nothing_and_their_task_as_much_as_the_others():
    rows_of = dataset(
        (packet(40), (1, -1)), (packet(60), (0, 1)), (packet(80), (0, 0)), (packet(99), (-1, -1))
    )
    made = examples(rows_of)
    assert len(made) == 3
    assert (made.weights[made.labels == -1] == 0).all()
    np.testing.assert_allclose(made.weights.mean(axis=0), 1)


def test_only_the_chosen_rows_are_used():
    rows_of = dataset((packet(40), (1, 0)), (packet(60), (0, 0)), (packet(80), (0, 1)))
    assert examples(rows_of, used=slice(1)).labels.tolist() == [[1, 0]]


def test_the_names_of_tasks_choose_them():
    assert chosen(["ssl_renegotiation", "syn_dos"]) == (RENEGOTIATION, SYN_DOS)
