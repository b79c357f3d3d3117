"""Runs the chain over an opened source, and writes what it finds."""

import socket
import time
from collections.abc import Iterable, Iterator, Sequence

from sensor.alerts.eve import Options, line
from sensor.alerts.event import IncidentEvent, Withheld
from sensor.alerts.limit import AlertLimit
from sensor.alerts.sinks import AlertLog
from sensor.capture.block import CaptureCounters, PacketBlock
from sensor.packets.decode import Decoder
from sensor.pipeline import Lane, detect
from sensor.service.lanes import described
from sensor.service.statistics import Statistics
from sensor.service.summary import Summary


class Run:
    """One run of the chain.

    Attributes:
        statistics: of the run, at any time.
    """

    def __init__(
        self,
        capture: CaptureCounters,
        lanes: Sequence[Lane],
        log: AlertLog,
        summary: Summary | None = None,
    ) -> None:
        """Prepares a run.

        Args:
            capture: counters of the source.
            lanes: what detects.
            log: where alerts go; it stays the caller's to close.
            summary: hears of every event, where one will be shown.
        """
        self._decoder = Decoder({name for lane in lanes for name in lane.table.schema.optional})
        self._lanes, self._log, self._summary = lanes, log, summary
        self._limit = AlertLimit()
        self._options = Options()
        self.statistics = Statistics(capture, self._decoder, lanes[0].table, lanes, log)

    def over(self, blocks: Iterable[PacketBlock], interface: str = "") -> None:
        """Detects until the blocks end, and writes every event as soon as it is certain.

        Args:
            blocks: of the source.
            interface: where they are captured now; its alerts name the host and the time at
                which they were written. Empty in a replay, whose alerts are a function of the
                packets.

        Raises:
            OutputError: a strict log can't be written.
        """
        models = described(self._lanes)
        self._options = (
            Options(models, interface, socket.gethostname(), time.time_ns)
            if interface
            else Options(models)
        )
        counted = self.statistics.counted(blocks)
        for event in detect(self._followed(counted), self._decoder, self._lanes):
            self._tell_withheld(event.time_ns)
            told = self._limit.admits(event)
            self._write(event if told else None)
            self.statistics.count_event(event, told=told)
            if self._summary:
                self._summary.add(event)
        self._write(self._limit.finish())

    def _followed(self, blocks: Iterable[PacketBlock]) -> Iterator[PacketBlock]:
        """The blocks; after each one, what its clock has made certain to be withheld is told."""
        for block in blocks:
            yield block
            self._tell_withheld(self._lanes[0].table.clock_ns)

    def _tell_withheld(self, time_ns: int) -> None:
        self._write(self._limit.due(time_ns, self._lanes[0].table.clock_steps))

    def _write(self, event: IncidentEvent | Withheld | None) -> None:
        if event is not None:
            self._log.write(line(event, self._options))
