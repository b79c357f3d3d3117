"""From captures and label files to datasets, through the sensor's own chain.

Rows come from the same decoder and flow table that the sensor runs, so a feature means the same
in training and in operation by construction.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import sensor
from sensor.capture.block import PacketBlock
from sensor.capture.formats import open_capture
from sensor.errors import MissingInputError, TruncatedCaptureError, UsageError
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import assemble
from trainer.datasets.captured_twice import copies, without
from trainer.datasets.dataset import SourceRecord
from trainer.datasets.labels import LabelFile, Labeller, read_labels
from trainer.tasks import KNOWN

CAPTURE, LABELS, ACCOUNT = "capture.pcap", "labels.csv", "recording.json"
"""Files of a recording, as `multa-trainer lab record` writes them; the last of them comes last."""

WORK = ".lab"
"""Folder within a recording's while it is being made; one that was killed leaves it behind."""

Progress = Callable[[int], object]
"""Told how many more bytes of a capture have been read."""


@dataclass(frozen=True)
class Recording:
    """A capture with its labels.

    Attributes:
        name: of the source in the dataset.
        capture: pcap file.
        labels: label file; None if every flow is benign.
        captured_twice: whether it holds every packet twice, of which one is to be removed.
    """

    name: str
    capture: Path
    labels: Path | None
    captured_twice: bool = False

    def labels_sha256(self) -> str:
        """SHA-256 of the label file; empty without one."""
        return sha256(self.labels) if self.labels else ""


def parse_recordings(arguments: Sequence[str], *, benign: bool) -> list[Recording]:
    """Recordings that a command line names.

    Args:
        arguments: each is a recording's folder (`CAPTURE` and `LABELS` in it), a folder of such
            folders, ``CAPTURE=LABELS``, or a capture alone.
        benign: captures without labels hold no attack.

    Raises:
        MissingInputError: there is no such file or folder, or it holds no recording, or one that
            is being made or was cut short.
        UsageError: a capture has no labels and is not said to be benign, or two have one name.
    """
    found: list[Recording] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            found += _in_folder(path, benign=benign)
        elif path.is_file() or "=" not in argument:
            found.append(_recording(path.stem, path, None, benign=benign))
        else:
            capture, labels = (Path(part) for part in argument.rsplit("=", 1))
            found.append(_recording(capture.stem, capture, labels, benign=benign))
    names = [recording.name for recording in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"two recordings are called {min(twice)}; rename one")
    return found


def _in_folder(folder: Path, *, benign: bool) -> list[Recording]:
    folders = [folder] if (folder / CAPTURE).exists() else sorted(folder.iterdir())
    inside = [each for each in folders if (each / CAPTURE).exists()]
    if not inside:
        raise MissingInputError(f"{folder}: holds no {CAPTURE}, nor does a folder in it")
    return [
        _recording(
            each.resolve().name,
            each / CAPTURE,
            each / LABELS if (each / LABELS).exists() else None,
            benign=benign,
        )
        for each in inside
    ]


def _recording(name: str, capture: Path, labels: Path | None, *, benign: bool) -> Recording:
    for path in (capture, labels):
        if path is not None and not path.exists():
            raise MissingInputError(f"{path}: No such file or directory")
    # What passes for a benign capture may be the beginning of an attack that has no labels yet.
    if (capture.parent / WORK).exists() and not (capture.parent / ACCOUNT).exists():
        raise MissingInputError(
            f"{capture.parent}: is being recorded or was cut short; wait for `lab record`, or run "
            "it again, or remove the folder"
        )
    if labels is None and not benign:
        raise UsageError(
            f"{capture}: has no labels; write {capture}=LABELS.csv, or --benign if no capture "
            "without labels holds an attack"
        )
    return Recording(name, capture, labels)


def require_recorded(recordings: Iterable[Recording], maker: str) -> None:
    """Refuses to begin without all captures.

    Args:
        recordings: that are wanted.
        maker: the command that makes them.

    Raises:
        MissingInputError: one is not there.
    """
    for each in recordings:
        if not each.capture.exists():
            raise MissingInputError(f"{each.capture.parent}: no such recording; `{maker}` makes it")


def extract(
    recording: Recording,
    schema: FeatureSchema,
    tasks: Sequence[str],
    progress: Progress = lambda _: None,
) -> tuple[SourceRecord, SequenceBatch, NDArray[np.int8]]:
    """Rows and labels of a recording.

    Returns:
        The source, its rows in the order of the flow table, and ``(rows, tasks)`` labels.

    Raises:
        MultaError: the capture can't be read, ends within a record, or the labels are wrong.
    """
    labels = (
        LabelFile.benign(recording.capture, tasks)
        if recording.labels is None
        else read_labels(recording.labels, (*tasks, *(n for n in KNOWN if n not in tasks)))
    )
    labeller, decoder = Labeller(labels, tasks), Decoder(schema.optional)
    table = FlowTable(schema)
    batches = [SequenceBatch.empty(schema.n, schema.optional)]
    each_labels = [np.zeros((0, len(tasks)), np.int8)]
    drop = copies(recording.capture) if recording.captured_twice else None
    source = open_capture(recording.capture)
    try:
        position = 0
        blocks = source if drop is None else _without(source, drop)
        for batch in assemble(blocks, decoder, table):
            each_labels.append(labeller.label(batch))
            batches.append(batch)
            progress(source.position_bytes - position)
            position = source.position_bytes
        if source.truncated:
            raise TruncatedCaptureError(f"{source.truncated}; repair it with editcap, then extract")
    finally:
        source.close()
    labeller.finish()
    rows = SequenceBatch.concatenate(batches)
    record = SourceRecord(
        name=recording.name,
        capture=recording.capture.name,
        capture_sha256=sha256(recording.capture),
        labels_sha256=recording.labels_sha256(),
        covered=tuple(name for name in labels.covered if name in tasks),
        extractor=sensor.__version__,
        packets=source.counters.packets,
        refused=sum(decoder.refused.values()),
        flows=table.flows,
        rows=len(rows),
        first_ns=int(rows.flow_start_ns.min()) if len(rows) else 0,
        last_ns=int(rows.last_packet_ns.max(initial=0)),
        removed=0 if drop is None else int(drop.sum()),
    )
    return record, rows, np.concatenate(each_labels)


def _without(blocks: Iterable[PacketBlock], drop: NDArray[np.bool_]) -> Iterator[PacketBlock]:
    """The blocks less the frames to drop, ``(frames,)`` of all of them together."""
    begin = 0
    for block in blocks:
        yield without(block, drop[begin : begin + len(block)])
        begin += len(block)


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
