"""How the variants of Fig. 4 stand to each other: who detects alike, and what it costs them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.reproduce.fig4.cost import BATCHES
from trainer.reproduce.fig4.step import Costs, Fig4
from trainer.reproduce.fig4.variants import TITLES, Family, Variant
from trainer.reproduce.material import IN_SOURCE, LEFT_OUT

MARGIN = 0.005
"""By how much an area of a task may be below another and still count as equal."""

LMMOES: tuple[Family, ...] = ("by hand", "attempt", "tuned")

PARTS = (LEFT_OUT, IN_SOURCE)

Areas = tuple[float, ...]
"""Medians of the seeds, for each of `PARTS` and each task."""


@dataclass(frozen=True)
class Ratio:
    """How many times as long one variant takes as another, over the rounds.

    Attributes:
        median, low, high: of the rounds; the latter two are quartiles.
    """

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} × [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Standing:
    """An LMMoE beside networks of one task each.

    Attributes:
        singles, lmmoe: the two.
        share: of the singles' weights that the LMMoE has.
        speed: by length of a row and batch, the singles' time by the LMMoE's; empty without costs.
    """

    singles: Variant
    lmmoe: Variant
    share: float
    speed: dict[tuple[int, int], Ratio]


def medians(found: Fig4, variant: Variant) -> Areas:
    """Areas of a complete variant."""
    return tuple(
        float(each)
        for part in PARTS
        for each in np.median(found.networks.areas(variant, part), axis=0)
    )


def of_family(found: Fig4, families: Iterable[Family]) -> list[Variant]:
    """Complete variants of some families, smallest first."""
    wanted = set(families)
    variants = [each for each in found.variants if each.family in wanted]
    return sorted(variants, key=found.networks.parameters)


def level(found: Fig4) -> Areas:
    """The best that one LSTM a task reaches at any size, task by task and part by part."""
    each = [medians(found, variant) for variant in of_family(found, ["singles"])]
    return tuple(max(areas) for areas in zip(*each, strict=True))


def least(found: Fig4, families: Iterable[Family], wanted: Areas) -> Variant | None:
    """The variant of the fewest weights whose areas are all within the margin."""
    return next(
        (
            variant
            for variant in of_family(found, families)
            if is_within(medians(found, variant), wanted)
        ),
        None,
    )


def is_within(areas: Areas, wanted: Areas) -> bool:
    """Whether no area is below what is wanted by more than the margin."""
    return all(area >= other - MARGIN for area, other in zip(areas, wanted, strict=True))


def worst(areas: Areas, wanted: Areas) -> float:
    """The lowest difference of an area from what is wanted."""
    return min(area - other for area, other in zip(areas, wanted, strict=True))


def standing(found: Fig4, singles: Variant, lmmoe: Variant) -> Standing:
    """Sets two variants beside each other."""
    share = found.networks.parameters(lmmoe) / found.networks.parameters(singles)
    speed = {}
    if found.costs is not None:
        rows = found.costs.timed.rows
        for length, by_batch in rows[lmmoe.name].items():
            for batch, times in by_batch.items():
                speed[length, batch] = ratio(rows[singles.name][length][batch], times)
    return Standing(singles, lmmoe, share, speed)


def ratio(one: Sequence[float], other: Sequence[float]) -> Ratio:
    """Times of one by those of the other, round by round."""
    low, median, high = np.percentile(np.divide(one, other), [25, 50, 75])
    return Ratio(float(median), float(low), float(high))


def matches(found: Fig4) -> list[Standing]:
    """For each size of the singles, the least LMMoE that detects as they do."""
    found_pairs = []
    for singles in of_family(found, ["singles"]):
        lmmoe = least(found, LMMOES, medians(found, singles))
        if lmmoe is not None:
            found_pairs.append(standing(found, singles, lmmoe))
    return found_pairs


def strictest(found: Fig4) -> Standing | None:
    """The least singles and the least LMMoE that detect as well as the best singles do."""
    wanted = level(found)
    singles, lmmoe = least(found, ["singles"], wanted), least(found, LMMOES, wanted)
    return standing(found, singles, lmmoe) if singles and lmmoe else None


def quartiles(times: Sequence[float]) -> str:
    """Microseconds as median and quartiles."""
    low, median, high = np.percentile(times, [25, 50, 75])
    return f"{median:.3g} [{low:.3g}, {high:.3g}]"


def instructions(costs: Costs | None, one: Variant, other: Variant) -> float | None:
    """Instructions of the one by those of the other."""
    counts = costs.instructions if costs else {}
    if one.name not in counts or other.name not in counts:
        return None
    return counts[one.name] / counts[other.name]


def points(found: Fig4) -> dict[tuple[str, str], dict[str, list[tuple[float, float]]]]:
    """What is drawn: by part and cost, for each family its mean areas and costs, smallest first."""
    costs: dict[str, Callable[[Variant], float]] = {"weights": found.networks.parameters}
    if found.costs is not None:
        rows = found.costs.timed.rows
        length = max(rows[found.variants[0].name])

        def of_batch(batch: int) -> Callable[[Variant], float]:
            return lambda variant: float(np.median(rows[variant.name][length][batch]))

        for batch in BATCHES:
            costs[f"µs a row of {length} packets, batch {batch}"] = of_batch(batch)
    return {
        (part, cost): {
            title: [
                (float(np.median(np.mean(found.networks.areas(each, part), axis=1))), of(each))
                for each in members
            ]
            for family, title in TITLES.items()
            if (members := of_family(found, [family]))
        }
        for part in PARTS
        for cost, of in costs.items()
    }
