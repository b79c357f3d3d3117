"""Teaches networks on windows with labels that are probabilities.

No truth is needed. A label says how likely a task is for a measurement, as a label model has it
from votes (`trainer.weak`); the loss is the cross entropy expected under it, which is Snorkel's
noise-aware one (A. Ratner et al., Snorkel: Rapid Training Data Creation with Weak Supervision,
VLDB 2017, section 2.3). Where all labeling functions of a task abstained, the label is NaN and the
measurement teaches that task nothing.

Round-trip times of one path differ little on the scale of the fields: networks learn on
standardised channels, and what standardises them is folded into the experts' weights in the end,
which is exact (`Scaling`). So what comes out reads the sensor's rows as they are.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sensor.model.encoding import named
from sensor.model.schema import FeatureSchema
from trainer.latency.labelling import Labels
from trainer.latency.lesson import Lesson
from trainer.models.lmmoe import build, expert_layers

_EPSILON = 1e-7
_RARE = 1e-3
"""Least share that a task's weight is reckoned from."""
_SCALED = 20_000
"""Rows from which the scaling is learnt, at least half as many where there are more."""
_SCORED = 2_048
"""Rows that are scored at once."""


class Rows(Protocol):
    """What networks look at: rows of the sensor on the grid, or what is made up like them."""

    @property
    def schema(self) -> FeatureSchema:
        """Says the sizes."""

    def __len__(self) -> int:
        """How many there are."""

    def expand(
        self, rows: NDArray[np.intp] | slice = ...
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``x (rows, n, channels)`` and ``c (rows, context)`` of some of them."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Windows with their labels.

    Attributes:
        rows: windows.
        labels: ``(rows, tasks)``.
    """

    rows: Rows
    labels: Labels

    def of_tasks(self, columns: Sequence[int]) -> "Examples":
        """The same windows with the labels of some tasks."""
        return Examples(self.rows, self.labels[:, list(columns)])


@dataclass(frozen=True, eq=False)
class Learnt:
    """A taught network, with the weights of its best epoch.

    Attributes:
        model: reads windows as the sensor has them.
        best_epoch: from 1.
        losses: of the validation part, one an epoch.
        seconds: from an untrained network to this one, tracing included.
    """

    model: keras.Model
    best_epoch: int
    losses: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Scaling:
    """What standardises the channels: x · `matrix`, for x ``(…, channels)``.

    A linear map of the channels alone, so that it can be folded into weights: means are taken off
    by way of the channels ``valid`` and ``answered``, which are 1 where there is a measurement,
    and an answer. So padding stays 0, and so does the round-trip time of what was not answered.
    """

    matrix: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Rows) -> "Scaling":
        """Learnt from the last measurement of each of these windows, or of a part of many."""
        channels = rows.schema.channels
        values = rows.expand(slice(None, None, 1 + len(rows) // _SCALED))[0][:, -1]
        matrix = np.eye(len(channels))
        for column, name in enumerate(channels):
            if name in ("answered", "valid"):
                continue
            one = channels.index("valid" if name == "rtt_gap" else "answered")
            there = values[values[:, one] > 0, column].astype(np.float64)
            if not there.size:
                continue
            deviation = float(there.std())
            scale = 1 / deviation if deviation > _EPSILON else 1.0
            matrix[column, column] = scale
            matrix[column, one] = 0.0
            matrix[one, column] = -scale * there.mean()
        return cls(matrix.astype(np.float32))

    def fold(self, model: keras.Model) -> None:
        """Makes a network that learnt on x · matrix one that answers x the same."""
        for layer in expert_layers(model):
            kernel, recurrent = layer.get_weights()
            layer.set_weights([self.matrix @ kernel, recurrent])


def teach(
    tasks: Sequence[str],
    lesson: Lesson,
    seed: int,
    training: Examples,
    validation: Examples,
    weights: Sequence[float] | None = None,
) -> Learnt:
    """Teaches one network all of these tasks.

    Args:
        tasks: its outputs, in the order of the labels; one or several.
        lesson: how.
        seed: of weights and order.
        training: what is learnt.
        validation: whose loss says when to stop and which epoch is kept.
        weights: of the tasks' losses in their sum; by default all are 1.
    """
    begin = time.perf_counter()
    keras.utils.set_random_seed(seed)
    model = build(training.rows.schema, tasks, lesson.experts, lesson.units, lesson.tower_units)
    scaling = Scaling.of(training.rows)
    taught = np.flatnonzero(~np.isnan(training.labels).all(axis=1))
    steps = lesson.epochs * max(1, -(-len(taught) // lesson.batch))
    schedule = keras.optimizers.schedules.CosineDecay(lesson.rate, steps, alpha=0.01)
    optimizer = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    matrix = tf.constant(scaling.matrix)

    def losses(x: Any, c: Any, wanted: Any, *, learning: bool) -> Any:
        outputs = model(named(x @ matrix, c), training=learning)
        entropy = _expected_entropy(tf.concat([outputs[task] for task in tasks], axis=1), wanted)
        return entropy if weights is None else entropy * tf.constant(weights, tf.float32)

    def step(x: Any, c: Any, wanted: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(losses(x, c, wanted, learning=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    learn = tf.function(step, reduce_retracing=True)
    judge = tf.function(lambda *batch: losses(*batch, learning=False), reduce_retracing=True)
    order = np.random.default_rng(seed)
    found: list[float] = []
    best, kept = 0, model.get_weights()
    while len(found) < lesson.epochs and len(found) - best < lesson.patience:
        shown = order.permutation(taught)
        for start in range(0, len(shown), lesson.batch):
            learn(*_batch(training, shown[start : start + lesson.batch]))
        total = 0.0
        for start in range(0, len(validation.rows), _SCORED):
            part = np.arange(start, min(start + _SCORED, len(validation.rows)))
            total += float(tf.reduce_sum(judge(*_batch(validation, part)))) * len(part)
        found.append(total / len(validation.rows))
        if found[-1] <= min(found):
            best, kept = len(found), model.get_weights()
    model.set_weights(kept)
    scaling.fold(model)
    return Learnt(model, best, tuple(found), time.perf_counter() - begin)


def alike(labels: Labels) -> list[float]:
    """Weights under which all tasks cost the same as long as nothing is learnt.

    One over the entropy of each task's share: what is rare has a small loss from the beginning,
    and a sum of plain losses may well stop falling before it has been learnt.
    """
    shares = np.clip(np.nan_to_num(np.nanmean(labels, axis=0), nan=0.5), _RARE, 1 - _RARE)
    entropy = -shares * np.log(shares) - (1 - shares) * np.log(1 - shares)
    return [float(1 / value) for value in entropy]


def _batch(examples: Examples, places: NDArray[np.intp]) -> tuple[Any, Any, Any]:
    x, c = examples.rows.expand(places)
    return tf.constant(x), tf.constant(c), tf.constant(examples.labels[places])


def _expected_entropy(scores: Any, wanted: Any) -> Any:
    """``(tasks,)``: cross entropy expected under the labels, the mean over all rows."""
    known = tf.math.is_finite(wanted)
    wanted = tf.where(known, wanted, 0.0)
    scores = tf.clip_by_value(scores, _EPSILON, 1 - _EPSILON)
    entropy = -wanted * tf.math.log(scores) - (1 - wanted) * tf.math.log(1 - scores)
    return tf.reduce_mean(tf.where(known, entropy, 0.0), axis=0)


def scores(model: keras.Model, rows: Rows) -> NDArray[np.float32]:
    """Raw scores ``(rows, tasks)`` of a network."""
    tasks = list(model.output)
    forward = tf.function(model, reduce_retracing=True)
    parts = [np.zeros((0, len(tasks)), np.float32)]
    for start in range(0, len(rows), _SCORED):
        x, c = rows.expand(slice(start, start + _SCORED))
        answers = forward({name: tf.constant(values) for name, values in named(x, c).items()})
        parts.append(np.concatenate([answers[task] for task in tasks], axis=1))
    return np.concatenate(parts)
