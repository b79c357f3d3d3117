"""Whether attacks that are changed in training are recognised when they are changed in testing.

Two small networks learn from the same drawn flows of the lab, and one of them also from copies of
the training recordings' attacks that were changed: another change for each recording, in turn.
Copies are sources of their own; thresholds are chosen on recordings as they are.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sensor.flows.sequences import SequenceBatch
from trainer.comparison import held_out
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import task_labels
from trainer.datasets.splits import Split
from trainer.evasion.attacked import Stream, dataset_of
from trainer.evasion.changes import UNCHANGED, Change
from trainer.evasion.measure import evasion
from trainer.incidents import incident_figures
from trainer.proof.acceptance import SETTINGS, drawn
from trainer.proof.experiments import SEEDS, Experiment, run_of
from trainer.proof.material import Material
from trainer.runs import Run

TAUGHT = (
    Change("pad", bytes_more=256),
    Change("delay", slower=3),
    Change("delay", slower=10),
    Change("split", pieces=3),
    Change("all", 128, 4, 2),
)
"""Changes of the training recordings, in turn; none is one of those that are tested."""

TESTED = (
    UNCHANGED,
    Change("pad", bytes_more=512),
    Change("delay", slower=5),
    Change("delay", slower=20),
    Change("split", pieces=4),
    Change("all", 128, 5, 2),
)

COPY = "changed copy of "


def augmentation(
    material: Material,
    tasks: Sequence[str],
    learnt: Sequence[Stream],
    tested: Sequence[Stream],
    work: Path,
) -> dict[str, Any]:
    """What changed copies in training are worth, and what they cost in false incidents.

    Args:
        material: with the lab's recordings.
        tasks: that are learnt.
        learnt: streams of the recordings of the part ``train``.
        tested: of the part ``test``.
        work: folder of the two runs.
    """
    names = {part: material.recorded(part) for part in ("train", "validation", "test")}
    plain = drawn(material, material.dataset.of_sources((*names["train"], *names["validation"])))
    whole = material.dataset.of_sources(names["test"])
    copies = [
        _copy(stream, TAUGHT[place % len(TAUGHT)], plain) for place, stream in enumerate(learnt)
    ]
    document: dict[str, Any] = {
        "settings": f"{SETTINGS.experts} experts of {SETTINGS.units} units, {SETTINGS.epochs} "
        "epochs",
        "budgets": [change.budget for change in TAUGHT],
    }
    for name, more in (("plain", []), ("changed", copies)):
        dataset = _with(plain, more, material)
        split = Split(
            "source",
            (*names["train"], *(each.sources[0].name for each in more)),
            names["validation"],
            (),
        )
        experiment = Experiment(f"evasion-{name}", name, tuple(tasks), split, SETTINGS)
        run = run_of(experiment, dataset, work / experiment.name, SEEDS, 1.0)
        document[name] = {**evasion(run, tested, TESTED), "false": _false(run, whole)}
    return document


def _copy(stream: Stream, change: Change, like: Dataset) -> Dataset:
    """Attack rows of a changed recording, as a source of their own."""
    dataset = dataset_of(stream, change)
    rows = dataset.take((dataset.labels == 1).any(axis=1))
    record = next(each for each in like.sources if each.name == stream.name)
    # Another identity than the recording's own: they are no rows of its capture.
    named = replace(
        record, name=f"{COPY}{stream.name}", capture_sha256=f"{record.capture_sha256}:{change}"
    )
    return replace(rows, sources=(named,))


def _with(plain: Dataset, more: Sequence[Dataset], material: Material) -> Dataset:
    """The drawn rows and, drawn likewise, those of the copies."""
    sources, begin = list(plain.sources), int(material.dataset.flow.max()) + 1
    parts = [plain]
    for each in more:
        number = np.full(len(each), len(sources), np.int32)
        parts.append(replace(each, source=number, flow=each.flow + begin))
        begin += int(each.flow.max(initial=0)) + 1
        sources += each.sources
    joined = replace(
        plain,
        sources=tuple(sources),
        batch=SequenceBatch.concatenate([each.batch for each in parts]),
        labels=np.concatenate([each.labels for each in parts]),
        source=np.concatenate([each.source for each in parts]),
        flow=np.concatenate([each.flow for each in parts]),
    )
    return drawn(material, joined)


def _false(run: Run, dataset: Dataset) -> dict[str, int]:
    """False incidents of all seeds in recordings as they are, by task."""
    held = held_out(run, dataset)
    counts: dict[str, int] = {}
    for scored in held.models["lmmoe"]:
        labels = task_labels(held.dataset, scored.tasks)
        for column, task in enumerate(scored.tasks):
            found = incident_figures(
                held.dataset, task, labels[:, column], scored.scores[:, column]
            )
            counts[task.name] = counts.get(task.name, 0) + found.false
    return counts
