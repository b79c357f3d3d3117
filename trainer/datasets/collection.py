"""Many recordings to one dataset: in a pool of processes, and going on where it stopped."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LabelError
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import SourceRecord, add_source, create
from trainer.datasets.extraction import Recording, extract, sha256

Made = tuple[SourceRecord, SequenceBatch, NDArray[np.int8]]

Told = Callable[[Recording, Made | None], object]
"""Told of each recording when it is done; of None where the dataset held it already."""


def collect(
    recordings: Sequence[Recording],
    folder: Path,
    schema: FeatureSchema,
    tasks: Sequence[str],
    executor: Executor,
    told: Told = lambda _, __: None,
) -> None:
    """Adds recordings to a dataset, except those that it holds already.

    Sources are added in the order of the recordings, each as soon as it and those before it are
    done; whatever ends it, what was added stays. So the same call goes on where it stopped.

    Args:
        recordings: of different names.
        folder: of the dataset, made if it is not there.
        schema: rules by which rows are made.
        tasks: columns of the labels.
        executor: runs the extraction of a recording (a process pool, or a cluster's).
        told: of each recording.

    Raises:
        LabelError: two recordings are of one capture.
        MultaError: a recording can't be extracted, or the dataset is another's.
    """
    known = {record.name: record for record in create(folder, schema, tasks)}
    futures = [
        executor.submit(extract_changed, recording, schema, tuple(tasks), known.get(recording.name))
        for recording in recordings
    ]
    captures: dict[str, str] = {}
    try:
        for recording, future in zip(recordings, futures, strict=True):
            capture, made = future.result()
            other = captures.setdefault(capture, recording.name)
            if other != recording.name:
                raise LabelError(
                    f"{recording.capture}: is the capture of {other} once more; name it once"
                )
            if made:
                add_source(folder, *made)
            told(recording, made)
    finally:
        for future in futures:
            future.cancel()


def extract_changed(
    recording: Recording,
    schema: FeatureSchema,
    tasks: tuple[str, ...],
    before: SourceRecord | None,
) -> tuple[str, Made | None]:
    """Extracts a recording that is not what the dataset holds.

    Args:
        recording: to extract.
        schema: rules by which rows are made.
        tasks: columns of the labels.
        before: the source of that name in the dataset.

    Returns:
        SHA-256 of the capture; the source with rows and labels, or None if it is unchanged.

    Raises:
        MultaError: as `trainer.datasets.extraction.extract`.
    """
    capture = sha256(recording.capture)
    if before is not None and before.identity == f"{capture}:{recording.labels_sha256()}":
        return capture, None
    return capture, extract(recording, schema, tasks)
