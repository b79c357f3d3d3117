"""Rainbow: labels come from datasets of single tasks, which are learnt from in turn.

MULTA, section III-C: "we split the multi-task dataset into several minisets and ensure the labels
within one miniset all come from the same task. Then in a single epoch, we train the model on each
miniset in a roundrobin manner, while freezing the individual header layers of the tasks that the
current miniset does not involve."

An example belongs to the minisets of every task of which it has a label, and gives each of them
that label alone; an example with one label is in one miniset. Each task has the same number of
minisets, drawn anew for every epoch: the first of each task, then the second of each, and so on.
What an epoch forgets of a task is bounded by the length of one turn of the others.

The experts are shared and learn in every step. A task's gate and tower learn in its own steps
only; in others they are no variables of the step, so not even the optimizer's momentum moves
them. One network, one optimizer and one compiled step a task, so a turn costs no compilation.
"""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from trainer.datasets.examples import Examples
from trainer.models.lmmoe import own_layers
from trainer.paradigms.paradigm import Paradigm
from trainer.weighting.interface import Weighting


class Rainbow(Paradigm):
    """Learns one task in every step.

    Args:
        minisets: of each task in an epoch.
        model, optimizer, task_names, weighting, batch_size, seed: those of `Paradigm`.
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
        minisets: int,
    ) -> None:
        super().__init__(model, optimizer, task_names, weighting, batch_size=batch_size, seed=seed)
        self._minisets = minisets
        headers = [
            {id(variable) for layer in own_layers(model, name) for variable in layer.variables}
            for name in task_names
        ]
        learnable = model.trainable_variables
        # Built on all weights: each step applies some of them.
        optimizer.build([*learnable, *weighting.variables(self._all)])
        self._learn = []
        for column, _ in enumerate(task_names):
            frozen = set().union(*(own for other, own in enumerate(headers) if other != column))
            variables = [each for each in learnable if id(each) not in frozen]
            self._learn.append(self._step((column,), variables))

    def epoch(self, examples: Examples) -> list[float]:
        """One turn after the other over all minisets; the mean loss of each task.

        A task's losses sum to what Aurora's would over the same examples and network.
        """
        of_tasks = [of_task(examples, column) for column in self._all]
        parts = [
            np.array_split(self._order.permutation(len(each)), self._minisets) for each in of_tasks
        ]
        totals = np.zeros(len(self._all))
        for turn in range(self._minisets):
            for column, each in enumerate(of_tasks):
                totals[column] += self._miniset(column, each, parts[column][turn])
        losses = [
            float(total) / max(1, len(each)) for total, each in zip(totals, of_tasks, strict=True)
        ]
        self._weighting.after_epoch(losses)
        return losses

    def _miniset(self, column: int, examples: Examples, order: NDArray[np.intp]) -> float:
        """Learns a task from some of its examples; the sum of its losses."""
        batches = self._batches(examples, order)
        return sum(float(self._learn[column](*batch)[0]) * len(batch[0]) for batch in batches)


def of_task(examples: Examples, column: int) -> Examples:
    """The examples with a label of one task, and that label alone.

    Returns:
        Examples of one task whose weights have a mean of 1 if those of all examples have.
    """
    rows = np.flatnonzero(examples.labels[:, column] >= 0)
    return Examples(
        examples.x[rows],
        examples.c[rows],
        examples.labels[rows, column, None],
        examples.weights[rows, column, None] * np.float32(rows.size / max(1, len(examples))),
    )


def steps(examples: Examples, batch_size: int, minisets: int) -> int:
    """Steps of an epoch."""
    known = (examples.labels >= 0).sum(axis=0)
    sizes = [len(part) for count in known for part in np.array_split(np.arange(count), minisets)]
    return sum(-(-size // batch_size) for size in sizes)
