"""Events of the flow log: what a detector says of a flow, and what the flow's end then told.

They are columns until they are written; records become `FlowEvent`s when their lines are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.flows.ends import FlowEnds
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.model.schema import AnnotationSpec

PREDICTION, END = range(2)
"""Kinds of events, in the order in which a flow has them."""

_FLOW: tuple[tuple[str, str], ...] = (
    ("version", "u1"),
    ("protocol", "u1"),
    ("source_high", "u8"),
    ("source_low", "u8"),
    ("destination_high", "u8"),
    ("destination_low", "u8"),
    ("source_port", "u2"),
    ("destination_port", "u2"),
    ("flow_ordinal", "i8"),
    ("end_reason", "u1"),
)
"""Columns that rows and ends of flows share."""

_GOES_ON = tuple(END_REASONS.index(reason) for reason in ("full", "early"))


_AT_ONCE = 512
"""Events that are made at once: as objects they take ten times as much memory."""


def event_type(tasks: int) -> "np.dtype[np.void]":
    """An event as a record, for so many categorical tasks; fields are those of `FlowEvent`."""
    return np.dtype(
        [
            ("kind", "u1"),
            ("time_ns", "i8"),
            *_FLOW,
            ("flow_start_ns", "i8"),
            ("last_ns", "i8"),
            ("packets", "i8", (2,)),
            ("octets", "i8", (2,)),
            ("whole", "?"),
            ("why", "u1"),
            ("used", "u2"),
            ("told", "u1", (tasks,)),
            ("confidence", "f4", (tasks,)),
            ("true", "u1", (tasks,)),
        ]
    )


@dataclass(frozen=True, slots=True)
class FlowEvent:
    """What is told of a flow.

    Attributes:
        kind: `PREDICTION` or `END`.
        time_ns: flow clock at which it was decided.
        version, protocol, source_high, source_low, destination_high, destination_low, source_port,
            destination_port, flow_ordinal: of the flow, as in `SequenceBatch`.
        end_reason: index into `END_REASONS`, of the row that was looked at, or of the flow.
        flow_start_ns, last_ns: times of its first packet, and of the latest by then.
        packets, octets: from the originator, and to it: of the row, or of the flow.
        whole: whether the flow's volume and duration are known; of an end.
        why: not, as a place in `sensor.annotations.annotator.WHYS`.
        used: packets that the prediction is based on.
        told: class of each task, or `ABSTAINED` or `NOT_COUNTED`.
        confidence: probability of the best class of each task.
        true: class of each task, or `UNKNOWN`; of an end.
    """

    kind: int
    time_ns: int
    version: int
    protocol: int
    source_high: int
    source_low: int
    destination_high: int
    destination_low: int
    source_port: int
    destination_port: int
    flow_ordinal: int
    end_reason: int
    flow_start_ns: int
    last_ns: int
    packets: list[int]
    octets: list[int]
    whole: bool
    why: int
    used: int
    told: list[int]
    confidence: list[float]
    true: list[int]

    @property
    def duration_ns(self) -> int:
        """From the first packet to the latest."""
        return self.last_ns - self.flow_start_ns


def events_of(records: NDArray[np.void]) -> Iterator[FlowEvent]:
    """The events in records of `event_type`, in their order."""
    for start in range(0, records.size, _AT_ONCE):
        part = records[start : start + _AT_ONCE]
        columns = [part[name].tolist() for name in records.dtype.names or ()]
        yield from map(FlowEvent, *columns)


def prediction_events(
    batch: SequenceBatch, chosen: NDArray[np.intp], predictions: NDArray[np.void]
) -> NDArray[np.void]:
    """Records of what is said of flows that go on; of one that has ended, its end tells all.

    Args:
        batch: of the rows that were looked at.
        chosen: ``(b,)`` which of them something is said of.
        predictions: ``(b,)`` about these (`sensor.annotations.predictions.prediction_type`).
    """
    on = np.flatnonzero(np.isin(batch.end_reason[chosen], _GOES_ON))
    rows, predictions = batch.take(chosen[on]), predictions[on]
    events = _events(PREDICTION, rows, predictions)
    events["time_ns"], events["last_ns"] = rows.decided_ns, rows.last_packet_ns
    events["flow_start_ns"] = rows.flow_start_ns
    for place, sign in enumerate((1, -1)):
        mine = rows.direction == sign
        events["packets"][:, place] = mine.sum(axis=1)
        events["octets"][:, place] = np.where(mine, rows.ip_length, 0).sum(axis=1, dtype=np.int64)
    return events


def end_events(
    ends: FlowEnds,
    predictions: NDArray[np.void],
    true: NDArray[np.uint8],
    why: NDArray[np.intp],
) -> NDArray[np.void]:
    """Records of flows that have ended.

    Args:
        ends: ``(f,)`` of the flows.
        predictions: ``(f,)`` what was said of them last.
        true: ``(f, tasks)`` their true classes.
        why: ``(f,)`` these are not known, where they are not.
    """
    events = _events(END, ends, predictions)
    events["time_ns"], events["last_ns"] = ends.ended_ns, ends.last_ns
    events["flow_start_ns"] = ends.start_ns
    events["packets"], events["octets"] = ends.packets, ends.octets
    events["whole"], events["why"], events["true"] = ends.whole, why, true
    return events


def _events(
    kind: int, flows: SequenceBatch | FlowEnds, predictions: NDArray[np.void]
) -> NDArray[np.void]:
    events = np.zeros(len(flows), event_type(predictions["told"].shape[1]))
    events["kind"] = kind
    for name, _ in _FLOW:
        events[name] = getattr(flows, name)
    for name in ("used", "told", "confidence"):
        events[name] = predictions[name]
    return events


class Said(Protocol):
    """Who says it.

    Attributes:
        name, version: of the detector.
        annotations: its categorical tasks.
    """

    name: str
    version: str
    annotations: tuple[AnnotationSpec, ...]


@dataclass(frozen=True, slots=True)
class FlowEvents:
    """Events of one detector.

    Attributes:
        by: the detector.
        records: ``(e,)`` of `event_type`.
    """

    by: Said
    records: NDArray[np.void]


class Waiting:
    """Events that may yet have others before them, as lanes are not all equally far."""

    def __init__(self) -> None:
        """Starts without any."""
        self._parts: list[FlowEvents] = []

    def add(self, events: list[FlowEvents]) -> None:
        """Takes in the next events, in no order."""
        self._parts += events

    def release(self, clock_ns: int) -> Iterator[tuple[Said, FlowEvent]]:
        """Events before `clock_ns`, which are certain: by time, detector, flow and kind."""
        due: list[FlowEvents] = []
        rest: list[FlowEvents] = []
        for part in self._parts:
            certain = part.records["time_ns"] < clock_ns
            for found, which in ((due, certain), (rest, ~certain)):
                if which.any():
                    found.append(FlowEvents(part.by, part.records[which]))
        self._parts = rest
        return _in_order(due)


def _in_order(parts: list[FlowEvents]) -> Iterator[tuple[Said, FlowEvent]]:
    if not parts:
        return
    sizes = [part.records.size for part in parts]
    names = sorted({part.by.name for part in parts})
    rank = np.repeat([names.index(part.by.name) for part in parts], sizes)
    of_part = np.repeat(np.arange(len(parts)), sizes)
    within = np.concatenate([np.arange(size) for size in sizes])
    columns = [
        np.concatenate([part.records[name] for part in parts])
        for name in ("kind", "flow_ordinal", "time_ns")
    ]
    order = np.lexsort((columns[0], columns[1], rank, columns[2]))
    events = [
        events_of(part.records[within[order[of_part[order] == number]]])
        for number, part in enumerate(parts)
    ]
    for number in of_part[order].tolist():
        yield parts[number].by, next(events[number])
