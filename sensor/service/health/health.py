"""How a live run is: healthy, or degraded and why, for the status, the metrics and the log.

The thread that captures calls `Health.look` between its blocks. It reads counters, and every few
seconds writes the status; that takes a fraction of a millisecond.

What went wrong for a while stays a reason for a minute after it stopped, so that whoever asks once
a minute hears of it.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from sensor.alerts.allow import AllowList
from sensor.alerts.sinks import EventLog
from sensor.capture.live import Watching
from sensor.errors import BundleError, HostError, MissingInputError, MultaError
from sensor.exchange import Lanes
from sensor.lane import Watch
from sensor.model.score_counts import BINS
from sensor.quantities import number
from sensor.service.evidence_store import EvidenceStore
from sensor.service.handover import Handover
from sensor.service.health import accuracy
from sensor.service.health.blindness import Blindness
from sensor.service.health.coverage import funnel, label, networks
from sensor.service.health.drift import MUCH, Drift, in_words, latest
from sensor.service.health.statistics import Statistics
from sensor.service.health.status_output import StatusOutput
from sensor.service.health.symptoms import LOSS_S, Growth, Reason, Symptoms, of_rules

REPEAT_S = 600
"""How often the log is told again of a reason that comes and goes."""

_MODEL_FAILURES: tuple[tuple[type[MultaError], str], ...] = (
    (BundleError, "bundle"),
    (MissingInputError, "missing"),
    (HostError, "runtime"),
)


class Health:
    """Of one live run."""

    def __init__(
        self,
        output: StatusOutput,
        source: Watching,
        statistics: Statistics,
        lanes: Lanes,
        handover: Handover,
        log: EventLog,
        say: Callable[[str], None],
        *,
        silence_s: float,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Begins to watch; nothing is written yet.

        Args:
            output: where it is told.
            source: what is captured from.
            statistics: of the run.
            lanes: that detect.
            handover: between the threads.
            log: of alerts.
            say: shows a line to a person.
            silence_s: after so long without a frame something is wrong.
            wall_ns: time of this machine.
        """
        now = time.monotonic()
        self._output, self._source, self._statistics = output, source, statistics
        self._lanes, self._handover, self._say, self._wall_ns = lanes, handover, say, wall_ns
        self._blindness = Blindness(source.interface.split(","), now, output.blind)
        self._symptoms = Symptoms(source, log, silence_s, now)
        self._allow: Callable[[], AllowList | None] = lambda: None
        self._sections: dict[str, Callable[[], Any]] = {}
        self._evidence: EvidenceStore | None = None
        self._shadow_log: EventLog | None = None
        self._flow_log: EventLog | None = None
        self._evidence_failures = Growth(LOSS_S, now)
        self._drifts: dict[Watch, Drift] = {}
        self._reloads: dict[str, Any] = {"ok": 0, "failed": 0, "model_failures": {}}
        self._reload_failure = ""
        self._told: dict[str, float] = {}
        self._next = now

    def include(self, name: str, section: Callable[[], Any]) -> None:
        """Puts an entry into the status, such as ``shadow``."""
        self._sections[name] = section

    def keeps(self, evidence: EvidenceStore | None) -> None:
        """Names the store of evidence, if any is kept."""
        self._evidence = evidence

    def tries(self, shadow_log: EventLog | None) -> None:
        """Names the log of what shadows find, if there is one."""
        self._shadow_log = shadow_log

    def annotates(self, flow_log: EventLog | None) -> None:
        """Names the log of what is said of flows, if there is one."""
        self._flow_log = flow_log

    def allow_with(self, allow: Callable[[], AllowList | None]) -> None:
        """Names whose rules are told, and when they expire."""
        self._allow = allow

    def reloaded(self, failure: MultaError | None) -> None:
        """Takes in how a reload went; one that failed is a reason until another one succeeds."""
        self._reloads["failed" if failure else "ok"] += 1
        self._reload_failure = str(failure) if failure else ""
        for kind, name in _MODEL_FAILURES:
            if isinstance(failure, kind):
                failures = self._reloads["model_failures"]
                failures[name] = failures.get(name, 0) + 1

    def look(self, now: float) -> None:
        """Looks at what may change between two blocks, and writes if it is time to.

        Args:
            now: time on the monotonic clock.
        """
        self._blindness.look(self._source.blind, now, self._wall_ns())
        self._symptoms.hear(self._statistics.packets, now)
        if now >= self._next:
            self._next = now + self._output.interval_s
            self.write(now)

    def write(self, now: float) -> None:
        """Writes the status now, as at the start and when a run ends."""
        document = self.document(now)
        reasons = self._reasons(document, now)
        self._tell(reasons, now)
        state = "degraded" if reasons else "healthy"
        self._output.write(state, [reason.text for reason in reasons], document)

    def document(self, now: float) -> dict[str, Any]:
        """All of the status but state and reasons (`docs/health.md`)."""
        counts, lanes, statistics = self._statistics.document(), self._lanes, self._statistics
        watches = lanes.watches
        blind = self._blindness.now
        self._drifts = {watch: self._drifts.get(watch) or _drift(watch) for watch in watches}
        for drift in self._drifts.values():
            drift.look()
        windows = {
            name: each for drift in self._drifts.values() for name, each in drift.windows.items()
        }
        allow = self._allow()
        scores = {
            f"{label(watch)}/{task.name}": watch.scores.counts[place, :BINS].tolist()
            for watch in watches
            for place, task in enumerate(watch.detector.tasks)
        }
        handover = self._handover
        coverage = funnel(counts, lanes, shed=handover.shed, shed_flows=handover.shed_flows)
        coverage["time"] = self._blindness.document(now)
        tables = [lane.table for lane in lanes]
        return {
            "interfaces": {name: {"blind": blind.get(name)} for name in self._blindness.interfaces},
            "blind": self._blindness.intervals(now),
            "silent_s": round(self._symptoms.silent_s(now), 1),
            "coverage": coverage,
            "flow_table": {
                "active": sum(table.active for table in tables),
                "capacity": sum(table.capacity for table in tables),
            },
            "models": networks(watches),
            "drift": {
                name: found.psi if (found := latest(each)) else None
                for name, each in windows.items()
            },
            "drift_windows": {
                name: [window.document() for window in each] for name, each in windows.items()
            },
            "statistics": counts,
            "withheld": dict(statistics.withheld),
            "allowed": {
                f"{label(watch)}/{task}": rows
                for watch in watches
                for task, rows in watch.tracker.allowed.items()
            },
            "measures": {
                "batch_seconds": statistics.measures.batch.document(),
                "latency_seconds": statistics.measures.latency.document(),
                "scores": scores,
            },
            "reloads": {**self._reloads, "failure": self._reload_failure},
            "allow": allow.document() if allow else [],
            "evidence": _counted(self._evidence),
            "shadow": {},
            **{name: section() for name, section in self._sections.items()},
            "recent": statistics.recent.document(),
        }

    def _reasons(self, document: Mapping[str, Any], now: float) -> list[Reason]:
        wall_ns = self._wall_ns()
        reasons = self._symptoms.reasons(document, now, wall_ns)
        if self._reload_failure:
            text = f"the last reload failed and changed nothing: {self._reload_failure}"
            reasons.append(Reason("reload", text, told_elsewhere=True))
        if evidence := document["evidence"]:
            failures = evidence["failures"]
            if more := self._evidence_failures.of(failures, now):
                text = (
                    f"{number(more, 'file')} of evidence could not be written in the last minute "
                    f"({failures:,} so far): make room, or see to its folder and permissions"
                )
                reasons.append(Reason("evidence", text))
        reasons += _unwritten("shadow log", self._shadow_log, "what shadows find", "alert")
        reasons += _unwritten("flow log", self._flow_log, "what is said of flows", "event")
        reasons += accuracy.reasons(document["statistics"]["annotations"])
        if allow := self._allow():
            reasons += of_rules(allow, wall_ns)
        for watch, drift in self._drifts.items():
            for name, windows in {} if watch.shadow else drift.windows.items():
                found = latest(windows)
                if found is None or found.psi is None or found.psi <= MUCH:
                    continue
                # An attack shifts the scores of every task, and alerts have told of it.
                told_ns = self._statistics.last_event_ns.get(watch.detector.name)
                if told_ns is None or told_ns < found.start_ns:
                    reasons.append(Reason(f"drift {name}", in_words(name, found)))
        return reasons

    def _tell(self, reasons: list[Reason], now: float) -> None:
        """Tells in the log what nobody else tells: when it begins, and not too often."""
        for reason in reasons:
            last = self._told.get(reason.key)
            if not reason.told_elsewhere and (last is None or now - last >= REPEAT_S):
                self._say(f"degraded: {reason.text}")
        going_on = {reason.key for reason in reasons}
        lately = {key: last for key, last in self._told.items() if now - last < REPEAT_S}
        # What goes on is not told again, what begins again is after a while.
        self._told = {**lately, **dict.fromkeys(going_on, now)}


def _unwritten(key: str, log: EventLog | None, what: str, noun: str) -> list[Reason]:
    if log is None or not log.spooled:
        return []
    text = (
        f"{log.path}: {what} can't be written ({number(log.spooled, noun)} waiting in memory, "
        f"{log.lost:,} lost): make room, or see to its folder and permissions"
    )
    return [Reason(key, text)]


def _counted(evidence: EvidenceStore | None) -> dict[str, int] | None:
    if evidence is None:
        return None
    return {name: getattr(evidence, name) for name in ("written", "failures", "deleted")}


def _drift(watch: Watch) -> Drift:
    bundle = getattr(watch.detector, "bundle", None)
    tasks = tuple(task.name for task in watch.detector.tasks)
    return Drift(label(watch), tasks, bundle.manifest if bundle else {}, watch.scores)
