"""Fits: repeatable, stopped in time, and ending with the weights of the best epoch."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from flow_rows import rows

from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import LabelledRows, Patterns, task_labels
from trainer.fit import fit, paradigm_of
from trainer.models.lmmoe import build
from trainer.paradigms.aurora import Aurora
from trainer.settings import Settings
from trainer.tasks import TASKS as SPECS
from trainer.weighting.fixed import Fixed

SCHEMA = FeatureSchema()
TASKS = ("syn_dos",)
SMALL = Settings(experts=2, units=2, tower_units=(2,), epochs=6, patience=6, batch_size=16)


def drawn(count, seed, *, wrong=False):
    """One-packet flows of which the long ones are attacks; the other way round if `wrong`."""
    sizes = np.random.default_rng(seed).integers(40, 1400, count)
    batch = rows(*({"ip_length": [int(size)], "direction": [1], "protocol": 6} for size in sizes))
    labels = ((sizes > 400) ^ wrong).astype(np.int8)[:, None]
    number = np.arange(count)
    dataset = Dataset(SCHEMA, TASKS, (), batch, labels, number.astype(np.int32) * 0, number)
    specs = SPECS[:1]
    everything = np.ones(count, bool)
    known = task_labels(dataset, specs)
    return LabelledRows(Patterns.of(dataset), known, dataset.flow, everything, specs)


@pytest.fixture(scope="module")
def fitted():
    return fit(SCHEMA, TASKS, SMALL, 5, drawn(64, 0), drawn(64, 1))


def test_the_same_seed_gives_the_same_network(fitted):
    again = fit(SCHEMA, TASKS, SMALL, 5, drawn(64, 0), drawn(64, 1))
    assert again.validation_losses == pytest.approx(fitted.validation_losses, rel=1e-4)
    other = fit(SCHEMA, TASKS, SMALL, 6, drawn(64, 0), drawn(64, 1))
    assert other.validation_losses != pytest.approx(fitted.validation_losses, rel=1e-4)


def test_the_weights_are_those_of_the_best_epoch():
    # Labels that contradict the validation's: the longer it learns, the worse it gets.
    settings = Settings(experts=2, units=2, epochs=9, patience=3, batch_size=16, learning_rate=0.05)
    validation = drawn(64, 1)
    fitted = fit(SCHEMA, TASKS, settings, 1, drawn(256, 0, wrong=True), validation)
    losses = fitted.validation_losses
    assert fitted.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == fitted.best_epoch + settings.patience < settings.epochs
    judge = Aurora(
        fitted.model, keras.optimizers.Adam(), TASKS, Fixed((1.0,)), batch_size=64, seed=0
    )
    assert judge.losses(validation.examples())[0] == pytest.approx(min(losses), rel=1e-4)


def test_epochs_are_the_limit_and_all_are_logged(fitted):
    assert len(fitted.training_losses) == len(fitted.validation_losses) == SMALL.epochs
    assert fitted.training_losses[-1] < fitted.training_losses[0]


@pytest.mark.parametrize("paradigm", ["aurora", "rainbow"])
def test_the_learning_rate_has_run_its_half_cosine_when_the_epochs_end(paradigm):
    settings = Settings(paradigm=paradigm, minisets=2, batch_size=16, weighting="dynamic")
    examples = drawn(56, 0).examples()
    model = build(SCHEMA, TASKS, experts=1, units=2)
    made = paradigm_of(model, TASKS, settings, 0, examples, 2)
    assert float(made._optimizer.learning_rate) == pytest.approx(settings.learning_rate)
    made.epoch(examples)
    half = settings.learning_rate * (0.01 + 0.99 * 0.5)
    assert float(made._optimizer.learning_rate) == pytest.approx(half)
    made.epoch(examples)
    assert float(made._optimizer.learning_rate) == pytest.approx(settings.learning_rate / 100)
    assert 16 < len(examples) <= 32  # two batches, or two minisets of one batch
    assert int(made._optimizer.iterations) == 2 * 2
