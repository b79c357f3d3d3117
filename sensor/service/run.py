"""Runs the chain over an opened source, and writes what it finds."""

import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from sensor.alerts.allow import AllowList, AllowRule
from sensor.alerts.sinks import EventLog
from sensor.annotations.flow_line import flow_line
from sensor.capture.block import CaptureCounters, PacketBlock
from sensor.exchange import Change, Lanes
from sensor.packets.decode import Decoder
from sensor.pipeline import Decided, Detection, Packets, decide, decoded
from sensor.service.evidence_store import EvidenceStore
from sensor.service.footprint import release_heap
from sensor.service.handover import Handover
from sensor.service.health.statistics import Statistics
from sensor.service.lanes import optional_of
from sensor.service.summary import Summary
from sensor.service.telling import Teller
from sensor.service.workers.workers import Workers

_LINES = 64
"""Of the flow log, that are written at once."""


class Run:
    """One run of the chain.

    Attributes:
        statistics: of the run, at any time.
        allow: rules for flows that raise no alert, or None.
    """

    def __init__(
        self,
        capture: CaptureCounters,
        lanes: Lanes,
        log: EventLog,
        summary: Summary | None = None,
        workers: Workers | None = None,
        evidence: EvidenceStore | None = None,
        shadow_log: EventLog | None = None,
        flow_log: EventLog | None = None,
    ) -> None:
        """Prepares a run.

        Args:
            capture: counters of the source.
            lanes: what detects.
            log: where alerts go; it stays the caller's to close.
            summary: hears of every event, where one will be shown.
            workers: who decode and count, if that is not done here.
            evidence: takes what incidents have kept, where they keep anything.
            shadow_log: where what shadows find goes, if anywhere; the caller's to close, too.
            flow_log: where what is said of flows goes, likewise.
        """
        self._decoder = Decoder(optional_of(lanes))
        self._lanes, self._summary = lanes, summary
        self._teller = Teller(log, evidence)
        self._shadow = Teller(shadow_log) if shadow_log else None
        self._tellers = [each for each in (self._teller, self._shadow) if each]
        self._flow_log = flow_log
        self._detection = Detection(lanes, flow_events=flow_log is not None)
        self.allow: AllowList | None = None
        counts = workers.decoded if workers else self._decoder
        frames = workers.frames if workers else None
        self.statistics = Statistics(capture, counts, lanes, log, frames, flow_log)

    def over(self, blocks: Iterable[PacketBlock], capture: str = "") -> None:
        """Detects until the blocks end; what is written is a function of the packets.

        Args:
            blocks: of the source.
            capture: its name, where alerts are to tell it.

        Raises:
            OutputError: a strict log can't be written.
        """
        self._set_options(capture=capture)
        for decided in decide(self.decoded(blocks), self._lanes):
            self._take(decided)
        self._finish()

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
        host = socket.gethostname()
        self._set_options(interface=interface, host=host, wall_clock_ns=time.time_ns)

        def take(decided: Decided | Change) -> None:
            held = len(self._detection.watches)
            self._take(decided)
            if len(self._detection.watches) < held:
                release_heap()
            after()

        with handover.take_with(take):
            for decided in decide(packets, self._lanes):
                handover.put(decided)
        self._finish()

    def decoded(self, blocks: Iterable[PacketBlock]) -> Packets:
        """The packets of blocks, counted and decoded when they are passed on."""
        return decoded(self.statistics.frames.of(blocks), self._decoder)

    def adopt(
        self,
        allow: Sequence[AllowRule],
        severity: Mapping[str, int],
        device: Callable[[str], Mapping[str, str]] | None = None,
    ) -> None:
        """Takes up what may change while the run goes on, in the thread that detects.

        Args:
            allow: rules for flows that raise no alert; those that stay keep their counts.
            severity: of tasks, in place of their bundles'.
            device: what alerts tell of the device that has an address.
        """
        self.allow = AllowList(allow, self.allow)
        # Those that were replaced too, as long as they look at rows: a rule is about flows, and
        # its count is of all of them.
        for watch in self._detection.watches:
            # What a shadow leaves out raised no alert, so nobody counts it.
            watch.tracker.allow = AllowList(allow) if watch.shadow else self.allow
        self._set_options(severity=severity, device=device)

    def _set_options(self, **options: Any) -> None:
        for teller in self._tellers:
            teller.options = replace(teller.options, **options)

    def _take(self, decided: Decided | Change) -> None:
        began, measures = time.perf_counter(), self.statistics.measures
        events = self._detection.take(decided)
        if isinstance(decided, Decided) and len(decided.batch):
            measures.batch.add(time.perf_counter() - began)
        # At the end of a stream time has not come to when its last events are.
        finishing = isinstance(decided, Decided) and decided.finishing
        wall_clock_ns = self._teller.options.wall_clock_ns
        for event in events:
            stream = self._detection.stream
            if not event.shadow:
                told = self._teller.tell(event, stream)
                self.statistics.count_event(event, told=told)
                if told and wall_clock_ns and not finishing:
                    measures.count_told(event.time_ns, wall_clock_ns())
                if self._summary:
                    self._summary.add(event)
            elif self._shadow:
                self._shadow.tell(event, stream)
        if self._flow_log:
            self._write_flow_events(self._flow_log)
        # What the clock has made certain to be withheld.
        for teller in self._tellers:
            teller.pass_time(self._detection.clock_ns, self._detection.stream)

    def _write_flow_events(self, log: EventLog) -> None:
        events, options = self._detection.take_flow_events(), self._teller.options
        # Some at once, as each writing asks whether the file is still the one of that name.
        while some := [flow_line(*each, options) for each in islice(events, _LINES)]:
            log.write(*some)

    def _finish(self) -> None:
        for teller in self._tellers:
            teller.finish()
