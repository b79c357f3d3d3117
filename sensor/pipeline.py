"""The whole chain on one screen: blocks in, incidents out. Opens nothing.

capture → PacketBlock → decode → Headers → flow table → SequenceBatch → detectors → scores →
incidents. Live and replay run exactly this; the service owns sockets, signals and files.

The chain has three parts that share nothing but what they hand on: `decoded` ends with headers,
`decide` with rows, and `Detection` begins with these. A replay runs them in turn; live, detection
has a thread of its own, and decoding may have processes (`sensor.service.workers.workers`).
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sensor.alerts.event import IncidentEvent
from sensor.annotations.flow_event import FlowEvent, Said, Waiting
from sensor.capture.block import PacketBlock
from sensor.exchange import Change, Lanes
from sensor.flows.ends import NO_ENDS, FlowEnds
from sensor.flows.epochs import Epochs
from sensor.flows.sequences import SequenceBatch
from sensor.lane import Lane, Watch
from sensor.packets.decode import Decoder
from sensor.packets.headers import Headers
from sensor.tables import Table


@dataclass(frozen=True, slots=True)
class Decided:
    """Rows that the table of a lane has decided, on their way to its detectors.

    Attributes:
        lane: whose table decided them.
        batch: the rows; perhaps none, where only time has passed.
        clock_ns: before which the lane has decided everything.
        stream: how often the clock was set back before (`docs/semantics.md` 2).
        ends: flows that have ended, none where the table does not keep them. All rows of such a
            flow are in this batch or came before.
        finishing: whether this belongs to the end of the stream.
    """

    lane: Lane
    batch: SequenceBatch
    clock_ns: int
    stream: int
    ends: FlowEnds = NO_ENDS
    finishing: bool = False


Packets = Iterable[tuple[Headers, int]]
"""Decoded packets of a block, and the lower bound of the clock after it; see `PacketBlock`."""


def decoded(blocks: Iterable[PacketBlock], decoder: Decoder) -> Packets:
    """The first part of the chain: decoded packets, block by block."""
    return ((decoder.decode(block), block.clock_ns) for block in blocks)


def assemble(
    blocks: Iterable[PacketBlock], decoder: Decoder, table: Table
) -> Iterator[SequenceBatch]:
    """Rows of a stream: a batch, perhaps an empty one, for each block, and those of its end.

    Where the clock was set back a stream ends, and another begins (`docs/semantics.md` 2).
    """
    return rows(decide(decoded(blocks, decoder), Lanes([Lane(table)])))


def rows(decided: Iterable[Decided | Change]) -> Iterator[SequenceBatch]:
    """The rows alone of what `decide` gives."""
    return (each.batch for each in decided if isinstance(each, Decided))


def decide(packets: Packets, lanes: Lanes) -> Iterator[Decided | Change]:
    """The second part of the chain: the rows of a stream of packets, for every lane in turn.

    All rows of a block have been given when the next block is asked for. Where the clock was set
    back a stream ends, and another begins. What was exchanged between two blocks stands between
    their rows.
    """
    epochs, stream = Epochs(), 0
    for block, lower_ns in packets:
        yield from lanes.changes()
        for begins, headers, clock_ns in epochs.cut(block, lower_ns):
            if begins:
                yield from _finish(lanes, stream)
                lanes.restart()
                yield from lanes.changes()
                stream += 1
            for lane in lanes:
                yield _decided(lane, lane.table.add(headers, clock_ns), stream)
    yield from _finish(lanes, stream)


class Detection:
    """The third part of the chain: scores rows, and puts the events of all lanes in order.

    Attributes:
        stream: how often the clock was set back before what was taken last.
    """

    def __init__(self, lanes: Lanes, *, flow_events: bool = False) -> None:
        """Begins; `flow_events` says whether somebody takes them."""
        self._lanes = lanes
        self._clock_ns = dict.fromkeys(lanes, 0)
        self.stream = 0
        self._waiting: list[IncidentEvent] = []
        self._flow_events = Waiting() if flow_events else None
        self._listen(lanes)

    @property
    def clock_ns(self) -> int:
        """Time of the stream before which all events have been given."""
        return min(self._clock_ns.values())

    @property
    def watches(self) -> tuple[Watch, ...]:
        """Those that rows may yet come for: in force, or replaced with flows that go on."""
        return tuple(watch for lane in self._clock_ns for watch in lane.watches)

    def take(self, decided: Decided | Change) -> list[IncidentEvent]:
        """Takes what `decide` gave next; the events that are then certain.

        Over all calls, events come in order of stream, time, detector, task and flow.
        """
        if isinstance(decided, Change):
            self._change(decided)
        else:
            if decided.stream != self.stream:
                self.stream = decided.stream
                self._clock_ns = dict.fromkeys(self._clock_ns, 0)
                for lane in self._clock_ns:
                    lane.restart()
            self._clock_ns[decided.lane] = decided.clock_ns
            lane = decided.lane
            self._waiting += lane.detect(decided.batch, decided.clock_ns, decided.ends)
            if self._flow_events:
                told, lane.flow_events = lane.flow_events, []
                self._flow_events.add(told)
        # An event of a lane that is ahead waits for what the others may yet find before it.
        self._waiting = _in_order(self._waiting)
        certain = bisect_left(self._waiting, self.clock_ns, key=lambda event: event.time_ns)
        events, self._waiting = self._waiting[:certain], self._waiting[certain:]
        return events

    def take_flow_events(self) -> Iterator[tuple[Said, FlowEvent]]:
        """What is certain by now and was not taken before, with who says it.

        Over all calls they come in order of stream, time, detector, flow and kind.
        """
        return self._flow_events.release(self.clock_ns) if self._flow_events else iter(())

    def _listen(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            lane.tells = self._flow_events is not None

    def _change(self, change: Change) -> None:
        change.apply()
        self._listen(lane for lane, _ in change.begun)
        for lane, watch in change.begun:
            self._clock_ns.setdefault(lane, watch.since.clock_ns if watch.since else 0)
        for lane in change.gone:
            self._waiting += lane.close()
            del self._clock_ns[lane]
        self._lanes.forget(change.gone)
        if change.then:
            change.then()


def detect(
    blocks: Iterable[PacketBlock], decoder: Decoder, lanes: Lanes
) -> Iterator[IncidentEvent]:
    """Incident events of a stream of blocks, in order of time, detector, task and flow.

    Where the clock was set back a stream ends with its events, and another begins.
    """
    detection = Detection(lanes)
    for decided in decide(decoded(blocks, decoder), lanes):
        yield from detection.take(decided)


def _finish(lanes: Lanes, stream: int) -> Iterator[Decided]:
    """What is left when no more packets come; next always of the lane that is furthest behind."""
    left = {lane: lane.table.finish() for lane in lanes}
    while left:
        lane = min(left, key=lambda each: each.table.clock_ns)
        batch = next(left[lane], None)
        if batch is None:
            del left[lane]
        else:
            yield _decided(lane, batch, stream, finishing=True)


def _decided(lane: Lane, batch: SequenceBatch, stream: int, *, finishing: bool = False) -> Decided:
    lane.count(batch)
    return Decided(lane, batch, lane.table.clock_ns, stream, lane.take_ends(), finishing)


def _in_order(events: Iterable[IncidentEvent]) -> list[IncidentEvent]:
    return sorted(events, key=lambda event: event.order)
