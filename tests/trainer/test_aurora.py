"""Aurora: the global loss against a calculation by hand, masks, and learning."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from sensor.model.schema import FeatureSchema
from trainer.datasets.examples import Examples
from trainer.models.lmmoe import build
from trainer.paradigms.aurora import Aurora
from trainer.weighting.fixed import Fixed

SCHEMA = FeatureSchema(lengths=(4,))
TASKS = ("syn_dos", "ssdp_flood")


def drawn(count=64, seed=0):
    """Examples whose first label says whether the last packet is long."""
    generator = np.random.default_rng(seed)
    x = generator.random((count, SCHEMA.n, len(SCHEMA.channels))).astype(np.float32)
    c = generator.random((count, len(SCHEMA.context))).astype(np.float32)
    labels = np.stack([x[:, -1, 0] > 0.5, c[:, 0] > 0.5], axis=1).astype(np.int8)
    return Examples(x, c, labels, np.ones((count, 2), np.float32))


def aurora(weights=(1.0, 1.0), seed=1, batch_size=16):
    keras.utils.set_random_seed(seed)
    model = build(SCHEMA, TASKS, experts=2, units=4)
    optimizer = keras.optimizers.Adam(0.02)
    return model, Aurora(model, optimizer, TASKS, Fixed(weights), batch_size=batch_size, seed=seed)


def test_losses_by_hand():
    examples = drawn()
    examples.labels[:5, 0] = -1
    examples.weights[:] = np.random.default_rng(2).random(examples.weights.shape)
    model, paradigm = aurora(weights=(2.0, 0.5))
    outputs = model.predict({"x": examples.x, "c": examples.c}, verbose=0)
    expected = []
    for column, task in enumerate(TASKS):
        score = outputs[task][:, 0].astype(np.float64)
        label = examples.labels[:, column]
        right = np.where(label == 1, score, 1 - score)
        weight = np.where(label >= 0, examples.weights[:, column], 0)
        expected.append(float((-np.log(right) * weight).mean()))
    losses = paradigm.losses(examples)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert paradigm.global_loss(losses) == pytest.approx(2 * expected[0] + 0.5 * expected[1])


def test_an_epoch_learns_both_tasks_at_once():
    examples = drawn(256)
    _, paradigm = aurora()
    before = paradigm.losses(examples)
    for _ in range(30):
        paradigm.epoch(examples)
    after = paradigm.losses(examples)
    assert all(late < 0.5 * early for early, late in zip(before, after, strict=True))


def trained_weights(examples, **settings):
    model, paradigm = aurora(**settings)
    paradigm.epoch(examples)
    return model.get_weights()


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_masked_label_teaches_nothing_whatever_its_weight():
    examples, other = drawn(), drawn()
    for each, weight in ((examples, 1.0), (other, 9.0)):
        each.labels[::2, 0] = -1
        each.weights[::2, 0] = weight
    assert same(trained_weights(examples), trained_weights(other))
    other.weights[1, 0] = 9.0
    assert not same(trained_weights(examples), trained_weights(other))


def test_a_task_of_weight_0_changes_neither_gate_nor_tower_of_its_own():
    model, paradigm = aurora(weights=(1.0, 0.0))
    layers = ["gate_ssdp_flood", "tower_ssdp_flood_0", "ssdp_flood"]
    before = [model.get_layer(name).get_weights() for name in layers]
    paradigm.epoch(drawn())
    after = [model.get_layer(name).get_weights() for name in layers]
    assert all(same(one, other) for one, other in zip(before, after, strict=True))


def test_the_seed_decides_the_order_of_the_examples():
    examples = drawn()
    assert same(trained_weights(examples, seed=3), trained_weights(examples, seed=3))


def test_every_example_counts_once_in_the_mean_even_in_a_short_last_batch():
    examples = drawn(50)
    _, paradigm = aurora(batch_size=16)
    _, whole = aurora(batch_size=50)
    assert paradigm.losses(examples) == pytest.approx(whole.losses(examples), rel=1e-5)
