"""Adds a task to a trained run, without spoiling what the run can do.

MULTA, section IV-C: "We add new tasks to an already trained model and observe the disturbance it
causes to the original tasks." There, some tasks fall far, because the experts are shared, and one
epoch on their own data brings them back. Here the network also rehearses some of what it has
learnt, may keep layers frozen, and what comes out is written only if no old task has fallen by
more than a margin.

Old tasks are judged before and after on the same rows: the validation rows of the run that it was
made from, by the ROC-AUC over flows of the converted network.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from sensor.errors import (
    BundleError,
    LabelError,
    MissingInputError,
    OutputError,
    UsageError,
)
from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import LabelledRows, Patterns
from trainer.datasets.splits import Split, require_classes
from trainer.decisions import spanned_seconds
from trainer.evaluation import flow_scores
from trainer.forgetting import Areas, require_kept
from trainer.metrics import roc_auc
from trainer.paradigms.negative_filling import labels_for_training
from trainer.paradigms.rehearsal import rehearsed
from trainer.runs import (
    RUN,
    Run,
    SeedResult,
    freeze,
    identities,
    raw_scores,
    save,
    versions,
    write_network,
    writing,
)
from trainer.settings import Settings
from trainer.tasks import chosen
from trainer.thresholds import budget

if TYPE_CHECKING:
    import keras

    from trainer.fit import Fit

LOG = logging.getLogger(__name__)

ADDITION = "addition.json"
"""How a run's task was added: beside its `RUN`."""

Frozen = Literal["experts", "heads"]
"""The shared experts, or the gates and towers of the old tasks."""


@dataclass(frozen=True)
class Addition:
    """How a task is added.

    Attributes:
        task: its name.
        rehearsal: share of the flows of each source of the run that are learnt again.
        frozen: layers that stay as they are.
        recover: whether one epoch on all training rows of the run follows.
        margin: by how much the AUC of an old task may fall.
        epochs: at most; None for as many as the run's.
        learning_rate: of the first step; None for the run's.
    """

    task: str
    rehearsal: float = 0.05
    frozen: tuple[Frozen, ...] = ()
    recover: bool = False
    margin: float = 0.005
    epochs: int | None = None
    learning_rate: float | None = None


@dataclass(frozen=True)
class _Material:
    """What all seeds share: `known` are the validation rows of the run that was there."""

    dataset: Dataset
    tasks: tuple[TaskSpec, ...]
    patterns: Patterns
    labels: NDArray[np.int8]
    old: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    known: NDArray[np.bool_]

    def rows(self, part: NDArray[np.bool_]) -> LabelledRows:
        return LabelledRows(self.patterns, self.labels, self.dataset.flow, part, self.tasks)

    def areas(self, tflite: bytes, tasks: Sequence[TaskSpec]) -> dict[str, float]:
        """Of the first tasks; of the new one over all validation rows, since others lack it."""
        raw = raw_scores(tflite, self.patterns.encoded, [task.name for task in tasks])
        areas = {}
        for column, task in enumerate(tasks):
            judged = self.validation if task is self.tasks[-1] else self.known
            numbers = self.patterns.number[judged]
            held_out = self.dataset.take(judged)
            labels = self.labels[judged, column]
            flows = flow_scores(held_out, numbers, task, labels, raw[numbers, column])
            areas[task.name] = roc_auc(flows.labels, flows.scores)
        return areas


def add_task(
    run: Run,
    dataset: Dataset,
    addition: Addition,
    given: Mapping[str, Sequence[str]],
    folder: Path,
) -> tuple[Run, tuple[Areas, ...]]:
    """Adds a task to every seed of a run, and writes a run of its own if no old task suffers.

    Learnt are all training rows of sources that the run does not know, the run's own rows that
    the new task calls an attack, and the rehearsed ones.

    Args:
        run: by source; it stays as it is.
        dataset: with the run's training and validation sources, and labels of all tasks.
        addition: how.
        given: new sources of ``validation`` and ``test``; the others are learnt from.
        folder: of the new run; not there, or empty.

    Returns:
        The new run, and the areas of each seed.

    Raises:
        ForgettingError: an old task has fallen by more than the margin; nothing is written.
        UsageError: the run has the task already, or a split by time, or can't be fitted.
        BundleError: the dataset's features are not the run's.
        LabelError: a source has changed, or the rows lack a class of the new task.
        MissingInputError: the dataset lacks a source of the run.
        HostError: the conversion failed.
        OutputError: the folder has files, or can't be written.
    """
    _check(run, dataset, addition)
    split = extended_split(run, dataset, given)
    material = _material(run, dataset, addition, split)
    settings = _settings(run.settings, addition)
    held_out = dataset.take(material.validation)
    numbers = material.patterns.number[material.validation]
    allowed = budget(run.per_day, spanned_seconds(held_out))
    made = _claim(folder)
    networks: list[tuple[SeedResult, keras.Model, bytes]] = []
    areas = []
    try:
        for result in run.seeds:
            fitted, tflite, its = _learn(run, result, material, settings, addition)
            LOG.info(its.line())
            areas.append(its)
            args = (held_out, material.patterns, numbers, material.tasks, allowed)
            networks.append((freeze(result.seed, fitted, tflite, *args), fitted.model, tflite))
        require_kept(run.folder, areas, addition.margin)
    except BaseException:
        if made:
            with suppress(OSError):
                folder.rmdir()
        raise
    for result, model, tflite in networks:
        write_network(folder, result.seed, model, tflite)
    added = replace(
        run,
        folder=folder,
        settings=settings,
        split=split,
        identities={**run.identities, **identities(dataset, split)},
        allowed=allowed,
        seeds=tuple(result for result, _, _ in networks),
        versions=versions(),
    )
    _write_account(added, run, addition, areas, material)
    save(added)
    return added, tuple(areas)


def extended_split(run: Run, dataset: Dataset, given: Mapping[str, Sequence[str]]) -> Split:
    """The run's split with the sources that it does not know.

    Args:
        run: whose sources keep their parts.
        dataset: its sources that the run does not know are added.
        given: those of ``validation`` and ``test``; the others are trained on.

    Raises:
        MissingInputError: a named source is not in the dataset.
        UsageError: a named source is the run's, or named twice.
    """
    named = [name for part in given.values() for name in part]
    dataset.of_sources(named)
    split = run.split
    known = {*split.train, *split.validation, *split.test}
    for name in named:
        if name in known:
            raise UsageError(f"source {name} is of {run.folder} and keeps its part; do not name it")
        if named.count(name) > 1:
            raise UsageError(f"source {name} is named twice; name it once")
    rest = [record.name for record in dataset.sources if record.name not in {*known, *named}]
    return replace(
        split,
        train=(*split.train, *rest),
        validation=(*split.validation, *given.get("validation", ())),
        test=(*split.test, *given.get("test", ())),
    )


def _check(run: Run, dataset: Dataset, addition: Addition) -> None:
    if addition.task in run.task_names:
        raise UsageError(f"{run.folder}: has the task {addition.task} already; name another")
    if run.split.kind != "source":
        raise UsageError(f"{run.folder}: its split is by time; add to a run with --split source")
    if dataset.schema.fingerprint() != run.schema.fingerprint():
        raise BundleError(
            f"{run.folder}: its feature fingerprint is {run.schema.fingerprint()[:16]}…, the "
            f"dataset's {dataset.schema.fingerprint()[:16]}…; extract with the run's schema"
        )
    present = {record.name: record for record in dataset.sources}
    needed = run.split.validation
    if addition.rehearsal or addition.recover:
        needed = run.learnt_from
    if missing := [name for name in needed if name not in present]:
        raise MissingInputError(
            f"the dataset lacks {missing[0]}, from which {run.folder} was made; name all datasets "
            "that it was trained on"
        )
    captures = {identity.partition(":")[0]: name for name, identity in run.identities.items()}
    for record in dataset.sources:
        # New labels of the same packets are welcome: they may be those of the new task.
        known = run.identities.get(record.name)
        if known is not None and known.partition(":")[0] != record.capture_sha256:
            raise LabelError(
                f"{run.folder}: source {record.name} is another capture now; name it otherwise"
            )
        if known is None and record.capture_sha256 in captures:
            raise LabelError(
                f"{run.folder}: source {record.name} is the capture of "
                f"{captures[record.capture_sha256]}, which the run knows; call it so"
            )


def _material(run: Run, dataset: Dataset, addition: Addition, split: Split) -> _Material:
    tasks = chosen([*run.task_names, addition.task])
    parts, before = split.rows(dataset), run.split.rows(dataset)
    old, training = before["train"], parts["train"]
    labels = labels_for_training(dataset, tasks, training, run.settings.unknown)
    material = _Material(
        dataset,
        tasks,
        Patterns.of(dataset),
        labels,
        old,
        training & (~old | (labels[:, -1] == 1)),
        parts["validation"],
        before["validation"],
    )
    # The draw differs by seed, but takes of every kind: what one seed lacks, all lack.
    learnt = material.fresh | rehearsed(dataset, old, addition.rehearsal, run.seeds[0].seed)
    rows = {"train": learnt, "validation": material.validation}
    require_classes(rows, labels[:, -1:], [addition.task])
    return material


def _settings(settings: Settings, addition: Addition) -> Settings:
    """Those of the run, but that rows without a trace of the attack are masked at once.

    The network already tells them apart, and the old tasks would be taught them for some epochs.
    """
    weights = settings.task_weights
    return replace(
        settings,
        settle_after=0,
        epochs=addition.epochs or settings.epochs,
        learning_rate=addition.learning_rate or settings.learning_rate,
        task_weights=(*weights, float(np.mean(weights))) if weights else (),
    )


def _learn(
    run: Run, result: SeedResult, material: _Material, settings: Settings, addition: Addition
) -> tuple["Fit", bytes, Areas]:
    """One network with the new task."""
    import keras  # noqa: PLC0415 -- TensorFlow takes seconds to load

    from trainer.export import convert  # noqa: PLC0415
    from trainer.fit import fit_further  # noqa: PLC0415
    from trainer.models.lmmoe import extended  # noqa: PLC0415

    names = [task.name for task in material.tasks]
    keras.utils.set_random_seed(result.seed)
    sizes = (settings.experts, settings.units, settings.tower_units)
    model = extended(run.model(result.seed), run.schema, names, *sizes, settings.wiring)
    kept = frozen_layers(model, run.task_names, addition.frozen)
    for layer in kept:
        layer.trainable = False
    again = rehearsed(material.dataset, material.old, addition.rehearsal, result.seed)
    training = material.rows(material.fresh | again)
    fitted = fit_further(
        model, names, settings, result.seed, training, material.rows(material.validation)
    )
    tflite = convert(model, run.schema, wiring=settings.wiring)
    before = material.areas(run.tflite(result.seed), material.tasks[:-1])
    added, recovered = material.areas(tflite, material.tasks), {}
    if addition.recover:
        fitted = _recovered(fitted, names, settings, result.seed, material)
        tflite = convert(model, run.schema, wiring=settings.wiring)
        recovered = material.areas(tflite, material.tasks)
    for layer in kept:
        layer.trainable = True
    return fitted, tflite, Areas(result.seed, before, added, recovered)


def frozen_layers(
    model: "keras.Model", old_names: Sequence[str], frozen: Sequence[Frozen]
) -> list["keras.Layer"]:
    """The layers of a network that stay as they are.

    Args:
        model: with the new task.
        old_names: the other tasks.
        frozen: what is to stay.
    """
    from trainer.models.lmmoe import expert_layers, own_layers  # noqa: PLC0415 -- TensorFlow

    kept = expert_layers(model) if "experts" in frozen else []
    if "heads" in frozen:
        kept += [layer for name in old_names for layer in own_layers(model, name)]
    return kept


def _recovered(
    fitted: "Fit", names: Sequence[str], settings: Settings, seed: int, material: _Material
) -> "Fit":
    """One epoch on the old training rows; its weights are the ones that are kept."""
    from trainer.export import keras_scores  # noqa: PLC0415 -- TensorFlow takes seconds to load
    from trainer.fit import paradigm_of  # noqa: PLC0415

    examples, held_out = (
        material.rows(part).settled_examples(
            lambda encoded: keras_scores(fitted.model, encoded, names)
        )
        for part in (material.old, material.validation)
    )
    paradigm = paradigm_of(fitted.model, names, settings, seed, examples, 1)
    training = paradigm.global_loss(paradigm.epoch(examples))
    validation = paradigm.global_loss(paradigm.losses(held_out))
    return replace(
        fitted,
        best_epoch=len(fitted.validation_losses) + 1,
        training_losses=(*fitted.training_losses, training),
        validation_losses=(*fitted.validation_losses, validation),
    )


def _claim(folder: Path) -> bool:
    """Makes the folder, before hours are spent; whether it was not there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: is there already and not empty; name a new folder")
    made = not folder.exists()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return made


def _write_account(
    added: Run, run: Run, addition: Addition, areas: Sequence[Areas], material: _Material
) -> None:
    old = (run.folder / RUN).read_bytes()
    document = {
        **asdict(addition),
        "to": hashlib.sha256(old).hexdigest(),
        "new_rows": int(material.fresh.sum()),
        "old_rows": int((material.old & ~material.fresh).sum()),
        "areas": [asdict(each) for each in areas],
    }
    with writing(added.folder):
        text = json.dumps(document, indent=1) + "\n"
        (added.folder / ADDITION).write_text(text, encoding="utf-8")
