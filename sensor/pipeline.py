"""The whole chain on one screen: blocks in, incidents out. Opens nothing.

capture → PacketBlock → decode → Headers → flow table → SequenceBatch → detectors → scores →
incidents. Live and replay run exactly this; the service owns sockets, signals and files.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.incidents import IncidentEvent, IncidentTracker
from sensor.capture.block import PacketBlock
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import TaskSpec
from sensor.packets.decode import Decoder


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

    def __init__(self, table: FlowTable, detectors: Sequence[Detector]) -> None:
        self.table = table
        self.detectors = tuple(detectors)
        self.trackers = tuple(IncidentTracker(detector) for detector in detectors)
        self.decided = np.zeros(len(END_REASONS), np.int64)

    def detect(self, batch: SequenceBatch) -> list[IncidentEvent]:
        """Scores the rows that the table has released; returns the events that are now certain."""
        self.decided += np.bincount(batch.end_reason, minlength=len(END_REASONS))
        events: list[IncidentEvent] = []
        for detector, tracker in zip(self.detectors, self.trackers, strict=True):
            if len(batch):
                tracker.add(batch, detector.score(batch))
            events += tracker.release(self.table.clock_ns)
        return events


def assemble(
    blocks: Iterable[PacketBlock], decoder: Decoder, table: FlowTable
) -> Iterator[SequenceBatch]:
    """Rows of a stream of blocks: a batch, perhaps an empty one, for each block and for its end."""
    for block in blocks:
        yield table.add(decoder.decode(block), block.clock_ns)
    yield table.finish()


def detect(
    blocks: Iterable[PacketBlock], decoder: Decoder, lanes: Sequence[Lane]
) -> Iterator[IncidentEvent]:
    """Incident events of a stream of blocks, in order of time, detector, task and flow."""
    for block in blocks:
        headers = decoder.decode(block)
        batches = [lane.table.add(headers, block.clock_ns) for lane in lanes]
        yield from _in_order(lanes, batches)
    yield from _in_order(lanes, [lane.table.finish() for lane in lanes])


def _in_order(lanes: Sequence[Lane], batches: Sequence[SequenceBatch]) -> list[IncidentEvent]:
    events = [lane.detect(batch) for lane, batch in zip(lanes, batches, strict=True)]
    return sorted((event for of_lane in events for event in of_lane), key=lambda e: e.order)
