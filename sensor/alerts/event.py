"""What an alert is about: scored flows as evidence, and the events of an incident.

A leaf of the alerts: knows rows and tasks, neither how incidents are found nor how they are
written.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.model.schema import TaskSpec

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
    ("midstream", "?"),
    ("context_saturated", "?"),
)
"""Columns of a batch that evidence keeps as they are, with their NumPy types."""

_SUMMED: tuple[tuple[str, str], ...] = (
    ("packets_from_originator", "u2"),
    ("packets_to_originator", "u2"),
    ("bytes_from_originator", "u4"),
    ("bytes_to_originator", "u4"),
)

EVIDENCE: "np.dtype[np.void]" = np.dtype(
    [("score", "f4"), ("context", "u4", (len(CONTEXT_COLUMNS),)), *_COPIED, *_SUMMED]
)
"""A scored row without its packets: all that is kept of a row after its batch is gone."""


def evidence(
    batch: SequenceBatch, rows: NDArray[np.intp], scores: NDArray[np.float32]
) -> NDArray[np.void]:
    """`EVIDENCE` records ``(len(rows),)`` of the given rows and their scores, in that order."""
    records = np.zeros(rows.size, EVIDENCE)
    for name, _ in _COPIED:
        records[name] = getattr(batch, name)[rows]
    direction, ip_length = batch.direction[rows], batch.ip_length[rows]
    for sign, way in ((1, "from_originator"), (-1, "to_originator")):
        mine = direction == sign
        records[f"packets_{way}"] = mine.sum(axis=1)
        records[f"bytes_{way}"] = np.where(mine, ip_length, 0).sum(axis=1, dtype=np.uint32)
    records["context"] = batch.context[rows]
    records["score"] = scores
    return records


@dataclass(frozen=True, slots=True)
class FlowEvidence:
    """One scored row of a flow, as an alert shows it; see `SequenceBatch` for the columns.

    The attributes are the fields of `EVIDENCE`, in its order.

    Attributes:
        score: calibrated score of the row.
        context: counts of flows in the order of `CONTEXT_COLUMNS`.
        length: packets in the row, which are those that the score is based on.
        packets_from_originator, packets_to_originator: of these packets, by direction.
        bytes_from_originator, bytes_to_originator: their IP lengths, summed.
    """

    score: float
    context: tuple[int, ...]
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
    midstream: bool
    context_saturated: bool
    packets_from_originator: int
    packets_to_originator: int
    bytes_from_originator: int
    bytes_to_originator: int

    @classmethod
    def of(cls, record: Any) -> "FlowEvidence":
        """The evidence in one `EVIDENCE` record."""
        score, context, *values = record.item()
        return cls(score, tuple(context.tolist()), *values)


Address = tuple[int, int, int]
"""IP version, high and low word, as in `sensor.packets.headers.Headers`."""

KINDS = ("start", "update", "end")

EndReason = Literal["", "quiet", "longest", "evicted"]
"""Why an incident ended; empty for start and update.

- ``quiet``: 60 s without a positive row;
- ``longest``: it had lasted for an hour;
- ``evicted``: too many incidents of the task were open and this one was silent for longest.
"""


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """The start, the growth or the end of an incident (`docs/semantics.md` 14).

    Counts, scores and flows are those up to and including the row that caused the event.

    Attributes:
        kind: ``start``, ``update`` or ``end``.
        detector, fingerprint: name of the detector, and fingerprint of what it looks at.
        task, task_index: the task and its place among the detector's tasks.
        address: whom the incident is about; `task.incident.role` says in which role.
        time_ns: flow clock at which the event was decided.
        opened_ns: flow clock at the start of the incident.
        first_packet_ns: earliest first packet among the rows that opened the incident; it never
            changes afterwards.
        last_packet_ns: latest last packet among its positive rows so far.
        flows: distinct positive flows so far.
        rows: positive rows so far; a flow may have several.
        worst: the row with the highest score so far, the earliest of equal ones.
        sample: the first flows of the incident, at most five, each as it was when first counted.
        flow_ordinal: flow of the row that caused the event; of the last positive row for an end.
        reason: why it ended.
    """

    kind: Literal["start", "update", "end"]
    detector: str
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
    worst: FlowEvidence
    sample: tuple[FlowEvidence, ...]
    flow_ordinal: int
    reason: EndReason = ""

    @property
    def order(self) -> tuple[int, str, int, int, int]:
        """Sort key of events; no two events of a run have the same one."""
        kind = KINDS.index(self.kind)
        return (self.time_ns, self.detector, self.task_index, self.flow_ordinal, kind)
