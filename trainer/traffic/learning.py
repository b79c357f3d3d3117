"""Teaches a network: fixed steps, half a cosine, and a loss that leaves unknown labels out.

A step takes a batch of each share of the flows (`Share`), however few are in it: those that label
themselves, and those whose class is known. A head's loss is the mean over the flows of the batch
that have its label, and is weighted by how many have one at all: that makes the paper's sum over
all flows, without its noise where one flow in a hundred has a label.

There is no early stopping: with ten labels there is nothing to stop on.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from trainer.traffic.inputs import Inputs
from trainer.traffic.training import LEAST_STEPS

Rows = NDArray[np.intp]
Altering = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]
"""What is done to the input ``x`` of a batch before it is shown."""


@dataclass(frozen=True)
class Share:
    """A part of every batch.

    Attributes:
        heads: that learn from it.
        rows: flows that it is drawn from.
        size: flows a batch.
    """

    heads: tuple[str, ...]
    rows: Rows
    size: int


class Learner:
    """A network that is traced once and taught again and again.

    Args:
        model: with a softmax head a task.
        weights: of each head's loss, in the order of the heads.
        compiled: whether steps are compiled by XLA: what an LSTM learns a packet at a time takes
            two thirds of the time then.
    """

    def __init__(
        self, model: keras.Model, weights: Mapping[str, float], *, compiled: bool = False
    ) -> None:
        self.model = model
        self._heads = tuple(weights)
        self._weights = tf.Variable(list(weights.values()), dtype=tf.float32)
        self._optimizer = keras.optimizers.Adam(global_clipnorm=1.0)
        self._optimizer.build(model.trainable_variables)
        self._learn = tf.function(self._step, jit_compile=compiled)
        self._forward = tf.function(model, reduce_retracing=True)

    def begin(self, values: list[NDArray[np.float32]], weights: Mapping[str, float]) -> None:
        """Sets the network's weights, and forgets what was learnt before.

        Args:
            values: of the network.
            weights: of the heads' losses.
        """
        self.model.set_weights(values)
        self._weights.assign([weights[head] for head in self._heads])
        for variable in self._optimizer.variables:
            variable.assign(tf.zeros_like(variable))

    def teach(
        self,
        inputs: Inputs,
        labels: NDArray[np.int32],
        shares: Sequence[Share],
        steps: int,
        rate: float,
        seed: int,
        altering: Altering | None = None,
    ) -> None:
        """Steps on batches that are drawn without replacement, turn by turn.

        Args:
            inputs: of all flows.
            labels: ``(flows, heads)``, −1 where not known.
            shares: what a batch is made of.
            steps: in all.
            rate: of learning, at the beginning.
            seed: of the order, and of what is altered.
            altering: of each batch; by default flows are shown as they are.
        """
        generator = np.random.default_rng([seed, 9])
        streams = [_Stream(share, generator) for share in shares]
        for step in range(steps):
            self._optimizer.learning_rate = rate * (
                0.505 + 0.495 * math.cos(math.pi * step / steps)
            )
            drawn = [stream.next() for stream in streams]
            shown = [
                np.where([head in share.heads for head in self._heads], labels[part], -1)
                for share, part in zip(shares, drawn, strict=True)
            ]
            rows = np.concatenate(drawn)
            shown_rows = {name: column[rows] for name, column in inputs.items()}
            if altering is not None:
                shown_rows["x"] = altering(shown_rows["x"], generator)
            batch = {name: tf.constant(column) for name, column in shown_rows.items()}
            self._learn(batch, tf.constant(np.concatenate(shown).astype(np.int32)))

    def scores(self, inputs: Inputs) -> dict[str, NDArray[np.float32]]:
        """``{head: (flows, classes)}``."""
        count = len(next(iter(inputs.values())))
        parts: list[dict[str, Any]] = []
        for start in range(0, count, 512):
            batch = {name: tf.constant(each[start : start + 512]) for name, each in inputs.items()}
            parts.append(self._forward(batch))
        return {head: np.concatenate([part[head] for part in parts]) for head in self._heads}

    def _step(self, batch: Any, labels: Any) -> None:
        with tf.GradientTape() as tape:
            outputs = self.model(batch, training=True)
            losses = [
                _masked(outputs[head], labels[:, column]) for column, head in enumerate(self._heads)
            ]
            loss = tf.reduce_sum(self._weights * tf.stack(losses))
        variables = self.model.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


class _Stream:
    """Rows of a share in batches of its size, in a new order every turn."""

    def __init__(self, share: Share, generator: np.random.Generator) -> None:
        self._pool, self._size, self._generator = share.rows, share.size, generator
        self._waiting = np.zeros(0, np.intp)

    def next(self) -> Rows:
        while self._waiting.size < self._size:
            turn = self._generator.permutation(self._pool)
            self._waiting = np.concatenate([self._waiting, turn])
        batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        return batch


def steps_of(rows: int, batch: int, epochs: int) -> int:
    """Steps of so many turns over the rows, at least `LEAST_STEPS`."""
    return max(LEAST_STEPS, epochs * -(-rows // batch))


def _masked(scores: Any, labels: Any) -> Any:
    """Mean cross entropy over the flows whose label is known; 0 where none is."""
    known = tf.cast(labels >= 0, tf.float32)
    entropy = keras.losses.sparse_categorical_crossentropy(tf.maximum(labels, 0), scores)
    return tf.reduce_sum(entropy * known) / tf.maximum(tf.reduce_sum(known), 1.0)
