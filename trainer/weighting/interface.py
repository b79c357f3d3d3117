"""What a paradigm asks of a weighting, and the weighting that settings name."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.settings import Settings


class Weighting(Protocol):
    """Makes one number to minimise of several tasks' losses.

    A task is named by its column: its place among the tasks of the network.
    """

    @property
    def judged(self) -> NDArray[np.float32]:
        """Weights ``(tasks,)`` by which epochs are compared; they never change.

        Weights that change while a network learns can't say which of its epochs was best.
        """

    def objective(self, losses: Any, columns: Sequence[int]) -> Any:
        """What a step minimises.

        Call arguments:
            losses: ``(len(columns),)`` float32.
            columns: of the tasks that the step learns.

        Returns of a call: a scalar tensor.
        """

    def variables(self, columns: Sequence[int]) -> list[Any]:
        """What a step that learns these tasks fits beside the network's own weights."""

    def after_epoch(self, losses: Sequence[float]) -> None:
        """Takes note of the mean losses of an epoch, of all tasks."""


def weighting_of(settings: Settings, tasks: int) -> Weighting:
    """The weighting that settings name, for so many tasks."""
    # TensorFlow's variables are made when a weighting is, not when its kind is known.
    from trainer.weighting.dynamic_average import DynamicAverage  # noqa: PLC0415
    from trainer.weighting.fixed import Fixed  # noqa: PLC0415
    from trainer.weighting.homoscedastic import Homoscedastic  # noqa: PLC0415

    if settings.weighting == "uncertainty":
        return Homoscedastic(tasks)
    if settings.weighting == "dynamic":
        return DynamicAverage(tasks)
    return Fixed(settings.task_weights or (1.0,) * tasks)
