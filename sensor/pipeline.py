"""The whole chain on one screen: blocks in, incidents out. Opens nothing.

capture → PacketBlock → decode → Headers → flow table → SequenceBatch → detectors → scores →
incidents. Live and replay run exactly this; the service owns sockets, signals and files.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.home import HomeNetworks
from sensor.alerts.incidents import IncidentEvent, IncidentTracker
from sensor.capture.block import PacketBlock
from sensor.flows.epochs import Epochs
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import TaskSpec
from sensor.packets.decode import Decoder

SCORED_ROWS = 4_096
"""Rows that are scored at once: a flood's batch would need tens of megabytes as it is encoded."""


class Detector(Protocol):
    """Scores rows: a bundle's network, or the counting rule."""

    name: str
    fingerprint: str
    tasks: tuple[TaskSpec, ...]

    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """Calibrated scores ``(b, tasks)`` of the rows, independent of how rows are batched.

        NaN where a row does not count for a task.
        """
        ...


class Lane:
    """Detectors that look at the same rows, and the flow table that makes these.

    Attributes:
        table: of the detectors' feature schema.
        detectors: whose names differ.
        trackers: their incidents, in the same order.
        decided: rows so far by end reason, ``(len(END_REASONS),)``.
    """

    def __init__(
        self, table: FlowTable, detectors: Sequence[Detector], home: HomeNetworks | None = None
    ) -> None:
        self.table = table
        self.detectors = tuple(detectors)
        self.trackers = tuple(IncidentTracker(each, home) for each in self.detectors)
        self.decided = np.zeros(len(END_REASONS), np.int64)

    def detect(self, batch: SequenceBatch) -> list[IncidentEvent]:
        """Scores the rows that the table has released; the events that are now certain."""
        self.decided += np.bincount(batch.end_reason, minlength=len(END_REASONS))
        for start in range(0, len(batch), SCORED_ROWS):
            rows = batch.take(slice(start, start + SCORED_ROWS))
            for detector, tracker in zip(self.detectors, self.trackers, strict=True):
                tracker.add(rows, detector.score(rows))
        return _in_order(tracker.release(self.table.clock_ns) for tracker in self.trackers)

    def finish(self) -> Iterator[IncidentEvent]:
        """The events that are left when no more packets come."""
        for batch in self.table.finish():
            yield from self.detect(batch)

    def restart(self) -> None:
        """Begins another stream after `finish`, as its clock was set back."""
        self.table.restart()
        for tracker in self.trackers:
            tracker.restart()


def assemble(
    blocks: Iterable[PacketBlock], decoder: Decoder, table: FlowTable
) -> Iterator[SequenceBatch]:
    """Rows of a stream: a batch, perhaps an empty one, for each block, and those of its end.

    Where the clock was set back a stream ends, and another begins (`docs/semantics.md` 2).
    """
    epochs = Epochs()
    for block in blocks:
        for begins, headers, clock_ns in epochs.cut(decoder.decode(block), block.clock_ns):
            if begins:
                yield from table.finish()
                table.restart()
            yield table.add(headers, clock_ns)
    yield from table.finish()


def detect(
    blocks: Iterable[PacketBlock], decoder: Decoder, lanes: Sequence[Lane]
) -> Iterator[IncidentEvent]:
    """Incident events of a stream of blocks, in order of time, detector, task and flow.

    Where the clock was set back a stream ends with its events, and another begins.
    """
    epochs = Epochs()
    for block in blocks:
        for begins, headers, clock_ns in epochs.cut(decoder.decode(block), block.clock_ns):
            if begins:
                yield from _finish(lanes)
                for lane in lanes:
                    lane.restart()
            yield from _in_order(lane.detect(lane.table.add(headers, clock_ns)) for lane in lanes)
    yield from _finish(lanes)


def _finish(lanes: Sequence[Lane]) -> Iterator[IncidentEvent]:
    return heapq.merge(*(lane.finish() for lane in lanes), key=_order)


def _in_order(released: Iterable[list[IncidentEvent]]) -> list[IncidentEvent]:
    return sorted((event for events in released for event in events), key=_order)


def _order(event: IncidentEvent) -> tuple[int, str, int, int, int]:
    return event.order
