"""The sensor's whole chain beside the reference: one capture, every key, blocks of any size.

The sensor reads the capture with its own readers, cut into blocks of a given size, and its rows
are taken where incidents are made of them: a detector that only writes down what it is given.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reference import KEYS, ReferenceTable, Row, rows_of
from reference_decode import Frame, Packet, ReferenceDecoder

from sensor.capture.block import PacketBlock
from sensor.capture.files import CaptureFiles
from sensor.exchange import Lanes
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.fields import FIELDS
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import detect

SIZES = (1, 7, 500, 16_384)
COLUMNS = tuple(
    entry.name for entry in fields(PacketBlock) if entry.name not in ("buffer", "clock_ns")
)
COUNTS = ("packets", "decoded", "refused", "offloaded", "fragments_unmatched", "slow")


class Listener:
    """A detector without tasks: it keeps the rows that a detector would score."""

    name, fingerprint, tasks = "listener", "", ()
    version, model_sha256 = "", ""

    def __init__(self) -> None:
        self.batches: list[SequenceBatch] = []

    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """No scores, as there are no tasks."""
        self.batches.append(batch)
        return np.zeros((len(batch), 0), np.float32)


@dataclass
class Outcome:
    """What became of a capture's frames.

    Attributes:
        rows: by key, in release order.
        packets: frames that were read.
        decoded: how many of them became packets.
        refused: how many did not, by reason.
        offloaded, fragments_unmatched, slow: counts of rules 26, 24 and 19.
    """

    rows: dict[str, list[Row]]
    packets: int
    decoded: int
    refused: dict[str, int]
    offloaded: int
    fragments_unmatched: int
    slow: int


def schemas(keys: Sequence[str] = KEYS, **others: Any) -> dict[str, FeatureSchema]:
    """A schema of all fields for each key, else the default one but for `others`."""
    entries = {"fields": tuple(FIELDS), **others}
    return {key: FeatureSchema(key=key, **entries) for key in keys}


def by_reference(frames: Iterable[Frame], wanted: dict[str, FeatureSchema]) -> Outcome:
    """What the reference makes of the frames."""
    decoder = ReferenceDecoder()
    tables = {key: ReferenceTable(schema) for key, schema in wanted.items()}
    packets = 0
    for frame in frames:
        packets += 1
        packet = decoder.decode(frame)
        if isinstance(packet, Packet):
            for table in tables.values():
                table.packet(frame.time_ns, packet)
    return Outcome(
        {key: table.finish() for key, table in tables.items()},
        packets,
        decoder.decoded,
        dict(decoder.refused),
        decoder.offloaded,
        decoder.fragments_unmatched,
        decoder.slow,
    )


@dataclass
class Assembled:
    """The same of the sensor; rows are a batch for each key."""

    rows: dict[str, SequenceBatch]
    packets: int
    decoded: int
    refused: dict[str, int]
    offloaded: int
    fragments_unmatched: int
    slow: int


def by_sensor(
    source: Iterable[PacketBlock], wanted: dict[str, FeatureSchema], size: int
) -> Assembled:
    """What the sensor makes of a source whose blocks are cut to `size` packets."""
    decoder = Decoder({name for schema in wanted.values() for name in schema.optional})
    listeners = {key: Listener() for key in wanted}
    lanes = [Lane(FlowTable(wanted[key]), [listener]) for key, listener in listeners.items()]
    packets = 0

    def counted() -> Iterator[PacketBlock]:
        nonlocal packets
        for block in source:
            packets += len(block)
            yield from cut(block, size)

    events = list(detect(counted(), decoder, Lanes(lanes)))
    assert not events, "a detector without tasks finds nothing"
    return Assembled(
        {
            key: SequenceBatch.concatenate(
                [SequenceBatch.empty(wanted[key].n, wanted[key].optional), *listener.batches]
            )
            for key, listener in listeners.items()
        },
        packets,
        decoder.decoded,
        {reason: count for reason, count in decoder.refused.items() if count},
        decoder.offloaded,
        decoder.fragments_unmatched,
        decoder.slow,
    )


def cut(block: PacketBlock, size: int) -> Iterator[PacketBlock]:
    """The block in parts of at most `size` packets, over the same memory."""
    for start in range(0, len(block), size):
        part = {name: getattr(block, name)[start : start + size] for name in COLUMNS}
        yield replace(block, **part)


def differing_rows(mine: SequenceBatch, theirs: Sequence[Row]) -> list[str]:
    """One line for each row that the sensor and the reference do not agree on."""
    rows = rows_of(mine)
    lines = [
        f"flow {row.flow_ordinal} row {row.row}: "
        + ", ".join(name for name in vars(row) if getattr(row, name) != getattr(other, name))
        for row, other in zip(rows, theirs, strict=False)
        if row != other
    ]
    lines += [
        f"flow {row.flow_ordinal} row {row.row}: offloaded"
        for flag, row in zip(mine.offloaded.tolist(), theirs, strict=False)
        if flag != row.offloaded
    ]
    surplus = abs(len(rows) - len(theirs))
    return lines + [f"{len(rows)} rows, not {len(theirs)}"] * surplus


def same_rows(mine: SequenceBatch, theirs: SequenceBatch) -> bool:
    """Whether two batches are equal in every column, its type included."""
    return all(
        getattr(mine, name).dtype == getattr(theirs, name).dtype
        and np.array_equal(getattr(mine, name), getattr(theirs, name))
        for name in (entry.name for entry in fields(SequenceBatch))
    )


def disagreements(
    path: Path, frames: Sequence[Frame], keys: Sequence[str], sizes: Sequence[int] = SIZES
) -> tuple[Outcome, list[str]]:
    """What the reference makes of a capture, and a line for all that the sensor has otherwise."""
    wanted = schemas(keys)
    outcome = by_reference(frames, wanted)
    lines = []
    proven: dict[str, SequenceBatch] = {}
    for size in sizes:
        source = CaptureFiles([path])
        try:
            got = by_sensor(source, wanted, size)
        finally:
            source.close()
        lines += [
            f"blocks of {size}: {name} is {getattr(got, name)}, not {getattr(outcome, name)}"
            for name in COUNTS
            if getattr(got, name) != getattr(outcome, name)
        ]
        for key, batch in got.rows.items():
            if key in proven and same_rows(batch, proven[key]):
                continue
            found = differing_rows(batch, outcome.rows[key])
            lines += [f"blocks of {size}, {key}: {line}" for line in found]
            if not found:
                proven[key] = batch
    return outcome, lines
