"""The whole chain on one screen: blocks in, incidents out. Opens nothing.

capture → PacketBlock → decode → Headers → flow table → SequenceBatch → detectors → scores →
incidents. Live and replay run exactly this; the service owns sockets, signals and files.

The chain has three parts that share nothing but what they hand on: `decoded` ends with headers,
`decide` with rows, and `Detection` begins with these. A replay runs them in turn; live, detection
has a thread of its own, and decoding may have processes (`sensor.service.workers`).
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from sensor.packets.headers import Headers

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

    def detect(self, batch: SequenceBatch, clock_ns: int) -> list[IncidentEvent]:
        """Scores rows of the table; the events that are then certain.

        Args:
            batch: the next rows.
            clock_ns: before which the table has decided everything.
        """
        for start in range(0, len(batch), SCORED_ROWS):
            rows = batch.take(slice(start, start + SCORED_ROWS))
            for detector, tracker in zip(self.detectors, self.trackers, strict=True):
                tracker.add(rows, detector.score(rows))
        return _in_order(event for each in self.trackers for event in each.release(clock_ns))


@dataclass(frozen=True, slots=True)
class Decided:
    """Rows that the table of a lane has decided, on their way to its detectors.

    Attributes:
        lane: its number.
        batch: the rows; perhaps none, where only time has passed.
        clock_ns: before which the lane has decided everything.
        stream: how often the clock was set back before (`docs/semantics.md` 2).
        ends: whether this belongs to the end of the stream.
    """

    lane: int
    batch: SequenceBatch
    clock_ns: int
    stream: int
    ends: bool = False


Packets = Iterable[tuple[Headers, int]]
"""Decoded packets of a block, and the lower bound of the clock after it; see `PacketBlock`."""


def decoded(blocks: Iterable[PacketBlock], decoder: Decoder) -> Packets:
    """The first part of the chain: decoded packets, block by block."""
    return ((decoder.decode(block), block.clock_ns) for block in blocks)


def assemble(
    blocks: Iterable[PacketBlock], decoder: Decoder, table: FlowTable
) -> Iterator[SequenceBatch]:
    """Rows of a stream: a batch, perhaps an empty one, for each block, and those of its end.

    Where the clock was set back a stream ends, and another begins (`docs/semantics.md` 2).
    """
    for decided in decide(decoded(blocks, decoder), [Lane(table, ())]):
        yield decided.batch


def decide(packets: Packets, lanes: Sequence[Lane]) -> Iterator[Decided]:
    """The second part of the chain: the rows of a stream of packets, for every lane in turn.

    All rows of a block have been given when the next block is asked for. Where the clock was set
    back a stream ends, and another begins.
    """
    epochs = Epochs()
    for block, lower_ns in packets:
        for begins, headers, clock_ns in epochs.cut(block, lower_ns):
            if begins:
                yield from _finish(lanes)
                for lane in lanes:
                    lane.table.restart()
            for number, lane in enumerate(lanes):
                yield _decided(number, lane, lane.table.add(headers, clock_ns))
    yield from _finish(lanes)


class Detection:
    """The third part of the chain: scores rows, and puts the events of all lanes in order."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._clock_ns = [0] * len(lanes)
        self._stream = 0
        self._waiting: list[IncidentEvent] = []

    @property
    def clock_ns(self) -> int:
        """Time of the stream before which all events have been given."""
        return min(self._clock_ns)

    def take(self, decided: Decided) -> list[IncidentEvent]:
        """Takes what `decide` gave next; the events that are then certain.

        Over all calls, events come in order of stream, time, detector, task and flow.
        """
        if decided.stream != self._stream:
            self._stream = decided.stream
            self._clock_ns = [0] * len(self._lanes)
            for tracker in (each for lane in self._lanes for each in lane.trackers):
                tracker.restart()
        self._clock_ns[decided.lane] = decided.clock_ns
        self._waiting += self._lanes[decided.lane].detect(decided.batch, decided.clock_ns)
        # An event of a lane that is ahead waits for what the others may yet find before it.
        self._waiting = _in_order(self._waiting)
        certain = bisect_left(self._waiting, self.clock_ns, key=lambda event: event.time_ns)
        events, self._waiting = self._waiting[:certain], self._waiting[certain:]
        return events


def detect(
    blocks: Iterable[PacketBlock], decoder: Decoder, lanes: Sequence[Lane]
) -> Iterator[IncidentEvent]:
    """Incident events of a stream of blocks, in order of time, detector, task and flow.

    Where the clock was set back a stream ends with its events, and another begins.
    """
    detection = Detection(lanes)
    for decided in decide(decoded(blocks, decoder), lanes):
        yield from detection.take(decided)


def _finish(lanes: Sequence[Lane]) -> Iterator[Decided]:
    """What is left when no more packets come; next always of the lane that is furthest behind."""
    left = {number: lane.table.finish() for number, lane in enumerate(lanes)}
    while left:
        number = min(left, key=lambda each: lanes[each].table.clock_ns)
        batch = next(left[number], None)
        if batch is None:
            del left[number]
        else:
            yield _decided(number, lanes[number], batch, ends=True)


def _decided(number: int, lane: Lane, batch: SequenceBatch, *, ends: bool = False) -> Decided:
    lane.decided += np.bincount(batch.end_reason, minlength=len(END_REASONS))
    return Decided(number, batch, lane.table.clock_ns, lane.table.clock_steps, ends)


def _in_order(events: Iterable[IncidentEvent]) -> list[IncidentEvent]:
    return sorted(events, key=lambda event: event.order)
