"""Examples as they would be if no other flow had begun lately.

The context fields count new flows. For an attack that is made of flows these counts are what it
looks like; for one that a single connection makes they only happen to be there, because the
connections of a recording's attacker come one after the other. A network that learns them from
such recordings misses the connection that comes alone. So in every epoch a share of the examples
is shown with the context of a lone flow, which is 0 in every field (`docs/semantics.md` 9: the
flow itself is not counted), as features are dropped in training so that none is relied upon
(N. Srivastava et al., Dropout, 2014).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sensor.model.schema import TaskSpec
from trainer.datasets.examples import Examples
from trainer.datasets.labels import MASKED


def some_alone(
    examples: Examples, tasks: Sequence[TaskSpec], share: float, rng: np.random.Generator
) -> Examples:
    """The examples, a drawn share of them without context.

    What such an example is for a task whose incidents take several flows nobody knows: its label
    is masked, and the others of the task weigh as much more.

    Args:
        examples: as the recordings have them; they are left as they are.
        tasks: the columns of their labels.
        share: of them that is drawn, from 0 to below 1.
        rng: draws.
    """
    if not share:
        return examples
    alone = rng.random(len(examples)) < share
    context, labels = examples.c.copy(), examples.labels.copy()
    weights = examples.weights.copy()
    context[alone] = 0
    for column, task in enumerate(tasks):
        if task.incident.open_flows == 1:
            continue
        labels[alone, column] = MASKED
        weights[alone, column] = 0
        if total := weights[:, column].sum():
            weights[:, column] *= examples.weights[:, column].sum() / total
    return replace(examples, c=context, labels=labels, weights=weights)
