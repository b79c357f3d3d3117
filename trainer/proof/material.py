"""What the proof is made on: the public captures and the recordings of the lab, as one dataset."""

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.model.fields import DEFAULT_FIELDS, OPTIONAL_FIELDS
from sensor.model.schema import FeatureSchema
from trainer.datasets.collection import collect
from trainer.datasets.dataset import Dataset, load
from trainer.datasets.extraction import Recording, require_recorded
from trainer.datasets.sources import Capture, captures, read_sources, recordings
from trainer.datasets.splits import without_repeated_flows
from trainer.decisions import spanned_seconds
from trainer.lab.recording_set import recorded
from trainer.recipe import read_recipe
from trainer.tasks import KNOWN, PLAYED

LAB = "lab"
"""Group of every recording of the lab: they share the machine, the services and the tools."""


@dataclass(frozen=True)
class Material:
    """A dataset whose sources are known by more than their names.

    Attributes:
        dataset: rows of all sources, each flow once.
        captures: public ones, by name of the source.
        parts: of the lab's recordings in the recipe, by name of the source.
        repeated: flows that were removed because another source holds them.
        wide: the dataset with the optional fields of packets.
        lab: the lab's recordings, by name of the source.
    """

    dataset: Dataset
    captures: dict[str, Capture]
    parts: dict[str, str]
    repeated: int
    wide: Dataset
    lab: Mapping[str, Recording] = field(default_factory=dict)

    def group(self, source: str) -> str:
        """Network or device of a source."""
        return self.captures[source].group if source in self.captures else LAB

    def names(self, wanted: Callable[[Capture], bool]) -> tuple[str, ...]:
        """Public sources with rows, in the dataset's order."""
        return self._there(name for name, capture in self.captures.items() if wanted(capture))

    def recorded(self, part: str) -> tuple[str, ...]:
        """Recordings of the lab of one part of the recipe's split."""
        return self._there(name for name, its in self.parts.items() if its == part)

    def benign(self) -> tuple[str, ...]:
        """Public sources whose hours count as benign."""
        return self.names(lambda capture: capture.source.benign)

    def groups(self, dataset: Dataset) -> NDArray[np.intp]:
        """``(rows,)`` number of each row's group, of a part of the dataset."""
        names = [self.group(record.name) for record in dataset.sources]
        known = sorted(set(names))
        return np.array([known.index(name) for name in names], np.intp)[dataset.source]

    def units(self, dataset: Dataset) -> NDArray[np.intp]:
        """``(rows,)`` what is drawn for intervals: groups, but of the lab each recording."""
        recorded = [record.name in self.parts for record in dataset.sources]
        alone = np.array(recorded)[dataset.source]
        return np.where(alone, -1 - dataset.source, self.groups(dataset)).astype(np.intp)

    def hours(self, sources: Iterable[str]) -> float:
        """Hours that sources were watched."""
        wanted = self._there(sources)
        return spanned_seconds(self.dataset.of_sources(wanted)) / 3600 if wanted else 0.0

    def _there(self, names: Iterable[str]) -> tuple[str, ...]:
        present = {self.dataset.sources[int(each)].name for each in np.unique(self.dataset.source)}
        return tuple(name for name in names if name in present)


def nothing_unplayed(dataset: Dataset, recorded_in_lab: Collection[str]) -> Dataset:
    """Labels in which the lab's recordings are 0 for whatever the lab does not play.

    Their label files cover what the lab can play; it runs no malware and no DNS tunnel either.
    """
    of_lab = [record.name in recorded_in_lab for record in dataset.sources]
    rows, labels = np.array(of_lab)[dataset.source], dataset.labels.copy()
    for column, task in enumerate(dataset.tasks):
        if task not in PLAYED:
            labels[rows, column] = 0
    return replace(dataset, labels=labels)


def gather(
    data: Path,
    lab_folder: Path,
    work: Path,
    executor: Executor,
    recipe: str = "iot-gateway",
) -> Material:
    """Makes the dataset where it is not there yet, and loads it.

    Args:
        data: folder of the unpacked archives.
        lab_folder: of the recipe's recordings.
        work: folder of datasets and label files, one for each feature fingerprint.
        executor: runs the extraction.
        recipe: whose split the recordings follow.

    Raises:
        MissingInputError: a capture or a recording is missing.
        MultaError: one can't be extracted.
    """
    found = captures(read_sources(), data)
    wanted = read_recipe(recipe).recordings
    lab = recorded(wanted, lab_folder)
    require_recorded(lab, f"multa-trainer recipe {recipe}")
    schema = FeatureSchema(fields=(*DEFAULT_FIELDS, *OPTIONAL_FIELDS))
    # Another version may know other tasks, and datasets of different tasks are never mixed.
    known_tasks = zlib.crc32(",".join(KNOWN).encode())
    folder = work / f"dataset-{schema.fingerprint()[:12]}-{known_tasks:08x}"
    collect([*lab, *recordings(found, work / "labels")], folder, schema, KNOWN, executor)
    names = {each.name for each in lab}
    wide, repeated = without_repeated_flows(nothing_unplayed(load([folder]), names))
    known = {each.name: each for each in found}
    by_name = {each.name: each for each in lab}
    narrow = wide.without_optional_fields()
    return Material(narrow, known, wanted.parts(), repeated, wide, by_name)
