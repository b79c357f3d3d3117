"""Recipes of bundles that annotate: a TOML file with a table ``annotating``."""

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from sensor.errors import ConfigurationError
from trainer.lab.recording_set import RecordingSet, read_set

Pooling = Literal["last", "peak_mean"]
"""Those of `trainer.models.lmmoe`, which loads TensorFlow."""

POOLINGS = get_args(Pooling)

TABLE = "annotating"
"""What tells such a recipe from one of alerts."""


@dataclass(frozen=True)
class AnnotationRecipe:
    """What an annotating bundle is made with.

    Attributes:
        version: of the bundle.
        recordings: of the lab, which are learnt from where no other data are given.
        experts, units, tower_units, pooling: of the LMMoE (`trainer.models.lmmoe`).
        epochs: turns over the training flows.
        learning_rate: of Adam at the first step; it falls along half a cosine to a hundredth.
        class_weight: λ, of the class's loss beside those of bandwidth and duration.
        buckets: ranges of bandwidth, and of duration.
        seed: of weights and order.
        right: share of the flows that are told a class for which it is right, in validation.
        told: share of the flows that are told a class at least, whatever that costs `right`.
    """

    version: str
    recordings: RecordingSet
    experts: int
    units: int
    tower_units: tuple[int, ...]
    pooling: Pooling
    epochs: int
    learning_rate: float
    class_weight: float
    buckets: int
    seed: int
    right: float
    told: float


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf


def _share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


_Known = Mapping[str, tuple[Callable[[Any], bool], str]]

_KNOWN: _Known = types.MappingProxyType(
    {
        "experts": (_whole(1, 64), "a whole number from 1 to 64"),
        "units": (_whole(1, 1_024), "a whole number from 1 to 1024"),
        "tower_units": (
            lambda value: type(value) is list and all(map(_whole(1, 1_024), value)),
            "a list of whole numbers from 1 to 1024",
        ),
        "pooling": (lambda value: value in POOLINGS, f"one of {', '.join(POOLINGS)}"),
        "epochs": (_whole(1, 100_000), "a whole number from 1 to 100000"),
        "learning_rate": (_positive, "a number above 0"),
        "class_weight": (_positive, "a number above 0"),
        "buckets": (_whole(2, 64), "a whole number from 2 to 64"),
        "seed": (_whole(0, 2**32 - 1), "a whole number from 0 to 4294967295"),
        "right": (_share, "a number from 0 to 1"),
        "told": (_share, "a number from 0 to 1"),
    }
)


def annotation_recipe(document: Mapping[str, Any], where: str) -> AnnotationRecipe:
    """A recipe of its document.

    Args:
        document: of a TOML file.
        where: names the file.

    Raises:
        ConfigurationError: an entry is missing, unknown or not what it can be; it is named.
        MissingInputError: there is no such list of recordings.
    """
    if wrong := sorted(set(document) ^ {"version", "recordings", TABLE}):
        raise ConfigurationError(f"{where}: {wrong[0]} is missing or unknown")
    version, recordings, table = (document[name] for name in ("version", "recordings", TABLE))
    if not isinstance(version, str) or not version:
        raise ConfigurationError(f'{where}: version is no text; write version = "1"')
    if not isinstance(recordings, str) or not isinstance(table, dict):
        raise ConfigurationError(
            f'{where}: write recordings = "quic", or the path of such a list, and [{TABLE}]'
        )
    if wrong := sorted(set(table) ^ set(_KNOWN)):
        raise ConfigurationError(f"{where}: {TABLE}.{wrong[0]} is missing or unknown")
    for name, (holds, what) in _KNOWN.items():
        if not holds(table[name]):
            raise ConfigurationError(f"{where}: {TABLE}.{name} is not {what}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
    return AnnotationRecipe(version, read_set(recordings), **values)


def settings(recipe: AnnotationRecipe) -> dict[str, Any]:
    """What a manifest tells of a recipe."""
    values = {each.name: getattr(recipe, each.name) for each in fields(recipe)}
    del values["version"], values["recordings"]
    return {key: list(v) if isinstance(v, tuple) else v for key, v in values.items()}
