"""What a network is trained on: distinct patterns, masks, and weights worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import LabelError
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import LabelledRows, Patterns, task_labels, task_likely
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
    return labelled(rows_of, tasks, chosen_rows).examples()


def labelled(rows_of, tasks, chosen_rows):
    labels, likely = task_labels(rows_of, tasks), task_likely(rows_of, tasks)
    return LabelledRows(Patterns.of(rows_of), labels, rows_of.flow, chosen_rows, tasks, likely)


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
    # Task 1: sixteen equal positives weigh 1 + log2 16 = 5, five kinds of negatives 1 each:
    # nothing to bring into balance. Task 2: one positive of 1 against 5 + 4 = 9, so it is raised
    # by 3. Then each task's weights are brought to a mean of 1.
    rows_of = dataset(
        *((packet(40), (1, 0)) for _ in range(16)),
        (packet(60), (0, 1)),
        *((packet(size), (0, 0)) for size in (80, 100, 200, 400)),
    )
    made = examples(rows_of)
    assert len(made) == 6
    labels = made.labels
    flood, lone = labels[:, 0] == 1, labels[:, 1] == 1
    np.testing.assert_allclose(made.weights[flood, 0], 5 * 6 / 10)
    np.testing.assert_allclose(made.weights[~flood, 0], 1 * 6 / 10)
    np.testing.assert_allclose(made.weights[lone, 1], 3 * 6 / 12)
    np.testing.assert_allclose(made.weights[flood, 1], 5 * 6 / 12)
    np.testing.assert_allclose(made.weights[~flood & ~lone, 1], 1 * 6 / 12)


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


def by_length(made, column=0):
    """``{(length, label): weight}`` of the examples with a label of one task."""
    lengths = {round(8 * math.log2(size + 1)): size for size in (40, 60, 80, 99)}
    codes = np.round(made.x[:, -1, SCHEMA.channels.index("ip_length")] * 128).astype(int)
    sizes = [lengths[code] for code in codes.tolist()]
    each = zip(sizes, made.labels.tolist(), made.weights, strict=True)
    return {
        (length, labels[column]): float(weights[column])
        for length, labels, weights in each
        if labels[column] >= 0
    }


def test_labels_that_are_probabilities_count_as_so_many_rows_of_each():
    # Rows of 40 are 1 + 1 + 0.5 + 0.5 = 3 times an attack and once none, which weighs
    # 1 + log2 3 and 1; the row of 60 is 0.2 times one, which weighs 0.2 and 0.8; of the row of 80
    # its label alone is known. Attacks weigh 2.785 in all and the others 2.8, so they are raised
    # a little; the weights of the five examples add up to five. What is unknown is in none.
    rows_of = dataset(
        *((packet(40), (1, 0)) for _ in range(2)),
        *((packet(40), (-1, 0)) for _ in range(2)),
        (packet(60), (0, 0)),
        (packet(80), (0, 0)),
        (packet(99), (-1, -1)),
    )
    some = np.array([1, 1, 0.5, 0.5, 0.2, np.nan, np.nan], np.float32)
    rows_of = replace(rows_of, likely=np.stack([some, np.full(7, np.nan)], axis=1))
    found = by_length(examples(rows_of))
    attacks = {(40, 1): 1 + math.log2(3), (60, 1): 0.2}
    others = {(40, 0): 1.0, (60, 0): 0.8, (80, 0): 1.0}
    raised = math.sqrt(sum(others.values()) / sum(attacks.values()))
    expected = {key: raised * value for key, value in attacks.items()} | others
    whole = sum(expected.values())
    assert found == pytest.approx({key: 5 / whole * value for key, value in expected.items()})
    assert {key[1] for key in by_length(examples(rows_of), 1)} == {0}


def test_a_label_that_is_all_but_sure_makes_one_example():
    rows_of = dataset((packet(40), (1, 0)), (packet(60), (0, 0)), (packet(60), (0, 0)))
    sure = replace(rows_of, likely=np.array([[0.992, 0], [0.004, 0], [0.007, 0]], np.float32))
    assert set(by_length(examples(sure))) == {(40, 1), (60, 0), (60, 1)}
    sure.likely[2, 0] = 0.005
    assert set(by_length(examples(sure))) == {(40, 1), (60, 0)}


def in_flows(*each):
    """Rows of (length, flow, labels) with their flows."""
    rows_of = dataset(*((packet(length, index=1), labels) for length, _, labels in each))
    rows_of.flow[:] = [flow for _, flow, _ in each]
    return rows_of


def test_rows_of_a_positive_flow_that_show_nothing_are_masked_for_tasks_that_repeat():
    rows_of = in_flows(
        (40, 0, (0, 1)), (60, 0, (0, 1)), (80, 0, (0, 1)), (60, 1, (0, 1)), (80, 2, (0, 0))
    )
    scores = {40: 0.9, 60: 0.44, 80: 0.46}

    def score(encoded):
        column = encoded.schema.fields.index("ip_length")
        lengths = {round(8 * np.log2(size + 1)): value for size, value in scores.items()}
        each = [lengths[code] for code in encoded.codes[:, -1, column]]
        return np.stack([np.zeros(len(each)), each], axis=1).astype(np.float32)

    part = labelled(rows_of, (SYN_DOS, RENEGOTIATION), np.ones(5, bool))
    settled = part.settled_examples(score)
    # Flow 0 keeps 40 and 80 (0.46 is more than half of 0.9), flow 1 its only row, flow 2 is benign.
    column = SCHEMA.channels.index("ip_length")
    lengths = np.round(2 ** (settled.x[:, -1, column] * 128 / 8)).astype(int) - 1
    seen = sorted(zip(lengths.tolist(), settled.labels[:, 1].tolist(), strict=True))
    assert [label for _, label in seen] == [1, 1, 0, 1]
    assert len(part.examples()) == 4
    assert (part.labels[:, 1] >= 0).all()
    likely = np.stack([np.zeros(5), (0.9, 0.9, 0.9, 1, 0)], axis=1).astype(np.float32)
    settled = replace(part, likely=likely).settled_examples(score)
    # The row of 60 is an attack in flow 1 alone, so it weighs no more than that of 40.
    assert by_length(settled, 1).keys() == {(40, 1), (40, 0), (60, 1), (80, 1), (80, 0)}
    assert (likely[:, 1] > 0).sum() == 4


def test_tasks_that_look_at_the_first_rows_keep_all_labels():
    rows_of = dataset((packet(40), (1, 0)), (packet(60), (1, 0)))
    part = labelled(rows_of, (SYN_DOS,), np.ones(2, bool))
    settled = part.settled_examples(lambda encoded: np.zeros((len(encoded), 1), np.float32))
    assert settled.labels.tolist() == [[1], [1]]


def test_the_names_of_tasks_choose_them():
    assert chosen(["ssl_renegotiation", "syn_dos"]) == (RENEGOTIATION, SYN_DOS)
