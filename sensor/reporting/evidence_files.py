"""Reads the evidence of an alert back (`docs/evidence.md`).

A file may be damaged, or made by somebody else: everything in it is checked for type and bounds
before anything is computed from it.
"""

import os
import re
import stat
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.event import ROW_FLAGS
from sensor.alerts.evidence_document import COLUMNS, FORMAT, columns
from sensor.alerts.kept_rows import FIRST, HIGHEST, SAMPLED, WHY
from sensor.errors import (
    BundleError,
    EvidenceError,
    MissingInputError,
    PermissionDeniedError,
    UsageError,
)
from sensor.flows.sequences import (
    CONTEXT_COLUMNS,
    END_REASONS,
    LONGEST_MS,
    LONGEST_US,
    SequenceBatch,
)
from sensor.latency.measurements import KINDS
from sensor.model import canonical
from sensor.model.golden import empty_rows
from sensor.model.schema import PEER_LATENCY, FeatureSchema
from sensor.packets.headers import ICMP, ICMPV6, SCTP, TCP, UDP
from sensor.reporting.alert_find import require_beginning
from sensor.reporting.alert_log import Alert, moment, parse

MOST_BYTES = 4 << 20
"""What is longer is no evidence: 64 rows of 255 packets have less than 1 MiB."""

SAMPLE = "sampled"
"""The reason (`WHY`) of rows that stand for all of an incident's; every incident has some."""

_PROTOCOLS = {"TCP": TCP, "UDP": UDP, "ICMP": ICMP, "IPv6-ICMP": ICMPV6, "SCTP": SCTP}
_NUMBER = re.compile(r"[0-9]{3}")


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it was scored.

    Attributes:
        why: reasons for which it was kept, of `WHY`.
        score: calibrated.
        source, destination: addresses of the originator and of the responder.
        source_port, destination_port: None where the transport has none.
        protocol: as EVE spells it.
        start: of the flow.
        first_packet: of the row.
        sequence_index: 0 for a flow's first packets.
        end_reason: why it was decided, of `END_REASONS`.
        flags: those of `ROW_FLAGS` that are set.
        time_us: of each packet or measurement, since the row's first.
        kind: of measurements, of `sensor.latency.measurements.KINDS`; empty for packets.
    """

    why: tuple[str, ...]
    score: float
    source: str
    destination: str
    source_port: int | None
    destination_port: int | None
    protocol: str
    start: datetime
    first_packet: datetime
    sequence_index: int
    end_reason: str
    flags: tuple[str, ...]
    time_us: tuple[int, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an incident has left.

    Attributes:
        path: of the file.
        alert: that was told of it last.
        schema: of the rows.
        seen: positive rows that the incident had had by then.
        rows: those kept, in order of the stream.
        batch: the same as columns, as they were scored; what is no feature is 0.
    """

    path: Path
    alert: Alert
    schema: FeatureSchema
    seen: int
    rows: tuple[Row, ...]
    batch: SequenceBatch

    @property
    def measured(self) -> bool:
        """Whether rows are of round-trip times, and not of packets."""
        return self.schema.key == PEER_LATENCY

    @property
    def scores(self) -> NDArray[np.float32]:
        """Of the rows, as they were found."""
        return np.array([row.score for row in self.rows], np.float32)


def find(directory: Path, alert_id: str) -> Path:
    """The file of an alert.

    Args:
        directory: of the evidence.
        alert_id: or the beginning of one, of at least 4 digits.

    Raises:
        UsageError: that is no beginning of an `alert_id`, or of several.
        MissingInputError: there is no evidence of it, or no folder.
        PermissionDeniedError: the folder may not be read.
    """
    require_beginning(alert_id)
    try:
        with os.scandir(directory) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.name.startswith(alert_id)
                and re.fullmatch(r"[0-9a-f]{16}\.json", entry.name)
            )
    except PermissionError:
        raise PermissionDeniedError(
            f"{directory}: permission denied; ask as root or as a member of the sensor's group"
        ) from None
    except OSError as error:
        raise MissingInputError(
            f"{directory}: there is no such folder of evidence ({(error.strerror or '').lower()}); "
            "name it with --evidence"
        ) from None
    if not names:
        raise MissingInputError(
            f"{alert_id}: there is no evidence of this alert in {directory}; it was told before "
            "evidence was kept there, or made room for younger ones"
        )
    if len(names) > 1:
        raise UsageError(
            f"{alert_id}: {len(names)} alerts begin like this, {names[0][:16]} and {names[1][:16]} "
            "among them; give more digits"
        )
    return directory / names[0]


def read(path: Path) -> Evidence:
    """Reads a file of evidence.

    Raises:
        MissingInputError: it is gone.
        PermissionDeniedError: it may not be read.
        EvidenceError: it is damaged, or of another version.
    """
    try:
        return _evidence(path, canonical.parse(_content(path)))
    except BundleError as error:  # the schema's, which names the file
        raise EvidenceError(str(error)) from None
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        what = " ".join(str(error).split())[:100]
        raise EvidenceError(
            f"{path}: is no evidence that this version reads ({type(error).__name__}: {what}); "
            "it is damaged or of another version"
        ) from None


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise EvidenceError(f"{path}: is no regular file; look at what is in its place")
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise MissingInputError(f"{path}: has just made room for younger evidence") from None
    except PermissionError:
        raise PermissionDeniedError(
            f"{path}: permission denied; ask as root or as a member of the sensor's group"
        ) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise EvidenceError(f"{path}: can't be read ({reason})") from None
    if len(content) > MOST_BYTES:
        raise EvidenceError(f"{path}: is longer than {MOST_BYTES >> 20} MiB, so it is no evidence")
    return content


def _evidence(path: Path, document: Any) -> Evidence:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']!r}")
    alert = parse(canonical.canonical(document["alert"]))
    if alert is None or f"{alert.alert_id}.json" != path.name:
        raise ValueError("it does not hold the alert that it is named for")
    schema = FeatureSchema.from_manifest(_typed(document["features"], dict), str(path))
    if document["columns"] != [*columns(schema)]:
        raise ValueError("columns are others")
    rows = _typed(document["rows"], list)
    if not 0 < len(rows) <= FIRST + HIGHEST + SAMPLED:
        raise ValueError(f"it has {len(rows)} rows")
    seen = _number(document["seen"], 2**53, len(rows))
    batch = empty_rows(schema.n, len(rows), schema.optional)
    read_rows = tuple(_row(document, batch, place) for place, document in enumerate(rows))
    if not any(SAMPLE in row.why for row in read_rows):
        raise ValueError("none of its rows is sampled")
    return Evidence(path, alert, schema, seen, read_rows, batch)


def _row(document: dict[str, Any], batch: SequenceBatch, place: int) -> Row:
    """Reads a row, and puts its columns into the batch."""
    protocol = _typed(document["proto"], str)
    if protocol not in _PROTOCOLS and not _NUMBER.fullmatch(protocol):
        raise ValueError(f"protocol {protocol!r:.20}")
    number = _PROTOCOLS.get(protocol) or _number(int(protocol), 255)
    index = _number(document["sequence_index"], 2**31 - 1)
    reason = END_REASONS.index(document["end_reason"])
    batch.protocol[place] = number
    batch.sequence_index[place] = index
    batch.row[place] = _number(document["row"], 2**31 - 1)
    batch.end_reason[place] = reason
    if measured := bool(batch.rtt.shape[1]):
        batch.kind[place] = KINDS.index(document["kind"])
        flags: tuple[str, ...] = ()
    else:
        context = [_number(document["context"][k], 2**32 - 1) for k in CONTEXT_COLUMNS]
        batch.context[place] = context
        quality = {name: _typed(document["quality"][name], bool) for name in ROW_FLAGS}
        flags = tuple(name for name, is_set in quality.items() if is_set)
    ports = [document.get(f"{side}_port") for side in ("src", "dest")]
    return Row(
        why=tuple(WHY[WHY.index(each)] for each in _typed(document["why"], list)),
        score=_score(document["score"]),
        source=_address(document["src_ip"]),
        destination=_address(document["dest_ip"]),
        source_port=None if ports[0] is None else _number(ports[0], 65_535),
        destination_port=None if ports[1] is None else _number(ports[1], 65_535),
        protocol=protocol,
        start=_time(document["start"]),
        first_packet=_time(document["first_packet"]),
        sequence_index=index,
        end_reason=END_REASONS[reason],
        flags=flags,
        time_us=(_measurements if measured else _packets)(document, batch, place),
        kind=KINDS[batch.kind[place]] if measured else "",
    )


def _packets(document: dict[str, Any], batch: SequenceBatch, place: int) -> tuple[int, ...]:
    """Puts the packets of a row into the batch; their times."""
    packets = _typed(document["packets"], list)
    if not 0 < len(packets) <= batch.ip_length.shape[1]:
        raise ValueError(f"a row of {len(packets)} packets")
    batch.length[place] = len(packets)
    batch.interarrival_us[place, 0] = _number(document["interarrival_us"], LONGEST_US)
    names = (*COLUMNS[1:], *batch.optional)
    times: list[int] = []
    for k, (time, *values) in enumerate(packets):
        times.append(_number(time, 255 * LONGEST_US))
        if k:
            batch.interarrival_us[place, k] = _number(times[k] - times[k - 1], LONGEST_US)
        for name, value in zip(names, values, strict=True):
            column = getattr(batch, name)
            if name == "direction":
                if value not in (-1, 1) or type(value) is not int:
                    raise ValueError(f"direction {value!r:.20}")
            else:
                _number(value, int(np.iinfo(column.dtype).max))
            column[place, k] = value
    if times[0] != 0:
        raise ValueError("its first packet is not at 0")
    return tuple(times)


def _measurements(document: dict[str, Any], batch: SequenceBatch, place: int) -> tuple[int, ...]:
    """Puts the measurements of a row into the batch; when each was known."""
    measurements = _typed(document["measurements"], list)
    if not 0 < len(measurements) <= batch.rtt.shape[1]:
        raise ValueError(f"a row of {len(measurements)} measurements")
    batch.length[place] = len(measurements)
    for k, values in enumerate(measurements):
        for name, value in zip(batch.optional, values, strict=True):
            most = 1 if name == "answered" else LONGEST_MS if name == "rtt_gap" else LONGEST_US
            getattr(batch, name)[place, k] = _number(value, most)
    gaps_ms = batch.rtt_gap[place, 1 : len(measurements)].astype(np.int64)
    return (0, *(1_000 * np.cumsum(gaps_ms)).tolist())


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value


def _number(value: Any, most: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r:.20} is no whole number from {least} to {most}")
    return value


def _score(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1:
        raise ValueError(f"score {value!r:.20}")
    return float(value)


def _address(value: Any) -> str:
    if type(value) is not str or not re.fullmatch(r"[0-9a-fA-F:.]{2,45}", value):
        raise ValueError(f"address {value!r:.60}")
    return value


def _time(value: Any) -> datetime:
    time = moment(value)
    if time is None:
        raise ValueError(f"time {value!r:.40}")
    return time
