"""What is learnt from, tuned on and tested on: 60, 20 and 20 % (latency paper, section 3.1).

Five sources or more are dealt out whole, so that no path is in two parts; series that were
generated from one base are one source. Fewer are cut in order of time, each for itself.
"""

from collections.abc import Sequence
from itertools import pairwise

from sensor.errors import UsageError
from trainer.latency.series import LatencySeries

PARTS = ("train", "validation", "test")

_DEALT = ("train", "train", "train", "validation", "test")
"""Part of every source, by its place in the order of first mention."""

SEPARATOR = "#"
"""Between a base's name and the number of a series that was generated from it."""


def source_of(name: str) -> str:
    """The source of a series, by its name."""
    return name.partition(SEPARATOR)[0]


def dealt(names: Sequence[str]) -> list[str]:
    """The part of each of several series, by their names alone.

    Raises:
        UsageError: they are of fewer than five sources.
    """
    sources = {source: place for place, source in enumerate(dict.fromkeys(map(source_of, names)))}
    if len(sources) < len(_DEALT):
        raise UsageError(
            f"{len(sources)} sources of series can't be dealt out to {', '.join(PARTS)}; "
            f"name at least {len(_DEALT)}"
        )
    return [_DEALT[sources[source_of(name)] % len(_DEALT)] for name in names]


def spans(length: int) -> dict[str, slice]:
    """Places of the first 60 %, the next 20 % and the last 20 % of so many measurements."""
    ends = (0, length * 3 // 5, length * 4 // 5, length)
    return {part: slice(*span) for part, span in zip(PARTS, pairwise(ends), strict=True)}


def in_time(series: LatencySeries) -> dict[str, LatencySeries]:
    """The first 60 %, the next 20 % and the last 20 % of a series."""
    return {part: series.take(span) for part, span in spans(len(series)).items()}


def divided(series: Sequence[LatencySeries]) -> dict[str, list[LatencySeries]]:
    """Series by part: dealt out where there are enough sources, cut in order of time otherwise."""
    parts: dict[str, list[LatencySeries]] = {part: [] for part in PARTS}
    names = [each.name for each in series]
    if len(set(map(source_of, names))) >= len(_DEALT):
        for each, part in zip(series, dealt(names), strict=True):
            parts[part].append(each)
    else:
        for each in series:
            for part, piece in in_time(each).items():
                parts[part].append(piece)
    return parts
