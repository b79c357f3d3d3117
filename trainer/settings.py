"""Settings of a fit; a leaf, so that reading them loads no TensorFlow."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from sensor.errors import UsageError
from trainer.models.wiring import Wiring

ParadigmName = Literal["aurora", "rainbow"]
"""How tasks learn: together from every row, or in turn from rows of their own."""

Unknown = Literal["mask", "negative"]
"""What a missing training label is: left out of the loss, or 0."""

WeightingName = Literal["fixed", "uncertainty", "dynamic"]
"""What weights the tasks' losses: given weights, learnt uncertainties, or how fast they fall."""


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
        paradigm: ``aurora`` or ``rainbow`` (`trainer.paradigms`).
        unknown: whether missing labels are masked, or filled with negatives when a run's training
            labels are made (`trainer.paradigms.negative_filling`); the latter is Aurora's.
        minisets: of each task in an epoch of Rainbow.
        weighting: of the tasks' losses (`trainer.weighting`).
        alone: share of the examples that an epoch shows as lone flows
            (`trainer.datasets.lone_flows`).
        groups: tasks that share experts of their own, `experts` of them a group; none: all share
            all (`trainer.models.wiring`).
        feeds: pairs of tasks; the second one's tower reads the score of the first.

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
    paradigm: ParadigmName = "aurora"
    unknown: Unknown = "mask"
    minisets: int = 8
    weighting: WeightingName = "fixed"
    alone: float = 0.0
    groups: tuple[tuple[str, ...], ...] = ()
    feeds: tuple[tuple[str, str], ...] = ()

    @property
    def wiring(self) -> Wiring:
        """Groups and feeds as the network takes them."""
        return Wiring(self.groups, self.feeds)

    def __post_init__(self) -> None:
        """Refuses what no network could be fitted with."""
        for name in ("groups", "feeds"):
            # Files hold lists of lists.
            _require(name, _is_names(getattr(self, name)), "a list of lists of tasks")
            object.__setattr__(self, name, tuple(tuple(each) for each in getattr(self, name)))
        _require("feeds", all(len(feed) == 2 for feed in self.feeds), "a list of pairs of tasks")
        for name in ("experts", "units", "epochs", "patience", "batch_size", "minisets"):
            _require(name, _is_whole(getattr(self, name), 1), "a whole number from 1 on")
        _require("settle_after", _is_whole(self.settle_after, 0), "a whole number from 0 on")
        widths = isinstance(self.tower_units, tuple)
        widths = widths and all(_is_whole(width, 1) for width in self.tower_units)
        _require("tower_units", widths, "a list of whole numbers from 1 on")
        _require("learning_rate", _is_positive(self.learning_rate), "a number above 0")
        _require("alone", _is_share(self.alone), "a number from 0 to below 1")
        weights = isinstance(self.task_weights, tuple)
        weights = weights and all(map(_is_positive, self.task_weights))
        _require("task_weights", weights, "a list of numbers above 0")
        for name, kind in (
            ("paradigm", ParadigmName),
            ("unknown", Unknown),
            ("weighting", WeightingName),
        ):
            words = get_args(kind)
            _require(name, getattr(self, name) in words, f"one of {', '.join(words)}")
        if self.paradigm == "rainbow" and self.unknown == "negative":
            raise UsageError(
                "unknown = negative is for aurora; rainbow learns each task from its own labels"
            )
        if self.weighting != "fixed" and self.task_weights:
            raise UsageError(f"task_weights are given, but weighting is {self.weighting}")


def _is_whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _is_positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]


def _is_names(value: object) -> bool:
    lists = isinstance(value, list | tuple) and all(isinstance(x, list | tuple) for x in value)
    return lists and all(type(name) is str for each in value for name in each)  # type: ignore[attr-defined]


def _is_share(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value < 1  # type: ignore[operator]


def _require(name: str, holds: bool, what: str) -> None:  # noqa: FBT001 -- private
    if not holds:
        raise UsageError(f"{name} is not {what}")
