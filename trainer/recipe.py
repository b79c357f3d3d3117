"""Recipes: everything from recordings to a bundle, written down in one TOML file.

A recipe lists recordings of the lab (scenario, seed, duration, part of the split), the settings
of the fits and the bundle's version. What is there already is not made again: recordings that
are complete, datasets of unchanged recordings, runs of unchanged datasets and settings. So an
interrupted recipe goes on where it stopped.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sensor.errors import ConfigurationError, MissingInputError, MultaError
from trainer.datasets.dataset import Dataset, load
from trainer.datasets.extraction import ACCOUNT, CAPTURE, LABELS, Recording
from trainer.datasets.splits import (
    PARTS,
    Split,
    split_by_source,
    split_by_time,
    without_repeated_flows,
)
from trainer.runs import RUN, train
from trainer.runs import load as load_run
from trainer.settings import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "recipes"
"""Recipes that come with the trainer."""

Say = Callable[[str], object]


@dataclass(frozen=True)
class RecordingPlan:
    """One recording of the lab.

    Attributes:
        name: of its folder and its source.
        part: of the split by source.
        scenario: of the lab.
        seed: of the scenario.
        duration_s: of the recording.
    """

    name: str
    part: str
    scenario: str
    seed: int
    duration_s: float


@dataclass(frozen=True)
class Recipe:
    """What a bundle is made of.

    Attributes:
        version: of the bundle.
        recordings: all of them.
        settings: of every fit.
        seeds: networks of the run that is exported.
        per_day: budget of false incidents.
    """

    version: str
    recordings: tuple[RecordingPlan, ...]
    settings: Settings
    seeds: tuple[int, ...]
    per_day: float


def read_recipe(name: str) -> Recipe:
    """Reads a recipe.

    Args:
        name: of a shipped recipe, or path of a TOML file.

    Raises:
        MissingInputError: there is no such recipe.
        ConfigurationError: it is malformed; file and entry are named.
    """
    path = SHIPPED / f"{name}.toml"
    if not path.exists():
        path = Path(name)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        shipped = ", ".join(sorted(each.stem for each in SHIPPED.glob("*.toml")))
        raise MissingInputError(f"{path}: {error.strerror}; shipped are {shipped}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None
    where = str(path)
    top = _entries(document, where, {"version", "recordings", "training"})
    training = dict(top["training"])
    seeds, per_day = training.pop("seeds", None), training.pop("false_incidents_per_day", None)
    if not seeds or per_day is None:
        raise ConfigurationError(f"{where}: training lacks seeds or false_incidents_per_day")
    known = {entry.name for entry in fields(Settings)}
    if unknown := sorted(set(training) - known):
        raise ConfigurationError(
            f"{where}: training.{unknown[0]} is unknown; known are {', '.join(sorted(known))}"
        )
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in training.items()
    }
    plans = []
    names = {entry.name for entry in fields(RecordingPlan)}
    for index, entry in enumerate(top["recordings"]):
        plan = RecordingPlan(**_entries(entry, f"{where}: recordings[{index}]", names))
        if plan.part not in PARTS:
            raise ConfigurationError(
                f"{where}: recordings[{index}].part is not one of {', '.join(PARTS)}"
            )
        plans.append(plan)
    return Recipe(
        str(top["version"]), tuple(plans), Settings(**values), tuple(seeds), float(per_day)
    )


def record_missing(recipe: Recipe, folder: Path, say: Say) -> list[Recording]:
    """Records what is not there yet; needs what the lab needs.

    Args:
        recipe: with the plans.
        folder: holds a folder for every recording.
        say: told what is done.

    Raises:
        MultaError: a recording can't be made.
    """
    from trainer.lab.recording import record  # noqa: PLC0415 -- root only

    recordings = []
    for plan in recipe.recordings:
        place = folder / plan.name
        if not (place / ACCOUNT).exists():
            say(f"recording {plan.name}: {plan.scenario}, {plan.duration_s:g} s")
            try:
                record(plan.scenario, place, plan.duration_s, plan.seed)
            except MultaError as error:
                raise type(error)(f"recording {plan.name}: {error}") from None
        recordings.append(Recording(plan.name, place / CAPTURE, place / LABELS))
    return recordings


def train_both(recipe: Recipe, dataset_folder: Path, work: Path, say: Say) -> tuple[Path, Path]:
    """Trains the run that is exported and, for comparison, one within its own sources.

    Returns:
        Their folders.

    Raises:
        MultaError: the dataset does not fit the recipe.
    """
    dataset, _ = without_repeated_flows(load([dataset_folder]))
    dataset = dataset.of_sources([plan.name for plan in recipe.recordings])
    given = {part: [plan.name for plan in recipe.recordings if plan.part == part] for part in PARTS}
    by_source = split_by_source(dataset, given, (0, 0), 0)
    folders = (work / "run", work / "run-in-source")
    splits = (by_source, split_by_time(dataset))
    for folder, split, seeds in zip(folders, splits, (recipe.seeds, recipe.seeds[:1]), strict=True):
        if _is_done(folder, recipe, dataset, split, seeds):
            say(f"{folder.name}: unchanged")
            continue
        say(f"{folder.name}: training {len(seeds)} networks")
        train(dataset, dataset.tasks, recipe.settings, split, seeds, recipe.per_day, folder)
    return folders


def _is_done(
    folder: Path, recipe: Recipe, dataset: Dataset, split: Split, seeds: tuple[int, ...]
) -> bool:
    if not (folder / RUN).exists():
        return False
    run = load_run(folder)
    identities = {record.name: record.identity for record in dataset.sources}
    same = asdict(run.settings) == asdict(recipe.settings) and run.split == split
    same = same and run.identities == identities
    same = same and run.per_day == recipe.per_day and run.schema == dataset.schema
    return same and tuple(result.seed for result in run.seeds) == tuple(seeds)


def _entries(document: Any, where: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(document, dict) or set(document) != names:
        given = set(document) if isinstance(document, dict) else set()
        wrong = ", ".join(sorted(given ^ names)) or "everything"
        raise ConfigurationError(f"{where}: {wrong} is missing or unknown")
    return document
