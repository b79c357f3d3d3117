"""Aurora: every row is labelled for every task, and all tasks learn from it at once.

MULTA, section III-C: "the entire dataset is fed to the model, and the model learns from all the
tasks simultaneously. The losses of tasks are weighted to form a global loss to drive the
optimization step." Where the paper fills missing labels with negatives, they are masked here: a
filled label that is wrong teaches the wrong thing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.datasets.examples import Examples

EPSILON = 1e-7
"""Keras' own: keeps the logarithm of a saturated float32 sigmoid finite."""


class Aurora:
    """Trains a model, epoch by epoch.

    Args:
        model: as `trainer.models.lmmoe.build` makes it.
        optimizer: of the model's weights.
        task_names: its outputs, in the order of the labels' columns.
        task_weights: weight of each task's loss in the global loss.
        batch_size: examples a step.
        seed: of the order of the examples.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        task_names: Sequence[str],
        task_weights: Sequence[float],
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._task_names = tuple(task_names)
        self._task_weights = np.array(task_weights, np.float32)
        self._batch_size = batch_size
        self._order = np.random.default_rng(seed)
        self._step = tf.function(self._train_step, reduce_retracing=True)
        self._evaluate = tf.function(self._losses, reduce_retracing=True)

    def epoch(self, examples: Examples) -> list[float]:
        """One pass over the examples in a new order; the mean loss of each task."""
        order = self._order.permutation(len(examples))
        return self._mean(self._step, examples, order)

    def losses(self, examples: Examples) -> list[float]:
        """The mean loss of each task, without learning."""
        return self._mean(self._evaluate, examples, np.arange(len(examples)))

    def global_loss(self, losses: Sequence[float]) -> float:
        """The weighted sum that is minimised."""
        return float(np.dot(losses, self._task_weights))

    def _mean(self, step: Any, examples: Examples, order: NDArray[np.intp]) -> list[float]:
        totals = [step(*batch) * len(batch[0]) for batch in self._batches(examples, order)]
        return [float(total) for total in np.sum(totals, axis=0) / len(examples)]

    def _batches(self, examples: Examples, order: NDArray[np.intp]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            columns = (examples.x, examples.c, examples.labels, examples.weights)
            yield tuple(tf.constant(column[rows]) for column in columns)

    def _losses(self, x: Any, c: Any, labels: Any, weights: Any, *, training: bool = False) -> Any:
        """Losses ``(tasks,)`` of b examples.

        Call arguments:
            x: ``(b, n, channels)`` float32.
            c: ``(b, context)`` float32.
            labels: ``(b, tasks)`` int8.
            weights: ``(b, tasks)`` float32.
        """
        outputs = self._model({"x": x, "c": c}, training=training)
        scores = tf.concat([outputs[name] for name in self._task_names], axis=1)
        scores = tf.clip_by_value(scores, EPSILON, 1 - EPSILON)
        entropy = tf.where(labels == 1, -tf.math.log(scores), -tf.math.log(1 - scores))
        known = tf.cast(labels >= 0, tf.float32)
        return tf.reduce_mean(entropy * known * weights, axis=0)

    def _train_step(self, x: Any, c: Any, labels: Any, weights: Any) -> Any:
        with tf.GradientTape() as tape:
            losses = self._losses(x, c, labels, weights, training=True)
            total = tf.reduce_sum(losses * self._task_weights)
        variables = self._model.trainable_variables
        gradients = tape.gradient(total, variables)
        self._optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return losses
