"""Rainbow: minisets, their order, and what stays frozen meanwhile."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from sensor.model.schema import FeatureSchema
from trainer.datasets.examples import Examples
from trainer.models.lmmoe import build, own_layers
from trainer.paradigms.aurora import Aurora
from trainer.paradigms.rainbow import Rainbow, of_task, steps
from trainer.weighting.fixed import Fixed
from trainer.weighting.homoscedastic import Homoscedastic

SCHEMA = FeatureSchema(lengths=(4,))
TASKS = ("syn_dos", "ssdp_flood")


def drawn(count=64, seed=0, known=0.75):
    """Examples numbered by their first context field, each label known with a chance."""
    generator = np.random.default_rng(seed)
    x = generator.random((count, SCHEMA.n, len(SCHEMA.channels))).astype(np.float32)
    c = generator.random((count, len(SCHEMA.context))).astype(np.float32)
    labels = np.stack([x[:, -1, 0] > 0.5, c[:, 1] > 0.5], axis=1).astype(np.int8)
    labels[generator.random(labels.shape) >= known] = -1
    c[:, 0] = np.arange(count)
    return Examples(x, c, labels, generator.random((count, 2)).astype(np.float32) + 0.5)


def rainbow(weighting=None, *, seed=1, batch_size=8, minisets=3, freeze=(), rate=0.02):
    keras.utils.set_random_seed(seed)
    model = build(SCHEMA, TASKS, experts=2, units=2)
    for name in freeze:
        model.get_layer(name).trainable = False
    optimizer = keras.optimizers.Adam(rate)
    weighting = weighting or Fixed((1.0, 1.0))
    settings = {"batch_size": batch_size, "seed": seed, "minisets": minisets}
    return model, Rainbow(model, optimizer, TASKS, weighting, **settings)


def watched(paradigm):
    """What each step was given from now on: (task, numbers of the examples, their labels)."""
    seen = []

    def watch(column, step):
        def learn(x, c, labels, weights):
            seen.append((column, c[:, 0].numpy().astype(int).tolist(), labels.numpy()))
            return step(x, c, labels, weights)

        return learn

    paradigm._learn = [watch(column, step) for column, step in enumerate(paradigm._learn)]
    return seen


def test_an_epoch_visits_every_row_of_every_miniset_once_in_turns():
    examples = drawn()
    _, paradigm = rainbow()
    seen = watched(paradigm)
    paradigm.epoch(examples)
    for column in (0, 1):
        visited = [number for task, numbers, _ in seen if task == column for number in numbers]
        assert sorted(visited) == np.flatnonzero(examples.labels[:, column] >= 0).tolist()
        for task, numbers, labels in seen:
            if task == column:
                assert labels[:, 0].tolist() == examples.labels[numbers, column].tolist()
    turns = [task for i, (task, *_) in enumerate(seen) if i == 0 or seen[i - 1][0] != task]
    assert turns == [0, 1] * 3
    assert len(seen) == steps(examples, 8, 3)
    # Minisets of a task are even: rows of a turn differ by one at most.
    sizes = np.zeros((2, 3), int)
    turn = -1
    for i, (task, numbers, _) in enumerate(seen):
        turn += task == 0 and (i == 0 or seen[i - 1][0] == 1)
        sizes[task, turn] += len(numbers)
    assert (np.ptp(sizes, axis=1) <= 1).all()


def weights_of(layers):
    return [value for layer in layers for value in layer.get_weights()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_layers_of_tasks_that_a_miniset_does_not_involve_do_not_change_by_one_bit():
    examples = drawn()
    weighting = Homoscedastic(2)
    model, paradigm = rainbow(weighting)
    headers = [own_layers(model, name) for name in TASKS]
    paradigm.epoch(examples)  # the optimizer now has momentum for both
    rows = np.arange(10)
    for column in (0, 1):
        mine, others = (weights_of(headers[i]) for i in (column, 1 - column))
        experts = model.get_layer("expert_0").get_weights()
        uncertain = [float(each.value) for each in weighting.variables((0, 1))]
        paradigm._miniset(column, of_task(examples, column), rows)
        assert same(weights_of(headers[1 - column]), others)
        assert not same(weights_of(headers[column]), mine)
        assert not same(model.get_layer("expert_0").get_weights(), experts)
        after = [float(each.value) for each in weighting.variables((0, 1))]
        assert [a != b for a, b in zip(after, uncertain, strict=True)] == [column == 0, column == 1]


def test_layers_that_were_frozen_before_stay_so():
    model, paradigm = rainbow(freeze=("expert_0", "gate_syn_dos"))
    before = [model.get_layer(name).get_weights() for name in ("expert_0", "gate_syn_dos")]
    moving = model.get_layer("expert_1").get_weights()
    paradigm.epoch(drawn(32))
    after = [model.get_layer(name).get_weights() for name in ("expert_0", "gate_syn_dos")]
    assert all(same(one, other) for one, other in zip(before, after, strict=True))
    assert not same(model.get_layer("expert_1").get_weights(), moving)


def test_losses_are_those_of_aurora_on_the_same_examples():
    """At a learning rate of 0 nothing changes in between."""
    examples = drawn()
    keras.utils.set_random_seed(1)
    model = build(SCHEMA, TASKS, experts=2, units=2)
    still = keras.optimizers.SGD(0.0)
    kinds = {"batch_size": 8, "seed": 1}
    one = Aurora(model, still, TASKS, Fixed((1.0, 1.0)), **kinds)
    other = Rainbow(model, still, TASKS, Fixed((1.0, 1.0)), minisets=3, **kinds)
    assert other.epoch(examples) == pytest.approx(one.losses(examples), rel=1e-5)
    assert other.losses(examples) == one.losses(examples)


def test_it_learns_both_tasks():
    examples = drawn(96)
    _, paradigm = rainbow(batch_size=48, minisets=1, rate=0.05)
    before = paradigm.losses(examples)
    for _ in range(16):
        paradigm.epoch(examples)
    after = paradigm.losses(examples)
    assert all(late < 0.7 * early for early, late in zip(before, after, strict=True))


def test_the_seed_decides_what_is_in_a_miniset():
    orders = []
    for seed in (3, 3, 4):
        _, paradigm = rainbow(seed=seed)
        # Nothing is learnt: no step is compiled.
        paradigm._learn = [lambda *_: np.zeros(1)] * 2
        seen = watched(paradigm)
        for _ in range(2):
            paradigm.epoch(drawn(16))
        orders.append([numbers for _, numbers, _ in seen])
    assert orders[0] == orders[1] != orders[2]
    half = len(orders[0]) // 2
    assert orders[0][:half] != orders[0][half:]  # an epoch draws them anew


def test_a_task_with_fewer_labels_than_minisets_is_learnt_all_the_same():
    examples = drawn(16, known=1.0)
    examples.labels[2:, 1] = -1
    _, paradigm = rainbow(minisets=4)
    seen = watched(paradigm)
    losses = paradigm.epoch(examples)
    assert sum(len(numbers) for task, numbers, _ in seen if task == 1) == 2
    assert len(seen) == steps(examples, 8, 4) == 6
    assert np.isfinite(losses).all()
