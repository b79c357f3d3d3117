"""Weights that are given and stay.

MULTA, section III-C: "The losses of tasks are weighted to form a global loss to drive the
optimization step."
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray


class Fixed:
    """A weighted sum.

    Args:
        weights: one a task.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = np.array(weights, np.float32)

    @property
    def judged(self) -> NDArray[np.float32]:
        """The weights themselves."""
        return self._weights

    def objective(self, losses: Any, columns: Sequence[int]) -> Any:
        """Σ wₜ·Lₜ over the columns."""
        return tf.reduce_sum(losses * self._weights[list(columns)])

    def variables(self, columns: Sequence[int]) -> list[Any]:  # noqa: ARG002 -- the interface's
        """None."""
        return []

    def after_epoch(self, losses: Sequence[float]) -> None:
        """Nothing changes."""
