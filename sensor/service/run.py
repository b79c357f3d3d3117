"""Runs the chain over an opened source, and writes what it finds."""

import socket
import time
from collections.abc import Iterable, Sequence

from sensor.alerts.eve import Options, line
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
        summary: of the incidents that have ended.
    """

    def __init__(self, capture: CaptureCounters, lanes: Sequence[Lane], log: AlertLog) -> None:
        """Prepares a run.

        Args:
            capture: counters of the source.
            lanes: what detects.
            log: where alerts go; it stays the caller's to close.
        """
        self._decoder = Decoder()
        self._lanes, self._log = lanes, log
        self.statistics = Statistics(capture, self._decoder, lanes[0].table, lanes)
        self.summary = Summary(lanes)

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
        options = (
            Options(models, interface, socket.gethostname(), time.time_ns)
            if interface
            else Options(models)
        )
        for event in detect(self.statistics.counted(blocks), self._decoder, self._lanes):
            self.statistics.count_event(event)
            self.summary.add(event)
            self._log.write(line(event, options))
