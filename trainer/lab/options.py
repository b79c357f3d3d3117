"""Options of activities and attacks: what a scenario may say about them, and what it may not."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Option:
    """One setting of an activity or an attack.

    Attributes:
        kind: ``number`` and ``count`` (whole) take a value or a ``[low, high]`` range from which
            the seed draws; ``word`` takes one of `words` or a list of them to draw from.
        default: what is drawn from where the scenario says nothing.
        low, high: bounds of a number.
        logarithmic: small values are drawn as often as large ones.
        words: what a ``word`` may be.
        meaning: for the documentation.
        later: added when scenarios were in use already. Where a scenario does not name it, it is
            the first of `default` and nothing is drawn, so that their plans stay as they were.
    """

    kind: Literal["number", "count", "word"]
    default: tuple[float, float] | tuple[str, ...]
    meaning: str
    low: float = 0
    high: float = 0
    logarithmic: bool = False
    words: tuple[str, ...] = ()
    later: bool = False


def number(
    low: float,
    high: float,
    default: tuple[float, float],
    meaning: str,
    *,
    logarithmic: bool = True,
    later: bool = False,
) -> Option:
    """A number; its small values are drawn as often as its large ones."""
    return Option("number", default, meaning, low, high, logarithmic, later=later)


def count(low: int, high: int, default: tuple[int, int], meaning: str) -> Option:
    """A whole number."""
    return Option("count", default, meaning, low, high)


def word(
    words: tuple[str, ...], default: tuple[str, ...], meaning: str, *, later: bool = False
) -> Option:
    """One of some words."""
    return Option("word", default, meaning, words=words, later=later)


def every(default: tuple[float, float]) -> Option:
    """Mean time between the rounds of an activity."""
    return number(0.05, 3600, default, "mean seconds from one round to the next")
