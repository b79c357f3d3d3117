"""Weightings of losses against calculations by hand, and what a paradigm makes of them."""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
import tensorflow as tf

from sensor.errors import UsageError
from sensor.model.schema import FeatureSchema
from trainer.datasets.examples import Examples
from trainer.models.lmmoe import build
from trainer.paradigms.aurora import Aurora
from trainer.settings import Settings
from trainer.weighting.dynamic_average import DynamicAverage
from trainer.weighting.fixed import Fixed
from trainer.weighting.homoscedastic import Homoscedastic
from trainer.weighting.interface import weighting_of


def objective(weighting, losses, columns):
    return float(weighting.objective(tf.constant(losses, tf.float32), columns))


def test_fixed_weights_make_a_weighted_sum():
    weighting = Fixed((2.0, 0.5, 1.0))
    assert objective(weighting, [3.0, 4.0, 10.0], (0, 1, 2)) == 18.0
    assert objective(weighting, [4.0], (1,)) == 2.0
    assert weighting.judged.tolist() == [2.0, 0.5, 1.0]
    assert weighting.variables((0, 1, 2)) == []


def test_uncertainties_begin_as_equal_weights_and_follow_their_formula():
    weighting = Homoscedastic(2)
    assert objective(weighting, [3.0, 4.0], (0, 1)) == 7.0
    of_both = weighting.variables((0, 1))
    of_both[0].assign(math.log(4.0))  # a variance of 4: 3/4 + ln 2
    assert objective(weighting, [3.0, 4.0], (0, 1)) == pytest.approx(0.75 + math.log(2) + 4)
    assert objective(weighting, [3.0], (0,)) == pytest.approx(0.75 + math.log(2))
    assert weighting.variables((1,)) == of_both[1:]
    assert weighting.judged.tolist() == [1.0, 1.0]


def test_the_uncertainty_of_a_constant_loss_settles_where_the_derivative_is_0():
    """−exp(−s)·L + 1/2 = 0 at exp(s) = 2·L."""
    weighting = Homoscedastic(1)
    (variable,) = weighting.variables((0,))
    for _ in range(200):
        with tf.GradientTape() as tape:
            loss = weighting.objective(tf.constant([0.3]), (0,))
        variable.assign(variable.value - 0.5 * tape.gradient(loss, variable.value))
    assert math.exp(float(variable.value)) == pytest.approx(0.6, rel=1e-3)


def test_dynamic_average_by_hand():
    weighting = DynamicAverage(2)
    weighting.after_epoch([1.0, 2.0])
    assert objective(weighting, [3.0, 4.0], (0, 1)) == 7.0  # one epoch: no ratio yet
    weighting.after_epoch([0.5, 2.0])
    # Ratios 0.5 and 1 over T = 2: exp(0.25) = 1.2840, exp(0.5) = 1.6487, times 2 / 2.9327.
    assert objective(weighting, [1.0], (0,)) == pytest.approx(0.87564, abs=1e-5)
    assert objective(weighting, [1.0], (1,)) == pytest.approx(1.12436, abs=1e-5)
    assert weighting.judged.tolist() == [1.0, 1.0]


def test_a_loss_that_was_0_does_not_upset_the_average():
    weighting = DynamicAverage(2)
    weighting.after_epoch([0.0, 1.0])
    weighting.after_epoch([0.0, 1.0])
    assert objective(weighting, [3.0, 4.0], (0, 1)) == pytest.approx(7.0)


def test_settings_name_the_weighting():
    assert weighting_of(Settings(), 2).judged.tolist() == [1.0, 1.0]
    assert weighting_of(Settings(task_weights=(2.0, 3.0)), 2).judged.tolist() == [2.0, 3.0]
    assert isinstance(weighting_of(Settings(weighting="uncertainty"), 2), Homoscedastic)
    assert isinstance(weighting_of(Settings(weighting="dynamic"), 2), DynamicAverage)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weighting": "none"}, "weighting is not one of fixed, uncertainty, dynamic"),
        ({"paradigm": "monsoon"}, "paradigm is not one of aurora, rainbow"),
        ({"unknown": "guess"}, "unknown is not one of mask, negative"),
        ({"minisets": 0}, "minisets is not a whole number from 1 on"),
        ({"paradigm": "rainbow", "unknown": "negative"}, "is for aurora"),
        ({"weighting": "dynamic", "task_weights": (1.0,)}, "weighting is dynamic"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        Settings(**values)


@pytest.mark.parametrize("kind", [Homoscedastic, DynamicAverage])
def test_weights_change_while_a_network_learns(kind):
    schema, tasks = FeatureSchema(lengths=(4,)), ("syn_dos", "ssdp_flood")
    generator = np.random.default_rng(0)
    x = generator.random((64, schema.n, len(schema.channels))).astype(np.float32)
    c = generator.random((64, len(schema.context))).astype(np.float32)
    # The first task can be learnt, the second is chance.
    labels = np.stack([c[:, 0] > 0.5, generator.random(64) > 0.5], axis=1).astype(np.int8)
    keras.utils.set_random_seed(1)
    model, weighting = build(schema, tasks, experts=1, units=2), kind(2)
    paradigm = Aurora(model, keras.optimizers.Adam(0.02), tasks, weighting, batch_size=16, seed=1)
    for _ in range(12):
        paradigm.epoch(Examples(x, c, labels, np.ones((64, 2), np.float32)))
    weights = [
        objective(weighting, [1.0], (i,)) - objective(weighting, [0.0], (i,)) for i in (0, 1)
    ]
    # Uncertainty favours the task that is learnt, the average the one that lags.
    assert (weights[0] > weights[1]) == (kind is Homoscedastic)
    assert weights[0] != pytest.approx(weights[1], abs=0.01)
