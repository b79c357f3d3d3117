"""What an alert is about: scored flows as evidence, the events of an incident, and their lack.

A leaf of the alerts: knows rows and tasks, neither how incidents are found nor how they are
written.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.kept_rows import KeptRows
from sensor.flows.rows import packet_type
from sensor.flows.sequences import CONTEXT_COLUMNS, ROW_TYPES, SequenceBatch
from sensor.latency.measurements import KINDS as MEASUREMENTS
from sensor.latency.usual import lower_medians
from sensor.model.schema import PEER_LATENCY, FeatureSchema, TaskSpec

ROW_FLAGS = ("midstream", "context_saturated", "offloaded")
"""Columns of a batch, each a bool, that tell what a row's score may suffer from.

They become the keys of an alert's ``quality`` and ``flagged``; `alert.schema.json` describes each.
"""

_COPIED: tuple[tuple[str, str], ...] = (
    ("version", "u1"),
    ("protocol", "u1"),
    ("source_high", "u8"),
    ("source_low", "u8"),
    ("destination_high", "u8"),
    ("destination_low", "u8"),
    ("source_port", "u2"),
    ("destination_port", "u2"),
    ("flow_ordinal", "i8"),
    ("row", "i4"),
    ("sequence_index", "i4"),
    ("end_reason", "u1"),
    ("decided_ns", "i8"),
    ("flow_start_ns", "i8"),
    ("first_packet_ns", "i8"),
    ("last_packet_ns", "i8"),
    ("flow_packets", "i8"),
    ("length", "u2"),
)
"""Columns of a batch that evidence keeps as they are, with their NumPy types."""

_SUMMED: tuple[tuple[str, str], ...] = (
    ("packets_from_originator", "u2"),
    ("packets_to_originator", "u2"),
    ("bytes_from_originator", "u4"),
    ("bytes_to_originator", "u4"),
)

EVIDENCE: "np.dtype[np.void]" = np.dtype(
    [
        ("score", "f4"),
        ("context", "u4", (len(CONTEXT_COLUMNS),)),
        ("flags", "?", (len(ROW_FLAGS),)),
        *_COPIED,
        *_SUMMED,
    ]
)
"""A scored row without its packets: what is kept of every row after its batch is gone."""

LAST_TIMES = 8
"""Round-trip times that an alert shows of a row of measurements, the last ones."""

MEASURED_EVIDENCE: "np.dtype[np.void]" = np.dtype(
    [
        *EVIDENCE.descr,
        ("kind", "u1"),
        ("failed", "u2"),
        ("median_us", "u4"),
        ("usual_us", "u4"),
        ("last_us", "i4", (LAST_TIMES,)),
    ]
)
"""The same of a row of measurements; the attributes of `SeriesEvidence` behind those of others.

A time without an answer is −1.
"""


def evidence_type(batch: SequenceBatch) -> "np.dtype[np.void]":
    """What is kept of the rows of a batch, be they of packets or of measurements."""
    return MEASURED_EVIDENCE if batch.rtt.shape[1] else EVIDENCE


def with_packets(schema: FeatureSchema) -> "np.dtype[np.void]":
    """What is kept of the rows of a schema, with a field ``packets`` of ``(n,)`` records.

    These are of `sensor.flows.rows.packet_type`, or measurements: the schema's `optional` columns.
    """
    if schema.key == PEER_LATENCY:
        measured = [(name, ROW_TYPES[name]) for name in schema.optional]
        return np.dtype([*MEASURED_EVIDENCE.descr, ("packets", measured, (schema.n,))])
    packets = ("packets", packet_type(schema.optional), (schema.n,))
    return np.dtype([*EVIDENCE.descr, packets])


def row_flags(batch: SequenceBatch, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The `ROW_FLAGS` of the given rows, ``(len(rows), len(ROW_FLAGS))``."""
    flags = np.zeros((len(rows), len(ROW_FLAGS)), np.bool_)
    for place, name in enumerate(ROW_FLAGS):
        flags[:, place] = getattr(batch, name)[rows]
    return flags


def evidence(
    batch: SequenceBatch,
    rows: NDArray[np.intp],
    scores: NDArray[np.float32],
    kind: "np.dtype[np.void]" = EVIDENCE,
) -> NDArray[np.void]:
    """Records ``(len(rows),)`` of the given rows and their scores, in that order.

    Args:
        batch: of the rows.
        rows: which.
        scores: of them.
        kind: `evidence_type`, or that with packets (`with_packets`).
    """
    records = np.zeros(rows.size, kind)
    if "packets" in (kind.names or ()):
        for name in kind["packets"].base.names or ():
            records["packets"][name] = getattr(batch, name)[rows]
    for name, _ in _COPIED:
        records[name] = getattr(batch, name)[rows]
    direction, ip_length = batch.direction[rows], batch.ip_length[rows]
    for sign, way in ((1, "from_originator"), (-1, "to_originator")):
        mine = direction == sign
        records[f"packets_{way}"] = mine.sum(axis=1)
        records[f"bytes_{way}"] = np.where(mine, ip_length, 0).sum(axis=1, dtype=np.uint32)
    records["context"] = batch.context[rows]
    records["flags"] = row_flags(batch, rows)
    records["score"] = scores
    if "median_us" in (kind.names or ()):
        _measured(batch, rows, records)
    return records


def _measured(batch: SequenceBatch, rows: NDArray[np.intp], records: NDArray[np.void]) -> None:
    """Adds what the measurements of rows are."""
    rtt, length = batch.rtt[rows], batch.length[rows].astype(np.intp)
    there = (batch.answered[rows] > 0) & (np.arange(rtt.shape[1]) < length[:, None])
    count = there.sum(axis=1)
    records["kind"] = batch.kind[rows]
    records["failed"] = length - count
    records["median_us"] = lower_medians(rtt, there)
    records["usual_us"] = batch.rtt_usual[rows, length - 1]
    places = np.maximum(length[:, None] - np.arange(LAST_TIMES, 0, -1), 0)
    last = np.where(there, rtt.astype(np.int64), -1)
    records["last_us"] = np.take_along_axis(last, places, axis=1)


@dataclass(frozen=True, slots=True)
class FlowEvidence:
    """One scored row of a flow, as an alert shows it; see `SequenceBatch` for the columns.

    The attributes are the fields of `EVIDENCE`, in its order.

    Attributes:
        score: calibrated score of the row.
        context: counts of flows in the order of `CONTEXT_COLUMNS`.
        flags: in the order of `ROW_FLAGS`.
        length: packets in the row, which are those that the score is based on.
        packets_from_originator, packets_to_originator: of these packets, by direction.
        bytes_from_originator, bytes_to_originator: their IP lengths, summed.
    """

    score: float
    context: tuple[int, ...]
    flags: tuple[bool, ...]
    version: int
    protocol: int
    source_high: int
    source_low: int
    destination_high: int
    destination_low: int
    source_port: int
    destination_port: int
    flow_ordinal: int
    row: int
    sequence_index: int
    end_reason: int
    decided_ns: int
    flow_start_ns: int
    first_packet_ns: int
    last_packet_ns: int
    flow_packets: int
    length: int
    packets_from_originator: int
    packets_to_originator: int
    bytes_from_originator: int
    bytes_to_originator: int

    @staticmethod
    def of(record: Any) -> "FlowEvidence":
        """The evidence in one record of `evidence_type`, which may have packets."""
        found = dict(zip(record.dtype.names, record.item(), strict=True))
        found.pop("packets", None)
        for name in ("context", "flags"):
            found[name] = tuple(found[name].tolist())
        if "median_us" not in found:
            return FlowEvidence(**found)
        known = found.pop("last_us")[-found["length"] :].tolist()
        last_us = tuple(None if each < 0 else each for each in known)
        kind = MEASUREMENTS[found.pop("kind")]
        return SeriesEvidence(**found, kind=kind, last_us=last_us)


@dataclass(frozen=True, slots=True)
class SeriesEvidence(FlowEvidence):
    """One scored row of a series of round-trip times; its `length` are measurements.

    Attributes:
        kind: of the measurements, of `sensor.latency.measurements.KINDS`.
        failed: how many had no answer.
        median_us: lower median of the others; 0 without any.
        usual_us: what was usual in the series before the newest; 0 where nothing was.
        last_us: round-trip times of the last `LAST_TIMES`, None where there was no answer.
    """

    kind: str
    failed: int
    median_us: int
    usual_us: int
    last_us: tuple[int | None, ...]


Address = tuple[int, int, int]
"""IP version, high and low word, as in `sensor.packets.headers.Headers`."""

KINDS = ("start", "update", "end")

DIRECTIONS = ("external", "inbound", "outbound", "internal")
"""Ways of a flow from its originator to its responder, in the words of ECS's ``network.direction``.

The place of a direction is 2 for an originator inside, and 1 more for a responder inside. Source:
https://www.elastic.co/guide/en/ecs/current/ecs-network.html, seen from the network's perimeter.
"""

Role = Literal["victim", "source"]

EndReason = Literal["", "quiet", "longest", "evicted", "reload"]
"""Why an incident ended; empty for start and update.

- ``quiet``: 60 s without a positive row;
- ``longest``: it had lasted for an hour;
- ``evicted``: too many incidents of the task were open and this one was silent for longest;
- ``reload``: its detector was replaced by another one.
"""


@dataclass(frozen=True, slots=True)
class HomeView:
    """What an incident has to do with the operator's own networks (`docs/semantics.md` 30).

    Attributes:
        inside: whether the incident's address is inside.
        direction: of the flow that is shown, one of `DIRECTIONS`.
        flows: the incident's distinct positive flows so far, ``(len(DIRECTIONS),)``.
        peers: distinct addresses inside at the other ends of these flows, the first ones; at most
            `sensor.alerts.home.PEERS`.
    """

    inside: bool
    direction: str
    flows: tuple[int, ...]
    peers: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """The start, the growth or the end of an incident (`docs/semantics.md` 14).

    Counts, scores and flows are those up to and including the row that caused the event.

    Attributes:
        kind: ``start``, ``update`` or ``end``.
        detector, fingerprint: name of the detector, and fingerprint of what it looks at.
        version, model_sha256: of the detector; the SHA-256 is empty for one without a network.
        task, task_index: the task and its place among the detector's tasks.
        address: whom the incident is about, in the role of `role`.
        time_ns: flow clock at which the event was decided.
        opened_ns: flow clock at the start of the incident.
        first_packet_ns: earliest first packet among the rows that opened the incident; it never
            changes afterwards.
        last_packet_ns: latest last packet among its positive rows so far.
        flows: distinct positive flows so far.
        rows: positive rows so far; a flow may have several.
        flagged: how many of these rows have each of the `ROW_FLAGS`.
        worst: the row with the highest score so far, the earliest of equal ones.
        sample: the first flows of the incident, at most five, each as it was when first counted.
        flow_ordinal: flow of the row that caused the event; of the last positive row for an end.
        reason: why it ended.
        home: where its ends are; None where nobody has said what is inside.
        shadow: found by a detector that is tried, and not for the alert log.
        kept: rows with their packets, where evidence is kept. They are the incident's own: until
            its end they may be later ones than the event, or have been given up.
    """

    kind: Literal["start", "update", "end"]
    detector: str
    version: str
    model_sha256: str
    fingerprint: str
    task: TaskSpec
    task_index: int
    address: Address
    time_ns: int
    opened_ns: int
    first_packet_ns: int
    last_packet_ns: int
    flows: int
    rows: int
    flagged: tuple[int, ...]
    worst: FlowEvidence
    sample: tuple[FlowEvidence, ...]
    flow_ordinal: int
    reason: EndReason = ""
    home: HomeView | None = None
    shadow: bool = False
    kept: KeptRows | None = field(default=None, compare=False, repr=False)

    @property
    def role(self) -> Role:
        """Part of the address in the incident."""
        return "source" if self.task.incident.role == "originator" else "victim"

    @property
    def home_roles(self) -> tuple[Role, ...]:
        """Parts that hosts inside have in the incident; none where it passes through."""
        if self.home is None:
            return ()
        address = (self.role,) if self.home.inside else ()
        peer: Role = "victim" if self.role == "source" else "source"
        return (*address, peer) if self.home.peers else address

    @property
    def order(self) -> tuple[int, str, int, int, int]:
        """Sort key of events; no two events of the detectors in force have the same one."""
        kind = KINDS.index(self.kind)
        return (self.time_ns, self.detector, self.task_index, self.flow_ordinal, kind)


@dataclass(frozen=True, slots=True)
class WithheldTask:
    """How many events of a detector's task were withheld, by kind."""

    detector: str
    task: str
    starts: int
    updates: int
    ends: int


@dataclass(frozen=True, slots=True)
class Withheld:
    """Events of incidents that were kept out of the log, because they were too many.

    Attributes:
        time_ns: flow clock at which this is told.
        first_ns, last_ns: times of the first and of the last of them.
        tasks: those with withheld events, in order of detector and task.
    """

    time_ns: int
    first_ns: int
    last_ns: int
    tasks: tuple[WithheldTask, ...]
