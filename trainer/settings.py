"""Settings of a fit; a leaf, so that reading them loads no TensorFlow."""

import math
from dataclasses import dataclass

from sensor.errors import UsageError


@dataclass(frozen=True)
class Settings:
    """What decides a fit beside the examples and the seed.

    Attributes:
        experts, units, tower_units: size of the LMMoE.
        epochs: at most.
        patience: epochs without a better validation loss after which to stop.
        batch_size: examples a step.
        learning_rate: of Adam at the first step; it falls along a half cosine to a hundredth.
        settle_after: epochs from which on rows of positive flows in which nothing of the attack
            shows are masked (`trainer.datasets.examples`).
        task_weights: of each task's loss, in the order of the tasks; empty for equal ones.

    Raises:
        UsageError: a value is of another type or out of its range.
    """

    experts: int = 3
    units: int = 16
    tower_units: tuple[int, ...] = (8,)
    epochs: int = 40
    patience: int = 8
    batch_size: int = 512
    learning_rate: float = 4e-3
    settle_after: int = 4
    task_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what no network could be fitted with."""
        for name in ("experts", "units", "epochs", "patience", "batch_size"):
            _require(name, _is_whole(getattr(self, name), 1), "a whole number from 1 on")
        _require("settle_after", _is_whole(self.settle_after, 0), "a whole number from 0 on")
        widths = isinstance(self.tower_units, tuple)
        widths = widths and all(_is_whole(width, 1) for width in self.tower_units)
        _require("tower_units", widths, "a list of whole numbers from 1 on")
        _require("learning_rate", _is_positive(self.learning_rate), "a number above 0")
        weights = isinstance(self.task_weights, tuple)
        weights = weights and all(map(_is_positive, self.task_weights))
        _require("task_weights", weights, "a list of numbers above 0")


def _is_whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]


def _require(name: str, holds: bool, what: str) -> None:  # noqa: FBT001 -- private
    if not holds:
        raise UsageError(f"{name} is not {what}")
