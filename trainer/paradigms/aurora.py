"""Aurora: every row is labelled for every task, and all tasks learn from it at once.

MULTA, section III-C: "the entire dataset is fed to the model, and the model learns from all the
tasks simultaneously. The losses of tasks are weighted to form a global loss to drive the
optimization step." A missing label is masked, unless it was filled before, as in the paper
(`trainer.paradigms.negative_filling`).
"""

from collections.abc import Sequence

import keras

from trainer.datasets.examples import Examples
from trainer.paradigms.paradigm import Paradigm
from trainer.weighting.interface import Weighting


class Aurora(Paradigm):
    """Learns all tasks in every step; arguments are those of `Paradigm`."""

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
        super().__init__(model, optimizer, task_names, weighting, batch_size=batch_size, seed=seed)
        self._learn = self._step(self._all, model.trainable_variables)

    def epoch(self, examples: Examples) -> list[float]:
        """One pass over the examples in a new order; the mean loss of each task."""
        losses = self._mean(self._learn, examples, self._order.permutation(len(examples)))
        self._weighting.after_epoch(losses)
        return losses


def steps(examples: Examples, batch_size: int) -> int:
    """Steps of an epoch."""
    return -(-len(examples) // batch_size)
