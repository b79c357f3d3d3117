"""The rows of the reproduction: drawn from the lab's recordings, and dealt out to single tasks.

The paper merges three datasets of one task each, in which nothing is known of the other tasks.
Here every flow is labelled for every task, so what is missing is taken away on purpose, and what
a filled label should have been is known. Each training flow belongs to the set of one task:

- a flow without attack of any of the tasks to that of its recording; recordings, sorted by name,
  are dealt out to the tasks in turn;
- an attack flow, in the layout ``own``, to the set of its own task: then no set has another's
  attack in it, and filling missing labels with negatives is right;
- in the layout ``others``, half of each task's attack flows, drawn at random, stay in its set, and
  the other half is dealt out to the other tasks' sets in turn: filled with negatives, half of the
  labels that belong to a task's attacks are wrong.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from sensor.model.schema import FeatureSchema
from trainer.datasets.collection import collect
from trainer.datasets.dataset import Dataset, load
from trainer.datasets.examples import task_labels
from trainer.datasets.extraction import Recording, require_recorded
from trainer.datasets.labels import MASKED
from trainer.datasets.splits import split_by_time
from trainer.lab.recording_set import RecordingSet, recorded
from trainer.paradigms.rehearsal import rehearsed
from trainer.reproduce.courses import METADATA, TASKS, Course, Known, Layout
from trainer.tasks import PLAYED, chosen

RECORDINGS = Path(__file__).with_name("homes.toml")
"""List of the recordings; `multa-trainer lab set homes` makes them, and others."""

LEARNT, IN_SOURCE, LEFT_OUT = "learnt", "in-source", "left-out"
"""Parts of the rows: earlier flows of the part train of the recordings, later ones of the same,
and the recordings of the part test."""

MOST = {LEARNT: 40, IN_SOURCE: 40, LEFT_OUT: 100}
"""Flows that are drawn of each recording and each combination of labels of all known tasks."""

SEED = 0
"""Of the draws, the same for every network."""


@dataclass(frozen=True)
class Material:
    """Drawn rows, small enough to be sent to a worker.

    Attributes:
        dataset: all rows that were drawn, whole flows, with labels of all known tasks.
        parts: ``(rows,)`` bool of each part.
        sets: for each layout, ``(rows,)`` int8 index into `TASKS` of the set that a flow that is
            learnt belongs to; −1 for the others.
    """

    dataset: Dataset
    parts: dict[str, NDArray[np.bool_]]
    sets: dict[Layout, NDArray[np.int8]]

    @property
    def truth(self) -> NDArray[np.int8]:
        """``(rows, tasks)`` labels as they are, masked where a task does not look or none knows."""
        return task_labels(self.dataset, chosen(TASKS))

    def labels(self, layout: Layout, known: Known) -> NDArray[np.int8]:
        """``(rows, tasks)`` labels that are learnt from; those of tested rows are not true."""
        truth = self.truth
        if known == "correct":
            return truth
        missing = self.sets[layout][:, None] != np.arange(len(TASKS))
        instead = np.where(truth == MASKED, truth, np.int8(0 if known == "filled" else MASKED))
        return np.where(missing, instead, truth)

    def without(self, metadata: str) -> "Material":
        """The same rows with the columns of one of `METADATA` at 0; all for an empty name."""
        if not metadata:
            return self
        batch = self.dataset.batch
        columns = {name: np.zeros_like(getattr(batch, name)) for name in METADATA[metadata]}
        return replace(self, dataset=replace(self.dataset, batch=replace(batch, **columns)))

    def learnt(self, course: Course, number: int) -> NDArray[np.bool_]:
        """``(rows,)`` bool, the rows of a course's phase; phases count from 0."""
        phase = course.phases[number]
        if not phase.task:
            return self.parts[LEARNT]
        of = self.sets[phase.layout]
        rows = of == TASKS.index(phase.task)
        for before in {each.task for each in course.phases[:number]} - {phase.task}:
            rows = rows | rehearsed(self.dataset, of == TASKS.index(before), phase.rehearsal, SEED)
        return np.asarray(rows, np.bool_)

    def flows(self, rows: NDArray[np.bool_]) -> int:
        """How many flows the rows are of."""
        return int(np.unique(self.dataset.flow[rows]).size)

    def attacks(self, rows: NDArray[np.bool_]) -> list[int]:
        """Attack flows of each of `TASKS` among the rows."""
        return [self.flows(rows & (column == 1)) for column in self.truth.T]

    @property
    def identity(self) -> str:
        """SHA-256, equal for equal rows, labels, parts and sets."""
        digest = hashlib.sha256(self.dataset.schema.fingerprint().encode())
        for record in self.dataset.sources:
            digest.update(f"{record.name}:{record.identity}\n".encode())
        columns: list[NDArray[Any]] = [self.dataset.flow, self.dataset.labels]
        for column in (*columns, *self.parts.values(), *self.sets.values()):
            digest.update(f"{column.dtype}{column.shape}".encode())
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def gather(wanted: RecordingSet, folder: Path, work: Path, executor: Executor) -> Dataset:
    """Makes the dataset of the parts train and test where it is not there yet, and loads it.

    Args:
        wanted: the recordings.
        folder: of them.
        work: folder of the dataset.
        executor: runs the extraction.

    Raises:
        MissingInputError: a recording is missing.
        MultaError: one can't be extracted.
    """
    recordings = used(wanted, folder)
    require_recorded(recordings, f"multa-trainer lab set {wanted.name}")
    schema = FeatureSchema()
    place = work / f"dataset-{schema.fingerprint()[:12]}"
    collect(recordings, place, schema, PLAYED, executor)
    return load([place]).of_sources([each.name for each in recordings])


def used(wanted: RecordingSet, folder: Path) -> list[Recording]:
    """The recordings of the parts train and test."""
    parts = wanted.parts()
    return [each for each in recorded(wanted, folder) if parts[each.name] != "validation"]


def draw(dataset: Dataset, parts_of: dict[str, str]) -> Material:
    """Draws the rows and deals them out.

    Args:
        dataset: as `gather` makes it.
        parts_of: ``train`` or ``test`` for each source.

    Raises:
        LabelError: a part lacks one of the classes of a task.
    """
    learnt_from = [record.name for record in dataset.sources if parts_of[record.name] == "train"]
    held_back = [record.name for record in dataset.sources if parts_of[record.name] == "test"]
    # By time within what is learnt from; of the other recordings, every flow is tested.
    by_time = split_by_time(dataset).rows(dataset)
    known = np.array([record.name in learnt_from for record in dataset.sources])[dataset.source]
    left_out = np.array([record.name in held_back for record in dataset.sources])[dataset.source]
    parts = {
        LEARNT: by_time["train"] & known,
        IN_SOURCE: by_time["test"] & known,
        LEFT_OUT: left_out.astype(np.bool_),
    }
    generator = np.random.default_rng(SEED)
    kept = np.zeros(len(dataset), np.bool_)
    for part, rows in parts.items():
        kept |= _drawn(dataset, rows, MOST[part], generator)
    drawn = dataset.take(kept)
    parts = {part: rows[kept] for part, rows in parts.items()}
    _require_classes(drawn, parts)
    return Material(drawn, parts, _sets(drawn, parts[LEARNT], learnt_from, generator))


def drawn_between(dataset: Dataset, parts_of: dict[str, str]) -> NDArray[np.bool_]:
    """``(rows,)`` bool: flows of the part train after those that are learnt, before those tested.

    As many of each kind as are learnt, with draws of their own.
    """
    of_train = np.array([parts_of[record.name] == "train" for record in dataset.sources])
    rows = split_by_time(dataset).rows(dataset)["validation"] & of_train[dataset.source]
    generator = np.random.default_rng([SEED, 1])
    return _drawn(dataset, rows.astype(np.bool_), MOST[LEARNT], generator)


def _drawn(
    dataset: Dataset, rows: NDArray[np.bool_], most: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """At most so many whole flows of each source and combination of labels."""
    flows, first = np.unique(dataset.flow[rows], return_index=True)
    places = np.flatnonzero(rows)[first]
    kinds = np.concatenate([dataset.source[places, None], dataset.labels[places]], axis=1)
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    order = np.lexsort((generator.permutation(flows.size), kind))
    counts = np.bincount(kind)
    rank = np.arange(flows.size) - (np.cumsum(counts) - counts)[kind[order]]
    chosen_flows = flows[order[rank < most]]
    return np.asarray(rows & np.isin(dataset.flow, chosen_flows), np.bool_)


def _sets(
    dataset: Dataset,
    learnt: NDArray[np.bool_],
    recordings: Sequence[str],
    generator: np.random.Generator,
) -> dict[Layout, NDArray[np.int8]]:
    turn = {name: place % len(TASKS) for place, name in enumerate(sorted(recordings))}
    of_source = [turn.get(record.name, -1) for record in dataset.sources]
    own = np.where(learnt, np.array(of_source, np.int8)[dataset.source], np.int8(-1))
    labels = dataset.labels[:, [dataset.tasks.index(name) for name in TASKS]]
    attacks = [learnt & (labels[:, column] == 1) for column, _ in enumerate(TASKS)]
    for column, rows in enumerate(attacks):
        own[rows] = column
    others = own.copy()
    for column, rows in enumerate(attacks):
        flows = generator.permutation(np.unique(dataset.flow[rows]))
        half = flows[: flows.size // 2]
        for step in range(1, len(TASKS)):
            elsewhere = half[step - 1 :: len(TASKS) - 1]
            there = np.int8((column + step) % len(TASKS))
            others[rows & np.isin(dataset.flow, elsewhere)] = there
    return {"own": own, "others": others}


def _require_classes(dataset: Dataset, parts: dict[str, NDArray[np.bool_]]) -> None:
    for column, name in enumerate(TASKS):
        labels = task_labels(dataset, chosen(TASKS))[:, column]
        for part, rows in parts.items():
            for value, word in ((0, "benign"), (1, "attack")):
                if not (labels[rows] == value).any():
                    raise LabelError(
                        f"the flows that are {part} have no {word} flow of {name}; name recordings "
                        "that have some"
                    )
