"""A lane: a flow table, and the detectors that look at its rows.

A detector looks at the rows that began while it was in force (`docs/semantics.md` 35): where it is
replaced, a *boundary* is drawn, and each row lies on one side of it, whichever thread asks and
whenever. So no row is lost, none is scored twice, and none by two bundles.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.agreement import Agreement
from sensor.alerts.event import IncidentEvent
from sensor.alerts.home import HomeNetworks
from sensor.alerts.incidents import IncidentTracker
from sensor.annotations.annotator import Annotator, annotator_of, least_packets
from sensor.annotations.flow_event import FlowEvents
from sensor.flows.ends import NO_ENDS, FlowEnds
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.model.schema import TaskSpec
from sensor.model.score_counts import ScoreCounts
from sensor.tables import Table

SCORED_ROWS = 4_096
"""Rows that are scored at once: a flood's batch would need tens of megabytes as it is encoded."""


class Detector(Protocol):
    """Scores rows: a bundle's network, or the counting rule.

    One that annotates flows besides is an `sensor.annotations.annotator.Annotating`.

    Attributes:
        name: tells it apart from others of the run.
        version, model_sha256: what alerts tell of it; a detector without a network has no SHA-256.
        fingerprint: of what it looks at.
        tasks: in the order of the score columns.
    """

    name: str
    version: str
    model_sha256: str
    fingerprint: str
    tasks: tuple[TaskSpec, ...]

    def score(self, batch: SequenceBatch) -> NDArray[np.float32]:
        """Calibrated scores ``(b, tasks)`` of the rows, independent of how rows are batched.

        NaN where a row does not count for a task.
        """
        ...


@dataclass(slots=True, eq=False)
class Boundary:
    """Between the rows of one detector and those of the next one, which share it.

    A row lies before it whose first packet is no later than `clock_ns`, the flow clock of the
    exchange, and which is decided no later than `until_ns`: nobody waits longer for a row.
    """

    clock_ns: int
    until_ns: int

    def holds(self, batch: SequenceBatch) -> NDArray[np.bool_]:
        """Which rows ``(b,)`` lie before it."""
        before: NDArray[np.bool_] = (batch.first_packet_ns <= self.clock_ns) & (
            batch.decided_ns <= self.until_ns
        )
        return before


@dataclass(eq=False)
class Watch:
    """A detector in force, and its incidents.

    Attributes:
        shadow: its events are not for the alert log.
        identity: equal where a new watch would do exactly what this one does.
        since, to: it looks at what lies behind the one and before the other; None is always.
        scores: how many rows were given which scores.
        agreement: of a shadow with what is in force.
        annotator: what it says of flows besides, where it has categorical tasks.
    """

    detector: Detector
    tracker: IncidentTracker
    shadow: bool = False
    identity: Hashable = None
    since: Boundary | None = None
    to: Boundary | None = None
    scores: ScoreCounts = field(init=False)
    agreement: Agreement | None = field(init=False)
    annotator: Annotator | None = field(init=False)

    def __post_init__(self) -> None:
        self.scores = ScoreCounts(len(self.detector.tasks))
        self.agreement = Agreement() if self.shadow else None
        self.annotator = annotator_of(self.detector)

    def look(self, rows: SequenceBatch, *, tell: bool = False) -> NDArray[np.float32]:
        """Its scores of rows ``(b, tasks)``; what it says of their flows is kept, and told."""
        annotator = self.annotator
        scores = annotator.look(rows, tell=tell) if annotator else self.detector.score(rows)
        self.scores.add(rows.decided_ns, scores)
        self.tracker.add(rows, scores)
        return scores

    def rows_of(self, batch: SequenceBatch) -> SequenceBatch:
        """Those rows that it looks at."""
        if self.since is None and self.to is None:
            return batch
        mine = np.ones(len(batch), np.bool_) if self.to is None else self.to.holds(batch)
        if self.since is not None:
            mine &= ~self.since.holds(batch)
        return batch if mine.all() else batch.take(mine)


class Lane:
    """Detectors that look at the same rows, and the flow table that makes these.

    Attributes:
        table: of the detectors' feature schema.
        watches: the detectors in force, and for a while those that they replaced. The thread that
            detects changes them.
        decided: rows so far by end reason, ``(len(END_REASONS),)``.
        decided_flows: how many of them were the first ones of their flows.
        looked_at, looked_at_flows: the same of rows that were given to the detectors.
        to: where the whole lane ends, if it does.
        retired: counts of the detectors that are gone, as those of `counts`.
        tells: whether what is said of flows becomes events; a shadow's does not.
        flow_events: these, since they were last taken out, in no order.
    """

    def __init__(
        self,
        table: Table,
        detectors: Sequence[Detector] = (),
        home: HomeNetworks | None = None,
    ) -> None:
        self.table = table
        self.watches = tuple(Watch(each, IncidentTracker(each, home)) for each in detectors)
        self.decided = np.zeros(len(END_REASONS), np.int64)
        self.decided_flows = self.looked_at = self.looked_at_flows = 0
        self.to: Boundary | None = None
        self.retired: Counter[str] = Counter()
        self.tells = False
        self.flow_events: list[FlowEvents] = []
        self._all_ends = table.keeps_ends  # as who made it wants them
        self.expect(())

    def expect(self, coming: Iterable[Watch]) -> None:
        """Lets the table keep the ends that are wanted by its watches, and by those that come.

        Called by the thread that captures, before these have any rows.
        """
        annotators = [each.annotator for each in (*self.watches, *coming) if each.annotator]
        self._least_packets = least_packets(annotators)
        if annotators:
            self.table.keep_ends()

    def take_ends(self) -> FlowEnds:
        """Flows that have ended since this was last asked, of which something may have been said.

        The thread that captures asks. The flows of a flood are too short for that, so none of them
        goes any further.
        """
        ends = self.table.take_ends()
        if self._all_ends:
            return ends
        if self._least_packets is None or not len(ends):
            return NO_ENDS
        long = ends.packets.sum(axis=1) >= self._least_packets
        return ends if long.all() else ends.take(long)

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """Of the watches, in their order."""
        return tuple(watch.detector for watch in self.watches)

    @property
    def trackers(self) -> tuple[IncidentTracker, ...]:
        """Of the watches, in their order."""
        return tuple(watch.tracker for watch in self.watches)

    def count(self, batch: SequenceBatch) -> None:
        """Counts rows that the table has decided."""
        self.decided += np.bincount(batch.end_reason, minlength=len(END_REASONS))
        self.decided_flows += _flows(batch)

    def detect(
        self, batch: SequenceBatch, clock_ns: int, ends: FlowEnds = NO_ENDS
    ) -> list[IncidentEvent]:
        """Scores rows of the table; the events that are then certain, in no order.

        Args:
            batch: the next rows.
            clock_ns: before which the table has decided everything.
            ends: flows that have ended, with or after all of their rows.
        """
        for start in range(0, len(batch), SCORED_ROWS):
            rows = batch.take(slice(start, start + SCORED_ROWS))
            scored = []
            for watch in self.watches:
                mine = watch.rows_of(rows)
                if len(mine):
                    tell = self.tells and not watch.shadow
                    scored.append((watch, mine, watch.look(mine, tell=tell)))
            _compare(scored)
        self.looked_at += len(batch)
        self.looked_at_flows += _flows(batch)
        self._annotate(ends)
        over = []
        for watch in self.watches:
            if watch.to is not None and watch.to.until_ns < clock_ns:
                watch.tracker.retire(watch.to.until_ns)
                over.append(watch)
        events = [
            replace(event, shadow=True) if watch.shadow else event
            for watch in self.watches
            for event in watch.tracker.release(clock_ns)
        ]
        if over:
            self.retired.update(_counts(over))
            self.watches = tuple(watch for watch in self.watches if watch not in over)
        return events

    def _annotate(self, ends: FlowEnds) -> None:
        for watch in self.watches:
            if watch.annotator:
                # One that is replaced waits no longer for an end than for a row.
                until_ns = watch.to.until_ns if watch.to else None
                mine = ends if until_ns is None else ends.take(ends.ended_ns <= until_ns)
                watch.annotator.end(mine, tell=self.tells and not watch.shadow)
                self.flow_events += watch.annotator.take_events()

    def close(self) -> list[IncidentEvent]:
        """The events that are left when no more rows come, as the whole lane has ended."""
        until_ns = self.to.until_ns if self.to else 0
        return self.detect(SequenceBatch.empty(self.table.schema.n), until_ns + 1)

    def restart(self) -> None:
        """Begins another stream, as the clock was set back: boundaries of the old one are gone."""
        self.watches = tuple(watch for watch in self.watches if watch.to is None)
        for watch in self.watches:
            watch.since = None
            watch.tracker.restart()
            if watch.annotator:
                watch.annotator.forget()

    def counts(self) -> Counter[str]:
        """What the detectors and their incidents have counted so far, those that are gone too.

        Of detectors ``scored``, ``computed`` and ``remembered`` rows, of incidents
        ``incidents_evicted``, ``rows_forgotten`` and ``rows_allowed`` (`docs/statistics.md`).
        """
        # Copied at once: another thread may be asking, for the statistics.
        counts = Counter(self.retired)
        counts.update(_counts(self.watches))
        return counts


def _compare(scored: Sequence[tuple[Watch, SequenceBatch, NDArray[np.float32]]]) -> None:
    """Compares shadows with what is in force, where both looked at the same rows."""
    for shadow, rows, scores in scored:
        if shadow.agreement:
            for active, others, its_scores in scored:
                if not active.shadow and others is rows:
                    tasks = active.detector.tasks, shadow.detector.tasks
                    shadow.agreement.add(tasks, (its_scores, scores))


def _counts(watches: Sequence[Watch]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for watch in watches:
        counts["incidents_evicted"] += watch.tracker.incidents_evicted
        counts["rows_forgotten"] += watch.tracker.rows_forgotten
        counts["rows_allowed"] += sum(watch.tracker.allowed.values())
        for name in ("scored", "computed", "remembered"):
            counts[name] += getattr(watch.detector, name, 0)
    return counts


def _flows(batch: SequenceBatch) -> int:
    """How many flows have their first row in the batch; every flow has one, in the end."""
    return int(np.count_nonzero(batch.row == 0))
