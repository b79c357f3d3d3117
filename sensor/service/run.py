"""Runs the chain over an opened source, and writes what it finds."""

import socket
import time
from collections.abc import Callable, Iterable

from sensor.alerts.eve import Options, line
from sensor.alerts.event import IncidentEvent, Withheld
from sensor.alerts.limit import AlertLimit
from sensor.alerts.sinks import AlertLog
from sensor.capture.block import CaptureCounters, PacketBlock
from sensor.exchange import Change, Lanes
from sensor.packets.decode import Decoder
from sensor.pipeline import Decided, Detection, Packets, decide, decoded
from sensor.service.evidence_store import EvidenceStore
from sensor.service.handover import Handover
from sensor.service.lanes import optional_of
from sensor.service.statistics import Statistics
from sensor.service.summary import Summary
from sensor.service.workers import Workers


class Run:
    """One run of the chain.

    Attributes:
        statistics: of the run, at any time.
    """

    def __init__(
        self,
        capture: CaptureCounters,
        lanes: Lanes,
        log: AlertLog,
        summary: Summary | None = None,
        workers: Workers | None = None,
        evidence: EvidenceStore | None = None,
    ) -> None:
        """Prepares a run.

        Args:
            capture: counters of the source.
            lanes: what detects.
            log: where alerts go; it stays the caller's to close.
            summary: hears of every event, where one will be shown.
            workers: who decode and count, if that is not done here.
            evidence: takes what incidents have kept, where they keep anything.
        """
        self._decoder = Decoder(optional_of(lanes))
        self._lanes, self._log, self._summary = lanes, log, summary
        self._evidence = evidence
        self._detection = Detection(lanes)
        self._limit = AlertLimit()
        self._options = Options()
        counts = workers.decoded if workers else self._decoder
        frames = workers.frames if workers else None
        self.statistics = Statistics(capture, counts, lanes, log, frames)

    def over(self, blocks: Iterable[PacketBlock], capture: str = "") -> None:
        """Detects until the blocks end; what is written is a function of the packets.

        Args:
            blocks: of the source.
            capture: its name, where alerts are to tell it.

        Raises:
            OutputError: a strict log can't be written.
        """
        self._options = Options(capture=capture)
        for decided in decide(self.decoded(blocks), self._lanes):
            self._take(decided)
        self._write(self._limit.finish())

    def live(
        self,
        packets: Packets,
        interface: str,
        handover: Handover,
        after: Callable[[], None],
    ) -> None:
        """Detects until the packets end, in a thread beside the one that reads them.

        Every event is written as soon as it is certain, with the host and the time at which that
        was.

        Args:
            packets: of the source, `decoded` here or by workers.
            interface: where they are captured.
            handover: between the threads.
            after: called in the other thread whenever it has done something.

        Raises:
            OutputError: a strict log can't be written.
        """
        self._options = Options(interface, socket.gethostname(), time.time_ns)

        def take(decided: Decided | Change) -> None:
            self._take(decided)
            after()

        with handover.take_with(take):
            for decided in decide(packets, self._lanes):
                handover.put(decided)
        self._write(self._limit.finish())

    def decoded(self, blocks: Iterable[PacketBlock]) -> Packets:
        """The packets of blocks, counted and decoded when they are passed on."""
        return decoded(self.statistics.frames.of(blocks), self._decoder)

    def _take(self, decided: Decided | Change) -> None:
        began = time.perf_counter()
        events = self._detection.take(decided)
        measures, wall_clock_ns = self.statistics.measures, self._options.wall_clock_ns
        if isinstance(decided, Decided) and len(decided.batch):
            measures.batch.add(time.perf_counter() - began)
        # At the end of a stream time has not come to when its last events are.
        ends = isinstance(decided, Decided) and decided.ends
        for event in events:
            self._tell_withheld(event.time_ns)
            told = self._limit.admits(event)
            self._write(event if told else None)
            self.statistics.count_event(event, told=told)
            if told and wall_clock_ns and not ends:
                measures.count_told(event.time_ns, wall_clock_ns())
            if self._summary:
                self._summary.add(event)
        # What the clock has made certain to be withheld.
        self._tell_withheld(self._detection.clock_ns)

    def _tell_withheld(self, time_ns: int) -> None:
        self._write(self._limit.due(time_ns, self._detection.stream))

    def _write(self, event: IncidentEvent | Withheld | None) -> None:
        if event is None:
            return
        told = line(event, self._options)
        self._log.write(told)
        if self._evidence and isinstance(event, IncidentEvent):
            self._evidence.tell(event, told)
