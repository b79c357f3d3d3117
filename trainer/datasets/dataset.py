"""A dataset on disk: rows of the sensor's own flow table with their labels.

A folder with an index ``dataset.json`` and one ``NAME.npz`` a source (a capture). An archive
holds the columns of `SequenceBatch` as raw integers (optional ones if the schema has them) and
``labels``, and ``likely`` if they come from labeling functions; so a dataset is independent of
what the network makes of the columns, but not of the rules by which they came about: the index
holds the schema's fingerprint, and datasets of different fingerprints are never mixed. It holds
addresses too, which labels, splits and incidents need and which no feature uses; treat it like
the capture.
"""

import json
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sensor
from sensor.errors import BundleError, LabelError, MissingInputError, OutputError
from sensor.flows.sequences import ROW_TYPES, SequenceBatch
from sensor.model.schema import FeatureSchema

FORMAT = 1
"""Version of the folder's layout."""

INDEX = "dataset.json"

_UNSTORED = "kind"
"""A column of rows of measurements, which no dataset holds."""


@dataclass(frozen=True)
class SourceRecord:
    """Where the rows of one source come from.

    Attributes:
        name: unique within the dataset.
        capture: file name of the capture.
        capture_sha256, labels_sha256: of the files; the latter is empty for a capture that was
            declared benign.
        covered: tasks whose flows are 0 unless labelled.
        extractor: version of multa that made the rows.
        packets, refused, flows, rows: how many were read, not decoded, begun and emitted.
        first_ns, last_ns: times of the first flow's start and of the last decision.
        removed: packets that the capture held twice, once each.
        labelled_by: who has labelled it, where that was an operator of a sensor.
    """

    name: str
    capture: str
    capture_sha256: str
    labels_sha256: str
    covered: tuple[str, ...]
    extractor: str
    packets: int
    refused: int
    flows: int
    rows: int
    first_ns: int
    last_ns: int
    removed: int = 0
    labelled_by: str = ""

    @property
    def identity(self) -> str:
        """Equal for sources of equal captures and equal labels."""
        return f"{self.capture_sha256}:{self.labels_sha256}"

    @property
    def seconds(self) -> float:
        """Packet time that the source spans."""
        return (self.last_ns - self.first_ns) / 1e9


@dataclass(frozen=True)
class Dataset:
    """Rows of one or more sources.

    Attributes:
        schema: rules by which the rows were made.
        tasks: columns of `labels`.
        sources: where the rows come from.
        batch: the rows; those of a source stand together, in the order of the flow table.
        labels: ``(rows, tasks)`` int8: 0, 1 or `trainer.datasets.labels.MASKED`.
        source: ``(rows,)`` int32 index into `sources`.
        flow: ``(rows,)`` int64 number of the flow, unique across sources, ascending by source.
        likely: ``(rows, tasks)`` float32 probability that the label is 1, NaN where the label alone
            is known; none if that is so everywhere. It comes from labeling functions
            (`trainer.weak.flow_labels`), which are not as sure of all labels.
    """

    schema: FeatureSchema
    tasks: tuple[str, ...]
    sources: tuple[SourceRecord, ...]
    batch: SequenceBatch
    labels: NDArray[np.int8]
    source: NDArray[np.int32]
    flow: NDArray[np.int64]
    likely: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.batch)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> "Dataset":
        """The given rows with all source records."""
        return Dataset(
            self.schema,
            self.tasks,
            self.sources,
            self.batch.take(rows),
            self.labels[rows],
            self.source[rows],
            self.flow[rows],
            None if self.likely is None else self.likely[rows],
        )

    def without_optional_fields(self) -> "Dataset":
        """The same rows, as the schema without its optional fields makes them."""
        names = tuple(name for name in self.schema.fields if name not in ROW_TYPES)
        columns = {name: np.zeros((len(self), 0), dtype) for name, dtype in ROW_TYPES.items()}
        return replace(
            self,
            schema=replace(self.schema, fields=names),
            batch=replace(self.batch, **columns),
        )

    def of_sources(self, names: Iterable[str]) -> "Dataset":
        """The rows of the named sources.

        Raises:
            MissingInputError: there is no such source.
        """
        known = [record.name for record in self.sources]
        wanted = list(names)
        for name in wanted:
            if name not in known:
                raise MissingInputError(
                    f"the dataset has no source {name!r}; it has {', '.join(known)}"
                )
        return self.take(np.isin(self.source, [known.index(name) for name in wanted]))


def create(folder: Path, schema: FeatureSchema, tasks: Sequence[str]) -> list[SourceRecord]:
    """Makes an empty dataset, or opens one that is there to add to it.

    Returns:
        The sources that are already there.

    Raises:
        LabelError, BundleError: the dataset there has other tasks or another fingerprint.
        OutputError: the folder can't be written.
    """
    if (folder / INDEX).exists():
        index = _read_index(folder)
        _same_rules(folder, index, schema.fingerprint(), tuple(tasks))
        return _records(folder, index)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_index(folder, schema, tasks, [])
    except OSError as error:
        raise OutputError(
            f"{folder}: {error.strerror}; name a folder that can be written"
        ) from None
    return []


def add_source(
    folder: Path,
    record: SourceRecord,
    batch: SequenceBatch,
    labels: NDArray[np.int8],
    likely: NDArray[np.float32] | None = None,
) -> None:
    """Adds the rows of a source; one of the same name is replaced.

    Cut short at any moment, it leaves a dataset without the source: the index never names rows
    that are not those it tells of.

    Args:
        folder: made by `create`.
        record: the source.
        batch: its rows, in the order of the flow table.
        labels: ``(rows, tasks)`` int8.
        likely: ``(rows, tasks)``, if there is more to be said of them (`Dataset`).

    Raises:
        OutputError: the folder can't be written.
    """
    index = _read_index(folder)
    schema = FeatureSchema.from_manifest(index["schema"], str(folder / INDEX))
    columns = {name: getattr(batch, name) for name in _columns(schema)}
    if likely is not None:
        columns["likely"] = likely
    others = [entry for entry in _records(folder, index) if entry.name != record.name]
    try:
        if len(others) < len(index["sources"]):
            _write_index(folder, schema, index["tasks"], others)
        np.savez_compressed(folder / f"{record.name}.npz", labels=labels, **columns)
        _write_index(folder, schema, index["tasks"], [*others, record])
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}; nothing was added") from None


def load(folders: Sequence[Path]) -> Dataset:
    """Loads datasets as one.

    Raises:
        MissingInputError: there is no dataset, or it has no rows.
        BundleError: the datasets' fingerprints differ, or differ from what this version makes.
        LabelError: the datasets' tasks differ, or a source is in two of them.
    """
    index = _read_index(folders[0])
    schema = FeatureSchema.from_manifest(index["schema"], str(folders[0] / INDEX))
    tasks = tuple(index["tasks"])
    records: list[SourceRecord] = []
    batches: list[SequenceBatch] = []
    labels: list[NDArray[np.int8]] = []
    likely: list[NDArray[np.float32] | None] = []
    flows: list[NDArray[np.int64]] = []
    for folder in folders:
        index = _read_index(folder)
        _same_rules(folder, index, schema.fingerprint(), tasks)
        for record in _records(folder, index):
            if record.name in {known.name for known in records}:
                raise LabelError(f"{folder}: source {record.name} is in another dataset too")
            batch, its_labels, its_likely = _read_source(
                folder / f"{record.name}.npz", record, tasks, schema
            )
            flows.append(batch.flow_ordinal + sum(known.flows for known in records))
            records.append(record)
            batches.append(batch)
            labels.append(its_labels)
            likely.append(its_likely)
    if not sum(map(len, batches)):
        raise MissingInputError(f"{folders[0]}: the dataset has no rows; run `extract` first")
    return Dataset(
        schema,
        tasks,
        tuple(records),
        SequenceBatch.concatenate(batches),
        np.concatenate(labels),
        np.repeat(np.arange(len(batches), dtype=np.int32), [len(batch) for batch in batches]),
        np.concatenate(flows),
        _joined(likely, labels),
    )


def _joined(
    likely: Sequence[NDArray[np.float32] | None], labels: Sequence[NDArray[np.int8]]
) -> NDArray[np.float32] | None:
    if all(each is None for each in likely):
        return None
    return np.concatenate(
        [
            np.full(its.shape, np.nan, np.float32) if each is None else each
            for each, its in zip(likely, labels, strict=True)
        ]
    )


def _read_source(
    path: Path, record: SourceRecord, tasks: Sequence[str], schema: FeatureSchema
) -> tuple[SequenceBatch, NDArray[np.int8], NDArray[np.float32] | None]:
    try:
        # A file of our own: numpy leaves one open that is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            columns = {name: archive[name] for name in _columns(schema)}
            labels = archive["labels"]
            likely = archive.get("likely")
    except OSError as error:
        raise MissingInputError(
            f"{path}: {error.strerror or error}; extract the source again"
        ) from None
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise MissingInputError(f"{path}: damaged; extract the source again") from None
    lengths = {len(column) for column in (*columns.values(), labels)}
    shapes = {labels.shape, labels.shape if likely is None else likely.shape}
    if lengths != {record.rows} or shapes != {(record.rows, len(tasks))}:
        raise MissingInputError(
            f"{path}: does not hold the {record.rows} rows of {record.name} that the dataset tells "
            "of; extract the source again"
        )
    absent = {
        name: np.zeros((record.rows, 0), dtype)
        for name, dtype in ROW_TYPES.items()
        if name not in columns
    }
    absent[_UNSTORED] = np.zeros(record.rows, np.uint8)
    return SequenceBatch(**columns, **absent), labels, likely


def _columns(schema: FeatureSchema) -> list[str]:
    """Columns that rows of the schema have."""
    names = [column.name for column in fields(SequenceBatch) if column.name != _UNSTORED]
    return [name for name in names if name not in ROW_TYPES or name in schema.optional]


def _read_index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingInputError(
            f"{folder / INDEX}: {error.strerror}; make a dataset with `multa-trainer extract`"
        ) from None
    except ValueError:
        raise _damaged(folder) from None
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise MissingInputError(
            f"{folder / INDEX}: not a dataset of this version; extract it again"
        )
    kinds = {"schema": dict, "tasks": list, "sources": list}
    if not all(isinstance(index.get(key), kind) for key, kind in kinds.items()):
        raise _damaged(folder)
    return index


def _write_index(
    folder: Path, schema: FeatureSchema, tasks: Sequence[str], records: Sequence[SourceRecord]
) -> None:
    index = {
        "format": FORMAT,
        "extractor": sensor.__version__,
        "tasks": list(tasks),
        "schema": schema.to_manifest(),
        "sources": [asdict(record) for record in records],
    }
    written = folder / f"{INDEX}.new"
    written.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    written.replace(folder / INDEX)


def _records(folder: Path, index: dict[str, Any]) -> list[SourceRecord]:
    try:
        return [
            SourceRecord(**{**entry, "covered": tuple(entry["covered"])})
            for entry in index["sources"]
        ]
    except (KeyError, TypeError):
        raise _damaged(folder) from None


def _damaged(folder: Path) -> MissingInputError:
    return MissingInputError(f"{folder / INDEX}: damaged; extract the dataset again")


def _same_rules(
    folder: Path, index: dict[str, Any], fingerprint: str, tasks: tuple[str, ...]
) -> None:
    stated = str(index["schema"].get("fingerprint"))
    if stated != fingerprint:
        raise BundleError(
            f"{folder}: its feature fingerprint is {stated[:16]}…, the other's "
            f"{fingerprint[:16]}…; extract both with one version and one schema"
        )
    if tuple(index["tasks"]) != tasks:
        raise LabelError(
            f"{folder}: its tasks are {', '.join(index['tasks'])}, the other's {', '.join(tasks)}; "
            "extract both with the same tasks"
        )
