"""Recipes: everything from recordings to a bundle, written down in one TOML file.

A recipe names a set of recordings of the lab (`trainer.lab.recording_set`), the settings of the
fits and the bundle's version. What is there already is not made again: recordings that are
complete, datasets of unchanged recordings, runs of unchanged datasets and settings. So an
interrupted recipe goes on where it stopped.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sensor.errors import ConfigurationError, MissingInputError, UsageError
from trainer.audit import TABLE, audit, require_no_leak, write_findings
from trainer.datasets.dataset import Dataset, load
from trainer.datasets.splits import (
    PARTS,
    Split,
    split_by_source,
    split_by_time,
    without_repeated_flows,
)
from trainer.lab.recording_set import RecordingSet, read_set
from trainer.runs import RUN, train
from trainer.runs import load as load_run
from trainer.settings import Settings
from trainer.tasks import chosen

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "recipes"
"""Recipes that come with the trainer."""

Say = Callable[[str], object]


@dataclass(frozen=True)
class Recipe:
    """What a bundle is made of.

    Attributes:
        version: of the bundle.
        recordings: what is learnt, tuned and tested on.
        tasks: names of the network's outputs, in order.
        settings: of every fit.
        seeds: networks of the run that is exported.
        per_day: budget of false incidents.
    """

    version: str
    recordings: RecordingSet
    tasks: tuple[str, ...]
    settings: Settings
    seeds: tuple[int, ...]
    per_day: float


def read_document(name: str) -> tuple[dict[str, Any], str]:
    """Reads the file of a recipe, of whichever kind it is.

    Args:
        name: of a shipped recipe, or path of a TOML file.

    Returns:
        The document, and the file's path for messages.

    Raises:
        MissingInputError: there is no such recipe.
        ConfigurationError: it is not TOML.
    """
    path = SHIPPED / f"{name}.toml"
    if not path.exists():
        path = Path(name)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), str(path)
    except OSError as error:
        shipped = ", ".join(sorted(each.stem for each in SHIPPED.glob("*.toml")))
        raise MissingInputError(f"{path}: {error.strerror}; shipped are {shipped}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def read_recipe(name: str) -> Recipe:
    """Reads a recipe of alerts; arguments and errors are those of `read_document`, `recipe_of`."""
    return recipe_of(*read_document(name))


def recipe_of(document: dict[str, Any], where: str) -> Recipe:
    """A recipe of alerts, of its document.

    Args:
        document: of a TOML file.
        where: names the file.

    Raises:
        MissingInputError: there is no such set of recordings.
        ConfigurationError: it, or the set that it names, is malformed; file and entry are named.
    """
    top = _entries(document, where, {"version", "recordings", "tasks", "training"})
    if not isinstance(top["version"], str) or not top["version"]:
        raise ConfigurationError(f'{where}: version is no text; write version = "1"')
    if not isinstance(top["recordings"], str) or not isinstance(top["training"], dict):
        raise ConfigurationError(
            f'{where}: write recordings = "homes", or the path of such a list, and [training]'
        )
    tasks = _tasks(top["tasks"], where)
    training = _training(top["training"], f"{where}: training")
    return Recipe(top["version"], read_set(top["recordings"]), tasks, *training)


def _tasks(names: Any, where: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(each, str) for each in names):
        raise ConfigurationError(f'{where}: tasks is no list of names; write tasks = ["syn_dos"]')
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"{where}: tasks names {twice[0]} twice")
    try:
        return tuple(task.name for task in chosen(names))
    except UsageError as error:
        raise ConfigurationError(f"{where}: tasks: {error}") from None


def _training(document: dict[str, Any], where: str) -> tuple[Settings, tuple[int, ...], float]:
    training = dict(document)
    seeds, per_day = training.pop("seeds", None), training.pop("false_incidents_per_day", None)
    if not seeds or per_day is None:
        raise ConfigurationError(f"{where} lacks seeds or false_incidents_per_day")
    if not isinstance(seeds, list) or not all(_is_seed(seed) for seed in seeds):
        raise ConfigurationError(f"{where}.seeds is no list of numbers from 0 to 4294967295")
    if type(per_day) not in (int, float) or not 0 <= per_day < math.inf:
        raise ConfigurationError(f"{where}.false_incidents_per_day is no number from 0 on")
    known = {entry.name for entry in fields(Settings)}
    if unknown := sorted(set(training) - known):
        raise ConfigurationError(
            f"{where}.{unknown[0]} is unknown; known are {', '.join(sorted(known))}"
        )
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in training.items()
    }
    try:
        return Settings(**values), tuple(seeds), float(per_day)
    except UsageError as error:
        raise ConfigurationError(f"{where}.{error}") from None


def _is_seed(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


def train_both(recipe: Recipe, dataset_folder: Path, work: Path, say: Say) -> tuple[Path, Path]:
    """Trains the run that is exported and, for comparison, one within its own sources.

    Before that, no single input may know the training recordings rather than the attacks.

    Returns:
        Their folders.

    Raises:
        LeakError: an input does; `trainer.audit.TABLE` in `work` has all of them.
        MultaError: the dataset does not fit the recipe.
    """
    dataset, _ = without_repeated_flows(load([dataset_folder]))
    parts = recipe.recordings.parts()
    dataset = dataset.of_sources(list(parts))
    given = {part: [name for name, its in parts.items() if its == part] for part in PARTS}
    by_source = split_by_source(dataset, given, (0, 0), 0)
    rows = by_source.rows(dataset)
    say("audit: trees on every single input")
    findings = audit(dataset, chosen(recipe.tasks), rows["train"], rows["validation"])
    write_findings(findings, work / TABLE)
    require_no_leak(findings, str(dataset_folder))
    folders = (work / "run", work / "run-in-source")
    splits = (by_source, split_by_time(dataset))
    for folder, split, seeds in zip(folders, splits, (recipe.seeds, recipe.seeds[:1]), strict=True):
        if _is_done(folder, recipe, dataset, split, seeds):
            say(f"{folder.name}: unchanged")
            continue
        say(f"{folder.name}: training {len(seeds)} networks")
        train(dataset, recipe.tasks, recipe.settings, split, seeds, recipe.per_day, folder)
    return folders


def _is_done(
    folder: Path, recipe: Recipe, dataset: Dataset, split: Split, seeds: tuple[int, ...]
) -> bool:
    if not (folder / RUN).exists():
        return False
    run = load_run(folder)
    identities = {record.name: record.identity for record in dataset.sources}
    same = asdict(run.settings) == asdict(recipe.settings) and run.split == split
    same = same and run.identities == identities and run.task_names == recipe.tasks
    same = same and run.per_day == recipe.per_day and run.schema == dataset.schema
    return same and tuple(result.seed for result in run.seeds) == tuple(seeds)


def _entries(document: Any, where: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(document, dict) or set(document) != names:
        given = set(document) if isinstance(document, dict) else set()
        wrong = ", ".join(sorted(given ^ names)) or "everything"
        raise ConfigurationError(f"{where}: {wrong} is missing or unknown")
    return document
