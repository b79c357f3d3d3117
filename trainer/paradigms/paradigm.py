"""What all paradigms share: the losses of tasks, and steps that learn some of them.

A paradigm decides which examples, tasks and weights a step takes; this says what a step is.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.datasets.examples import Examples
from trainer.weighting.interface import Weighting

EPSILON = 1e-7
"""Keras' own: keeps the logarithm of a saturated float32 sigmoid finite."""


class Paradigm(ABC):
    """Trains a model, epoch by epoch.

    Layers that are not trainable when it is made stay as they are.

    Args:
        model: as `trainer.models.lmmoe.build` makes it.
        optimizer: of the model's weights.
        task_names: its outputs, in the order of the labels' columns.
        weighting: of the tasks' losses against each other.
        batch_size: examples a step.
        seed: of the order of the examples.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        task_names: Sequence[str],
        weighting: Weighting,
        *,
        batch_size: int,
        seed: int,
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._task_names = tuple(task_names)
        self._weighting = weighting
        self._batch_size = batch_size
        self._order = np.random.default_rng(seed)
        self._all = tuple(range(len(self._task_names)))
        self._evaluate = tf.function(self._all_losses, reduce_retracing=True)

    @abstractmethod
    def epoch(self, examples: Examples) -> list[float]:
        """One pass over the examples in a new order; the mean loss of each task."""

    def losses(self, examples: Examples) -> list[float]:
        """The mean loss of each task, without learning."""
        return self._mean(self._evaluate, examples, np.arange(len(examples)))

    def global_loss(self, losses: Sequence[float]) -> float:
        """The weighted sum by which epochs are compared."""
        return float(np.dot(losses, self._weighting.judged))

    def _mean(self, step: Any, examples: Examples, order: NDArray[np.intp]) -> list[float]:
        totals = [step(*batch) * len(batch[0]) for batch in self._batches(examples, order)]
        return [float(total) for total in np.sum(totals, axis=0) / len(examples)]

    def _batches(self, examples: Examples, order: NDArray[np.intp]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            columns = (examples.x, examples.c, examples.labels, examples.weights)
            yield tuple(tf.constant(column[rows]) for column in columns)

    def _all_losses(self, x: Any, c: Any, labels: Any, weights: Any) -> Any:
        return self._losses(x, c, labels, weights, self._all, training=False)

    def _losses(
        self, x: Any, c: Any, labels: Any, weights: Any, columns: Sequence[int], *, training: bool
    ) -> Any:
        """Losses ``(k,)`` of the k tasks in `columns`, over b examples.

        Call arguments:
            x: ``(b, n, channels)`` float32.
            c: ``(b, context)`` float32.
            labels: ``(b, k)`` int8.
            weights: ``(b, k)`` float32.
        """
        outputs = self._model({"x": x, "c": c}, training=training)
        scores = tf.concat([outputs[self._task_names[column]] for column in columns], axis=1)
        scores = tf.clip_by_value(scores, EPSILON, 1 - EPSILON)
        entropy = tf.where(labels == 1, -tf.math.log(scores), -tf.math.log(1 - scores))
        known = tf.cast(labels >= 0, tf.float32)
        return tf.reduce_mean(entropy * known * weights, axis=0)

    def _step(self, columns: Sequence[int], variables: Sequence[Any]) -> Any:
        """A compiled step that learns some tasks and changes only the given weights.

        Call arguments and returns of a call are those of `_losses`.
        """
        learnt = [*variables, *self._weighting.variables(columns)]

        def step(x: Any, c: Any, labels: Any, weights: Any) -> Any:
            with tf.GradientTape() as tape:
                losses = self._losses(x, c, labels, weights, columns, training=True)
                total = self._weighting.objective(losses, columns)
            if variables:  # none if all layers are frozen
                gradients = tape.gradient(total, learnt)
                self._optimizer.apply_gradients(zip(gradients, learnt, strict=True))
            return losses

        return tf.function(step, reduce_retracing=True)
