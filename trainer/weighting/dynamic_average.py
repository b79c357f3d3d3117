"""Dynamic weight average: a task whose loss falls slowly gets more weight.

S. Liu, E. Johns and A. J. Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019,
section 3.3. With rₜ the loss of task t in the last epoch divided by that in the one before it, its
weight is K·exp(rₜ/T) / Σ exp(r/T), where K is the number of tasks; rₜ is 1 for the first two
epochs. T = 2 as in the paper: the higher, the more even the weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

TEMPERATURE = 2.0
"""T."""


class DynamicAverage:
    """Weights that follow how fast the tasks learn.

    Args:
        tasks: how many.
    """

    def __init__(self, tasks: int) -> None:
        self._before: NDArray[np.float64] | None = None
        # A variable, because the compiled step would keep the first value of an array for good.
        self._weights = tf.Variable(np.ones(tasks, np.float32), trainable=False)

    @property
    def judged(self) -> NDArray[np.float32]:
        """Equal weights."""
        return np.ones(self._weights.shape, np.float32)

    def objective(self, losses: Any, columns: Sequence[int]) -> Any:
        """Σ wₜ·Lₜ over the columns, with the weights of this epoch."""
        return tf.reduce_sum(losses * tf.gather(self._weights, list(columns)))

    def variables(self, columns: Sequence[int]) -> list[Any]:  # noqa: ARG002 -- the interface's
        """None: no gradient reaches the weights."""
        return []

    def after_epoch(self, losses: Sequence[float]) -> None:
        """Sets the weights of the next epoch."""
        now = np.array(losses, np.float64)
        if self._before is not None:
            known = self._before > 0
            ratio = np.where(known, now / np.where(known, self._before, 1), 1)
            # A softmax is unchanged by a shift, and this one keeps the exponentials finite.
            raised = np.exp((ratio - ratio.max()) / TEMPERATURE)
            self._weights.assign((len(now) * raised / raised.sum()).astype(np.float32))
        self._before = now
