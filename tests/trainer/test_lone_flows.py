"""Lone flows: no context, and no label of what takes several flows."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from flow_rows import rows

from sensor.flows.sequences import CONTEXT_COLUMNS
from sensor.model.encoding import encode
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import Examples, LabelledRows, Patterns, task_labels
from trainer.datasets.lone_flows import some_alone
from trainer.export import keras_scores
from trainer.fit import fit
from trainer.settings import Settings
from trainer.tasks import chosen

SYN_DOS, RENEGOTIATION, SLOW_HTTP = chosen(["syn_dos", "ssl_renegotiation", "slow_http"])
SCHEMA = FeatureSchema()


def made(count, tasks=3):
    """Examples with random context and labels, among them masked ones; two weights a task."""
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, (count, tasks)).astype(np.int8)
    weights = np.where(labels == -1, 0, np.where(labels == 1, 3, 1)).astype(np.float32)
    x = rng.random((count, 4, 2)).astype(np.float32)
    c = rng.uniform(0.1, 1, (count, 6)).astype(np.float32)
    return Examples(x, c, labels, weights)


def test_a_drawn_share_has_no_context_and_no_labels_of_what_takes_several_flows():
    examples = made(4000)
    shown = some_alone(
        examples, (SYN_DOS, RENEGOTIATION, SLOW_HTTP), 0.25, np.random.default_rng(1)
    )
    alone = ~shown.c.any(axis=1)
    assert alone.mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(shown.c[~alone], examples.c[~alone])
    np.testing.assert_array_equal(shown.x, examples.x)
    # One connection is a renegotiation attack; a flood is not one SYN, nor one slow request.
    for column in (0, 2):
        assert (shown.labels[alone, column] == -1).all()
        assert (shown.weights[alone, column] == 0).all()
        np.testing.assert_array_equal(shown.labels[~alone, column], examples.labels[~alone, column])
    np.testing.assert_array_equal(shown.labels[:, 1], examples.labels[:, 1])
    np.testing.assert_array_equal(shown.weights[:, 1], examples.weights[:, 1])


def test_a_task_weighs_as_much_as_before_and_its_labels_as_much_against_each_other():
    examples = made(4000)
    shown = some_alone(examples, (SYN_DOS, RENEGOTIATION, SLOW_HTTP), 0.4, np.random.default_rng(1))
    np.testing.assert_allclose(shown.weights.sum(axis=0), examples.weights.sum(axis=0), rtol=1e-4)
    for column in range(3):
        weigh = [shown.weights[shown.labels[:, column] == label, column] for label in (0, 1)]
        np.testing.assert_allclose(weigh[0], weigh[0][0])
        np.testing.assert_allclose(weigh[1], 3 * weigh[0][0], rtol=1e-5)


def test_each_epoch_draws_anew_and_leaves_the_examples_as_they_are():
    examples, rng = made(200), np.random.default_rng(1)
    before = [column.copy() for column in (examples.c, examples.labels, examples.weights)]
    tasks = (SYN_DOS, RENEGOTIATION, SLOW_HTTP)
    first, second = (some_alone(examples, tasks, 0.5, rng) for _ in "12")
    assert (first.c != second.c).any()
    for column, old in zip((examples.c, examples.labels, examples.weights), before, strict=True):
        np.testing.assert_array_equal(column, old)


def test_without_a_share_nothing_changes():
    examples = made(10)
    assert some_alone(examples, (SYN_DOS,) * 3, 0.0, np.random.default_rng(1)) is examples


def test_a_task_whose_labels_are_all_unknown_stays_so():
    examples = made(50, tasks=1)
    nothing = Examples(
        examples.x, examples.c, np.full((50, 1), -1, np.int8), np.zeros((50, 1), np.float32)
    )
    assert not some_alone(nothing, (SYN_DOS,), 0.5, np.random.default_rng(1)).weights.any()


def test_the_context_of_a_lone_flow_is_zero_in_every_field():
    encoded = encode(SCHEMA, rows({"ip_length": [40], "direction": [1], "protocol": 6}))
    assert not encoded.expand()[1].any()


def counted(lengths, counts):
    """One-packet flows of TLS with their lengths and counts of new flows."""
    batch = rows(*({"ip_length": [each], "direction": [1], "protocol": 6} for each in lengths))
    batch.context[:] = np.repeat(counts[:, None], len(CONTEXT_COLUMNS), axis=1)
    return batch


def labelled(count, seed):
    """Attacks are longer, and begin among many flows, as one attacker's connections do."""
    rng = np.random.default_rng(seed)
    attack = np.arange(count) % 2 == 1
    lengths = np.where(attack, rng.integers(900, 1400, count), rng.integers(40, 120, count))
    batch = counted(lengths.tolist(), np.where(attack, rng.integers(20, 60, count), 0))
    labels = attack.astype(np.int8)[:, None]
    number = np.arange(count)
    dataset = Dataset(
        SCHEMA, ("ssl_renegotiation",), (), batch, labels, number.astype(np.int32) * 0, number
    )
    known = task_labels(dataset, (RENEGOTIATION,))
    everything = np.ones(count, bool)
    return LabelledRows(Patterns.of(dataset), known, dataset.flow, everything, (RENEGOTIATION,))


@pytest.mark.parametrize(("share", "found"), [(0.0, False), (0.5, True)])
def test_an_attack_that_comes_alone_is_recognised_if_lone_flows_were_shown(share, found):
    settings = Settings(
        experts=1,
        units=4,
        tower_units=(4,),
        epochs=40,
        patience=40,
        batch_size=16,
        learning_rate=0.05,
        alone=share,
    )
    names = ("ssl_renegotiation",)
    fitted = fit(SCHEMA, names, settings, 3, labelled(600, 0), labelled(200, 1))
    lengths = [1000, 1100, 1200, 1300]
    alone = encode(SCHEMA, counted(lengths, np.zeros(len(lengths), np.int64)))
    scores = keras_scores(fitted.model, alone, names)[:, 0]
    assert (scores > 0.5).all() if found else (scores < 0.5).all()
