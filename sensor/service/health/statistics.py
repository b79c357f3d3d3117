"""What a run has seen and done, as the one JSON object of ``--stats`` and of SIGUSR1."""

import errno
import json
import os
import time
from collections import Counter
from typing import Any

import sensor
from sensor.alerts.eve import timestamp
from sensor.alerts.event import IncidentEvent
from sensor.alerts.sinks import STDOUT, EventLog
from sensor.capture.block import CaptureCounters
from sensor.errors import OutputError
from sensor.exchange import Lanes
from sensor.flows.sequences import END_REASONS
from sensor.service.health import accuracy
from sensor.service.health.counts import DecoderCounts, FrameCounts
from sensor.service.health.measures import Measures
from sensor.service.health.recent import Recent


class Statistics:
    """Counts what passes, and reads the counters of the parts that count themselves.

    Attributes:
        frames: what entered the chain.
        alerts, incidents: events and incidents so far, by detector and task.
        withheld: events that were kept out of the log because they were too many, likewise.
        recent: the last ones that were told.
        last_event_ns: time of the last one, by detector.
        measures: how long things took, where that is measured.
        shed: rows that were decided and not looked at.
        shed_ends: ends of flows that nobody who had said something of these was told of.
        unrecorded: frames that should have been recorded and could not be.
        truncated: a line for each capture file that was cut.
    """

    def __init__(
        self,
        capture: CaptureCounters,
        decoder: DecoderCounts,
        lanes: Lanes,
        log: EventLog | None = None,
        frames: FrameCounts | None = None,
        flow_log: EventLog | None = None,
    ) -> None:
        """Starts the clock.

        Args:
            capture: the source's, for what the kernel dropped or merged.
            decoder: of the run.
            lanes: that decide and score rows; the first one's table counts flows and packets.
            log: of alerts.
            frames: where somebody else counts them.
            flow_log: of what is said of flows.
        """
        self.frames = frames or FrameCounts()
        self.unrecorded = self.shed = self.shed_ends = 0
        self.alerts: Counter[str] = Counter()
        self.incidents: Counter[str] = Counter()
        self.withheld: Counter[str] = Counter()
        self.recent, self.measures = Recent(), Measures()
        self.last_event_ns: dict[str, int] = {}
        self.truncated: list[str] = []
        self._capture, self._decoder, self._lanes, self._log = capture, decoder, lanes, log
        self._flow_log = flow_log
        self.expect(lanes)
        self._started = time.monotonic()

    @property
    def packets(self) -> int:
        """Frames that entered the chain."""
        return self.frames.packets

    @property
    def first_ns(self) -> int:
        """Least time of a frame; 0 before the first one."""
        return self.frames.first_ns

    @property
    def last_ns(self) -> int:
        """Greatest time of a frame; 0 before the first one."""
        return self.frames.last_ns

    def expect(self, lanes: Lanes) -> None:
        """Names the tasks of the detectors in force, so that those without an alert stand there.

        Another thread may count meanwhile: what is there already is left alone.
        """
        detectors = [watch.detector for watch in lanes.watches if not watch.shadow]
        names = [f"{each.name}/{task.name}" for each in detectors for task in each.tasks]
        for counts in (self.alerts, self.incidents, self.withheld):
            for name in names:
                counts.setdefault(name, 0)

    def count_event(self, event: IncidentEvent, *, told: bool = True) -> None:
        """Counts an event of an incident; `told` says whether it goes to the log."""
        name = f"{event.detector}/{event.task.name}"
        self.alerts[name] += 1
        self.incidents[name] += event.kind == "start"
        self.withheld[name] += not told
        self.last_event_ns[event.detector] = event.time_ns
        if told:
            self.recent.add(event)

    def document(self) -> dict[str, Any]:
        """The object; `docs/statistics.md` says what each entry counts."""
        log, flow_log, counts = self._log, self._flow_log, self._lanes.counts()
        return {
            "version": sensor.__version__,
            "packets": self.packets,
            "bytes": self.frames.bytes,
            "first_packet": timestamp(self.first_ns) if self.packets else None,
            "last_packet": timestamp(self.last_ns) if self.packets else None,
            "decoded": self._decoder.decoded,
            "refused": dict(self._decoder.refused),
            "slow": self._decoder.slow,
            "offloaded": self._decoder.offloaded,
            "fragments_unmatched": self._decoder.fragments_unmatched,
            "flows": counts["flows"],
            "flows_evicted": counts["evicted"],
            "conversations_evicted": counts["conversations_evicted"],
            "packets_late": counts["late"],
            "packets_trailing": counts["trailing"],
            "clock_steps": counts["clock_steps"],
            "sequences": dict(zip(END_REASONS, self._lanes.decided().tolist(), strict=True)),
            "sequences_skipped": counts["skipped"],
            "answers_ambiguous": counts["ambiguous"],
            "measurements_unknown": counts["unknown"],
            "shed": self.shed,
            "scored": counts["scored"],
            "computed": counts["computed"],
            "remembered": counts["remembered"],
            "alerts": dict(self.alerts),
            "incidents": dict(self.incidents),
            "incidents_evicted": counts["incidents_evicted"],
            "rows_forgotten": counts["rows_forgotten"],
            "rows_allowed": counts["rows_allowed"],
            "alerts_withheld": self.withheld.total(),
            "alerts_written": log.written if log else 0,
            "alerts_lost": log.lost if log else 0,
            "alert_log_failures": log.failures if log else 0,
            "alert_log_rotations": log.rotations if log else 0,
            "annotations": accuracy.of_watches(self._lanes.watches),
            "flow_ends_shed": self.shed_ends,
            "flow_events_written": flow_log.written if flow_log else 0,
            "flow_events_lost": flow_log.lost if flow_log else 0,
            "flow_log_failures": flow_log.failures if flow_log else 0,
            "flow_log_rotations": flow_log.rotations if flow_log else 0,
            "kernel_drops": self._capture.kernel_drops,
            "offload_frames": self._capture.offload_frames,
            "bypassed": self._capture.bypassed,
            "cut": self._capture.cut,
            "frames_unrecorded": self.unrecorded,
            "truncated": list(self.truncated),
            "seconds": round(time.monotonic() - self._started, 3),
        }

    def line(self) -> str:
        """The object on one line, with its newline."""
        return json.dumps(self.document()) + "\n"


_PIPE_REASONS = {
    errno.ENXIO: "nobody reads this pipe; start its reader first",
    errno.EPIPE: "nobody reads this pipe any more",
    errno.EAGAIN: "the reader of this pipe stands still",
}


class StatisticsFile:
    """Where ``--stats`` goes: opened before the run, so that it fails early, written after it."""

    def __init__(self, path: str, *, waits: bool = True) -> None:
        """Opens the file, which is emptied, or takes standard output for ``-``.

        Args:
            path: of the file, or ``-``.
            waits: for the reader of a named pipe, now and when it is written. A live run does
                not: nobody could end it meanwhile.

        Raises:
            OutputError: it can't be written.
        """
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        flags |= 0 if waits else os.O_NONBLOCK
        try:
            self._descriptor = 1 if path == STDOUT else os.open(path, flags, 0o644)
        except (OSError, ValueError) as error:
            raise self._failure(error) from None

    def write(self, statistics: Statistics) -> None:
        """Writes the object and closes the file.

        Raises:
            OutputError: it can't be written.
            BrokenPipeError: nobody reads standard output any more.
        """
        self.write_text(statistics.line())

    def write_text(self, text: str) -> None:
        """Writes the text and closes the file; errors are those of `write`."""
        rest = text.encode()
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            if isinstance(error, BrokenPipeError) and self._path == STDOUT:
                raise
            raise self._failure(error) from None
        finally:
            if self._descriptor != 1:
                os.close(self._descriptor)

    def _failure(self, error: OSError | ValueError) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, OSError):
            reason = _PIPE_REASONS.get(error.errno or 0, reason)
        name = "standard output" if self._path == STDOUT else self._path
        return OutputError(f"{name}: statistics can't be written ({reason.lower()})")
