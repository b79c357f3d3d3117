"""Fits a network to examples: seed, schedule, early stopping, log."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from sensor.errors import UsageError
from sensor.model.encoding import Encoded
from sensor.model.schema import FeatureSchema
from trainer.datasets.examples import Examples, LabelledRows
from trainer.datasets.lone_flows import some_alone
from trainer.export import keras_scores
from trainer.models.lmmoe import build
from trainer.paradigms import aurora, rainbow
from trainer.paradigms.paradigm import Paradigm
from trainer.settings import Settings
from trainer.weighting.interface import weighting_of

LOG = logging.getLogger(__name__)

_ALONE = 1
"""Sets the draws of lone flows apart from those of the order of examples, of the same seed."""


@dataclass(frozen=True)
class Fit:
    """A fitted network with the weights of its best epoch.

    Attributes:
        model: the network.
        best_epoch: from 1.
        training_losses, validation_losses: global loss of every epoch.
    """

    model: keras.Model
    best_epoch: int
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]


def fit(
    schema: FeatureSchema,
    task_names: Sequence[str],
    settings: Settings,
    seed: int,
    training: LabelledRows,
    validation: LabelledRows,
) -> Fit:
    """Trains an LMMoE and keeps the epoch of the lowest validation loss.

    The same seed and rows give the same network on the same machine and version of
    TensorFlow, but for the order in which its threads add.

    Raises:
        UsageError: the losses are no numbers any more.
    """
    keras.utils.set_random_seed(seed)
    sizes = (settings.experts, settings.units, settings.tower_units)
    model = build(schema, task_names, *sizes, wiring=settings.wiring)
    return fit_further(model, task_names, settings, seed, training, validation)


def fit_further(
    model: keras.Model,
    task_names: Sequence[str],
    settings: Settings,
    seed: int,
    training: LabelledRows,
    validation: LabelledRows,
) -> Fit:
    """Trains a network from the weights that it has; layers that are not trainable keep them.

    Arguments and errors are those of `fit`.
    """
    examples, held_out = training.examples(), validation.examples()
    paradigm = paradigm_of(model, task_names, settings, seed, examples, settings.epochs)
    drawing = np.random.default_rng([seed, _ALONE])

    def score(encoded: Encoded) -> NDArray[np.float32]:
        return keras_scores(model, encoded, task_names)

    best, best_weights = 0, model.get_weights()
    training_losses: list[float] = []
    validation_losses: list[float] = []
    while (
        len(training_losses) < settings.epochs and len(training_losses) - best < settings.patience
    ):
        if len(training_losses) >= settings.settle_after:
            examples = training.settled_examples(score)
            held_out = validation.settled_examples(score)
        shown = some_alone(examples, training.tasks, settings.alone, drawing)
        training_losses.append(paradigm.global_loss(paradigm.epoch(shown)))
        each = paradigm.losses(held_out)
        validation_losses.append(paradigm.global_loss(each))
        if not (math.isfinite(training_losses[-1]) and math.isfinite(validation_losses[-1])):
            raise UsageError(
                f"seed {seed}: the loss of epoch {len(training_losses)} is no number; lower the "
                f"learning rate, which is {settings.learning_rate:g}"
            )
        if validation_losses[-1] <= min(validation_losses):
            best, best_weights = len(validation_losses), model.get_weights()
        LOG.info(
            "seed %d epoch %d: loss %.4f, validation %.4f (%s)",
            seed,
            len(training_losses),
            training_losses[-1],
            validation_losses[-1],
            ", ".join(f"{name} {loss:.4f}" for name, loss in zip(task_names, each, strict=True)),
        )
    model.set_weights(best_weights)
    return Fit(model, best, tuple(training_losses), tuple(validation_losses))


def paradigm_of(
    model: keras.Model,
    task_names: Sequence[str],
    settings: Settings,
    seed: int,
    examples: Examples,
    epochs: int,
) -> Paradigm:
    """The paradigm that settings name, with an optimizer for so many epochs over the examples."""
    in_turn = settings.paradigm == "rainbow"
    each = (
        rainbow.steps(examples, settings.batch_size, settings.minisets)
        if in_turn
        else aurora.steps(examples, settings.batch_size)
    )
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, epochs * each, alpha=0.01
    )
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    weighting = weighting_of(settings, len(task_names))
    size = settings.batch_size
    if in_turn:
        return rainbow.Rainbow(
            model,
            optimizer,
            task_names,
            weighting,
            batch_size=size,
            seed=seed,
            minisets=settings.minisets,
        )
    return aurora.Aurora(model, optimizer, task_names, weighting, batch_size=size, seed=seed)
