"""Weights learnt with the network, from how uncertain it is about each task.

A. Kendall, Y. Gal and R. Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene
Geometry and Semantics, CVPR 2018, section 3.2. A task's likelihood is scaled by a temperature σ²
that is learnt; for a classification the negative log likelihood is about L/σ² + ln σ (equation
10). As they advise, s = ln σ² is what is learnt, so that nothing is divided by 0: exp(−s)·L + s/2.
It starts at s = 0, a weight of 1.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class Homoscedastic:
    """Learns one uncertainty a task.

    Args:
        tasks: how many.
    """

    def __init__(self, tasks: int) -> None:
        # One variable a task: a step that does not learn a task leaves its uncertainty alone.
        self._log_variance = [keras.Variable(0.0, name=f"log_variance_{i}") for i in range(tasks)]

    @property
    def judged(self) -> NDArray[np.float32]:
        """Equal weights."""
        return np.ones(len(self._log_variance), np.float32)

    def objective(self, losses: Any, columns: Sequence[int]) -> Any:
        """Σ exp(−sₜ)·Lₜ + sₜ/2 over the columns."""
        log_variance = tf.stack([self._log_variance[column].value for column in columns])
        return tf.reduce_sum(tf.exp(-log_variance) * losses + log_variance / 2)

    def variables(self, columns: Sequence[int]) -> list[Any]:
        """The s of the columns."""
        return [self._log_variance[column] for column in columns]

    def after_epoch(self, losses: Sequence[float]) -> None:
        """Nothing changes but by gradients."""
