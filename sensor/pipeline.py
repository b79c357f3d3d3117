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
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import TaskSpec
from sensor.packets.decode import Decoder


class Detector(Protocol):
    """Scores rows: a bundle's network, or the counting rule."""

    name: str
    fingerprint: str
    tasks: tuple[TaskSpec, ...]

    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """Calibrated scores ``(b, tasks)`` of the rows, independent of how rows are batched."""
        ...


def assemble(
    blocks: Iterable[PacketBlock], decoder: Decoder, table: FlowTable
) -> Iterator[SequenceBatch]:
    """Rows of a stream of blocks; a batch (perhaps an empty one) for each block and one at its end.

    After each batch, `table.clock_ns` is the time before which everything has been decided.
    """
    for block in blocks:
        yield table.add(decoder.decode(block), clock_ns=block.clock_ns)
    yield table.finish()


def detect(
    batches: Iterable[SequenceBatch], table: FlowTable, detectors: Sequence[Detector]
) -> Iterator[IncidentEvent]:
    """Incident events of a stream of rows, in order of time, detector and flow."""
    trackers = [IncidentTracker(detector) for detector in detectors]
    for batch in batches:
        for detector, tracker in zip(detectors, trackers, strict=True):
            tracker.add(batch, detector.score(batch))
        yield from _in_order(tracker.release(table.clock_ns) for tracker in trackers)
    yield from _in_order(tracker.finish() for tracker in trackers)


def _in_order(released: Iterable[list[IncidentEvent]]) -> list[IncidentEvent]:
    return sorted((event for events in released for event in events), key=lambda event: event.order)
