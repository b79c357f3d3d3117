"""A training run: several seeds of one network, frozen with their thresholds, in a folder.

``run.json`` says what was trained on what, by which split, and holds calibration and thresholds of
every seed; beside it lie each seed's weights and its converted network. Thresholds are chosen on
the scores of the converted network, because that is what the sensor runs.
"""

import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import sensor
from sensor.errors import BundleError, MissingInputError, OutputError, UsageError
from sensor.model.encoding import Encoded
from sensor.model.inference import Inference
from sensor.model.inference import calibrate as calibrated_scores
from sensor.model.schema import FeatureSchema, TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import LabelledRows, Patterns, task_likely
from trainer.datasets.splits import PARTS, Split, require_classes
from trainer.decisions import attack_recalls, decide, spanned_seconds
from trainer.paradigms.negative_filling import labels_for_training
from trainer.settings import Settings
from trainer.tasks import chosen
from trainer.thresholds import budget

if TYPE_CHECKING:
    import keras

    from trainer.fit import Fit

FORMAT = 1

RUN = "run.json"
"""Written last: a folder without it is no run."""

FIGURES = ("evaluation.json", "evaluation.png")
"""What `multa-trainer evaluate` writes beside it."""


@dataclass(frozen=True)
class SeedResult:
    """One trained network.

    Attributes:
        seed: from which it was initialised.
        best_epoch: whose weights were kept, from 1.
        training_losses, validation_losses: of every epoch.
        tasks: with calibration and thresholds.
        recalls: of each task, share of the validation attack flows at or above its threshold.
    """

    seed: int
    best_epoch: int
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    tasks: tuple[TaskSpec, ...]
    recalls: tuple[float, ...]

    @property
    def validation_loss(self) -> float:
        """Of the epoch that was kept."""
        return self.validation_losses[self.best_epoch - 1]


@dataclass(frozen=True)
class Run:
    """All seeds of a run.

    Attributes:
        folder: where it lies.
        schema: of its features.
        settings: of its fits.
        split: of the sources it was made from.
        identities: of every source of the split, by name.
        per_day: budget of false incidents.
        allowed: false incidents that the budget lets pass in the validation traffic.
        seeds: the networks.
        versions: of the software that made it.
    """

    folder: Path
    schema: FeatureSchema
    settings: Settings
    split: Split
    identities: dict[str, str]
    per_day: float
    allowed: int
    seeds: tuple[SeedResult, ...]
    versions: dict[str, str]

    @property
    def best(self) -> SeedResult:
        """The seed that is exported: the one whose worst task finds most validation attacks.

        Not the one of the lowest loss: a single benign sequence that scores high raises the
        threshold, which hardly shows in the loss.
        """
        return max(self.seeds, key=lambda result: (min(result.recalls), -result.validation_loss))

    @property
    def learnt_from(self) -> tuple[str, ...]:
        """Sources that weights, calibration and thresholds come from."""
        return self.split.train + self.split.validation

    @property
    def task_names(self) -> tuple[str, ...]:
        """Outputs of the network."""
        return tuple(task.name for task in self.seeds[0].tasks)

    def tflite(self, seed: int) -> bytes:
        """The converted network of a seed."""
        return _content(self.folder / f"seed-{seed}.tflite")

    def model(self, seed: int) -> "keras.Model":
        """The trained network of a seed.

        Raises:
            MissingInputError: its weights are not there.
            BundleError: they are damaged, or another network's.
        """
        from trainer.models.lmmoe import build  # noqa: PLC0415 -- TensorFlow takes seconds to load

        sizes = (self.settings.experts, self.settings.units, self.settings.tower_units)
        model = build(self.schema, self.task_names, *sizes, wiring=self.settings.wiring)
        path = self.folder / f"seed-{seed}.weights.h5"
        try:
            model.load_weights(path)
        except FileNotFoundError:
            raise _missing(path, "No such file or directory") from None
        except (OSError, ValueError, KeyError):
            raise BundleError(
                f"{path}: damaged, or not of this run's network; train again"
            ) from None
        return model

    def scores(self, result: SeedResult, encoded: Encoded) -> NDArray[np.float32]:
        """Calibrated scores ``(rows, tasks)`` of the converted network of a seed."""
        raw = raw_scores(self.tflite(result.seed), encoded, self.task_names)
        return calibrated_scores(result.tasks, raw)


def raw_scores(tflite: bytes, encoded: Encoded, task_names: Sequence[str]) -> NDArray[np.float32]:
    """Raw scores ``(rows, tasks)`` of a converted network, on the sensor's own runtime."""
    return Inference(tflite, encoded.schema, task_names, "the converted network").scores(encoded)


def train(
    dataset: Dataset,
    task_names: Sequence[str],
    settings: Settings,
    split: Split,
    seeds: Sequence[int],
    per_day: float,
    folder: Path,
) -> Run:
    """Trains every seed, converts it, calibrates it and chooses its thresholds.

    Args:
        dataset: rows of all sources of the split.
        task_names: outputs, in order.
        settings: of the fits.
        split: its training rows are fitted to; its validation rows decide when to stop, the
            calibration and the thresholds.
        seeds: one network each.
        per_day: false incidents that a threshold may let pass a day, for each task.
        folder: of the run.

    Raises:
        UsageError: a task or a seed is named twice, the weights are not one a task, or the
            network can't be fitted.
        LabelError: training or validation lacks a class of a task.
        HostError: the conversion failed.
        OutputError: the folder can't be written.
    """
    for kind, named in (("task", task_names), ("seed", seeds)):
        if len(set(named)) < len(named):
            raise UsageError(f"a {kind} is named twice; name each once, for figures of their own")
    if settings.task_weights and len(settings.task_weights) != len(task_names):
        raise UsageError(
            f"task_weights has {len(settings.task_weights)} weights for {len(task_names)} tasks; "
            "give one each"
        )
    from trainer.export import convert  # noqa: PLC0415 -- TensorFlow takes seconds to load
    from trainer.fit import fit  # noqa: PLC0415

    tasks, rows = chosen(task_names), split.rows(dataset)
    labels = labels_for_training(dataset, tasks, rows["train"], settings.unknown)
    require_classes(rows, labels, task_names)
    patterns, likely = Patterns.of(dataset), task_likely(dataset, tasks)
    training, validation = (
        LabelledRows(patterns, labels, dataset.flow, rows[part], tasks, likely)
        for part in ("train", "validation")
    )
    held_out = dataset.take(rows["validation"])
    allowed = budget(per_day, spanned_seconds(held_out))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # What an earlier run has left is not to be taken for this one's, should it be cut short.
        for name in (RUN, *FIGURES):
            (folder / name).unlink(missing_ok=True)
    results = []
    for seed in seeds:
        fitted = fit(dataset.schema, task_names, settings, seed, training, validation)
        tflite = convert(fitted.model, dataset.schema, wiring=settings.wiring)
        judged = freeze(
            seed,
            fitted,
            tflite,
            held_out,
            patterns,
            patterns.number[rows["validation"]],
            tasks,
            allowed,
        )
        results.append(judged)
        write_network(folder, seed, fitted.model, tflite)
    run = Run(
        folder,
        dataset.schema,
        settings,
        split,
        identities(dataset, split),
        per_day,
        allowed,
        tuple(results),
        versions(),
    )
    save(run)
    return run


def freeze(
    seed: int,
    fitted: "Fit",
    tflite: bytes,
    held_out: Dataset,
    patterns: Patterns,
    numbers: NDArray[np.int64],
    tasks: Sequence[TaskSpec],
    allowed: int,
) -> SeedResult:
    """Calibrates a fitted network and chooses its thresholds.

    Args:
        seed: of the network.
        fitted: what training made.
        tflite: the converted network.
        held_out: validation rows.
        patterns: of all rows.
        numbers: ``(validation rows,)`` of their patterns.
        tasks: to decide.
        allowed: false incidents that benign traffic may make, for each task.
    """
    raw = raw_scores(tflite, patterns.encoded, [task.name for task in tasks])[numbers]
    decided = decide(held_out, numbers, tasks, raw, allowed)
    return SeedResult(
        seed,
        fitted.best_epoch,
        fitted.training_losses,
        fitted.validation_losses,
        decided,
        attack_recalls(held_out, numbers, decided, raw),
    )


def identities(dataset: Dataset, split: Split) -> dict[str, str]:
    """Identities of the split's sources, by name."""
    named = {name for part in PARTS for name in getattr(split, part)}
    return {record.name: record.identity for record in dataset.sources if record.name in named}


def write_network(folder: Path, seed: int, model: "keras.Model", tflite: bytes) -> None:
    """Writes weights and converted network of a seed.

    Raises:
        OutputError: the folder can't be written.
    """
    with writing(folder):
        (folder / f"seed-{seed}.tflite").write_bytes(tflite)
        model.save_weights(folder / f"seed-{seed}.weights.h5")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """What the system says about writing there, as a line for a person."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder}: {error.strerror or error}; name a folder that can be written"
        ) from None


def versions() -> dict[str, str]:
    """Software that decides what comes out of a run."""
    found = {"multa": sensor.__version__, "python": platform.python_version()}
    for package in ("numpy", "keras", "ai-edge-litert", "tensorflow-cpu", "tensorflow"):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def load(folder: Path) -> Run:
    """Loads a run.

    Raises:
        MissingInputError: there is none.
        BundleError: it is damaged or of another version.
    """
    try:
        document = json.loads(_content(folder / RUN))
        if document["format"] != FORMAT:
            raise BundleError(f"{folder / RUN}: is of another version; train again")
        split = document["split"]
        first, *others = document["seeds"]
        return Run(
            folder,
            FeatureSchema.from_manifest(document["schema"], str(folder / RUN)),
            _settings(document["settings"]),
            Split(split["kind"], *(tuple(split[part]) for part in PARTS)),
            document["identities"],
            document["per_day"],
            document["allowed"],
            tuple(_seed(entry) for entry in (first, *others)),
            document["versions"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
        raise BundleError(f"{folder / RUN}: damaged ({error}); train again") from None


def _settings(entry: dict[str, Any]) -> Settings:
    return Settings(
        **{**entry, **{name: tuple(entry[name]) for name in ("tower_units", "task_weights")}}
    )


def _seed(entry: dict[str, Any]) -> SeedResult:
    tasks = chosen(list(entry["tasks"]))
    return SeedResult(
        entry["seed"],
        entry["best_epoch"],
        tuple(entry["training_losses"]),
        tuple(entry["validation_losses"]),
        tuple(
            replace(
                task,
                threshold=entry["tasks"][task.name]["threshold"],
                calibration=tuple(entry["tasks"][task.name]["calibration"]),
            )
            for task in tasks
        ),
        tuple(entry["tasks"][task.name]["recall"] for task in tasks),
    )


def save(run: Run) -> None:
    """Writes what is no network; from then on the run is there.

    Raises:
        OutputError: the folder can't be written.
    """
    document = {
        "format": FORMAT,
        "schema": run.schema.to_manifest(),
        "settings": asdict(run.settings),
        "split": asdict(run.split),
        "identities": run.identities,
        "per_day": run.per_day,
        "allowed": run.allowed,
        "seeds": [
            {
                "seed": result.seed,
                "best_epoch": result.best_epoch,
                "training_losses": result.training_losses,
                "validation_losses": result.validation_losses,
                "tasks": {
                    task.name: {
                        "calibration": task.calibration,
                        "threshold": task.threshold,
                        "recall": recall,
                    }
                    for task, recall in zip(result.tasks, result.recalls, strict=True)
                },
            }
            for result in run.seeds
        ],
        "versions": run.versions,
    }
    written = run.folder / f"{RUN}.new"
    with writing(run.folder):
        written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        written.replace(run.folder / RUN)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _missing(path, error.strerror or str(error)) from None


def _missing(path: Path, why: str) -> MissingInputError:
    return MissingInputError(f"{path}: {why}; make a run with `multa-trainer train`")
