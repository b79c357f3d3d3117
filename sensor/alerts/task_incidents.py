"""Gathers positive rows of a task into incidents (`docs/semantics.md` 14).

An incident belongs to a task and an address. What is found is a function of the stream of rows
alone; how rows are batched does not matter.

A positive row belongs to the open incident of its address if it is decided no later than the
incident's deadline: 60 s after its last row, or 1 h after it opened if that is earlier. Any other
positive row is *remembered*. It opens an incident if it and the remembered rows of its address
that are at most `open_seconds` older (exactly as old counts) are at least `open_rows` rows of
`open_flows` distinct flows; these are then the incident's first rows. A row never counts for two
incidents.

A flow's first sequence counts once: where its early row was positive, the row that scores it
again is left out. (That row may come minutes later, when the incident of the first has ended.)

An incident is updated when its distinct flows reach 10, 100, 1,000, … as far as that is more than
the `open_flows` with which it started.

Memory is bounded, whatever the traffic. After every `EPOCH_ROWS`-th positive row

- rows beyond the `REMEMBERED_ROWS` latest remembered ones are forgotten;
- incidents beyond `OPEN_INCIDENTS` end as ``evicted``, those silent for longest first;

and `sensor.alerts.positives.CountedFlows` says when a flow may be counted twice.
"""

import heapq
from bisect import bisect_right
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.allow import AllowList
from sensor.alerts.event import (
    EVIDENCE,
    ROW_FLAGS,
    Address,
    EndReason,
    FlowEvidence,
    IncidentEvent,
    evidence_type,
    with_packets,
)
from sensor.alerts.evidence import hold_limit, keep
from sensor.alerts.home import HomeNetworks, HomeTally
from sensor.alerts.incident import LONGEST_NS, QUIET_NS, Incident, Segment
from sensor.alerts.kept_rows import KeptRows
from sensor.alerts.positives import CountedFlows, PositiveRows
from sensor.errors import BundleError
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import FeatureSchema, TaskSpec

SAMPLE_FLOWS = 5

EPOCH_ROWS = 4_096
REMEMBERED_ROWS = 8_192
OPEN_INCIDENTS = 4_096

NEVER_NS = 2**63 - 1


class Identity(Protocol):
    """What incidents ask of a detector; `sensor.pipeline.Detector` is one."""

    @property
    def name(self) -> str:
        """That events bear."""

    @property
    def version(self) -> str:
        """Of its model."""

    @property
    def model_sha256(self) -> str:
        """Of the file of its model."""

    @property
    def fingerprint(self) -> str:
        """Of its features."""

    @property
    def tasks(self) -> tuple[TaskSpec, ...]:
        """In the order of its scores."""


class TaskIncidents:
    """Incidents of one task.

    Attributes:
        allowed: rows that were positive and that a rule allowed.
        incidents_evicted: incidents that ended because too many were open.
        rows_forgotten: positive rows that were forgotten because too many had opened no incident.
        evidence_given_up: incidents that gave up the rows that they kept.
        replaced: whether another detector finds what goes on, so that incidents end as ``reload``.
    """

    def __init__(
        self,
        detector: Identity,
        index: int,
        home: HomeNetworks | None,
        schema: FeatureSchema | None,
    ) -> None:
        self._detector, self._index, self._task = detector, index, detector.tasks[index]
        self._home, self._schema = home, schema
        self._kind = with_packets(schema) if schema else EVIDENCE
        self._rule = rule = self._task.incident
        wanted = (rule.open_flows, rule.open_rows)
        if not (all(0 < each <= REMEMBERED_ROWS for each in wanted) and rule.open_seconds > 0):
            raise BundleError(
                f"{detector.name}: task {self._task.name} opens incidents at {rule.open_flows} "
                f"flows and {rule.open_rows} rows in {rule.open_seconds} s; use 1 to "
                f"{REMEMBERED_ROWS} of each in at least 1 s"
            )
        self._least_rows = max(wanted)
        self._threshold = np.float32(self._task.threshold)
        self._window_ns = rule.open_seconds * 10**9
        self.allowed = self.incidents_evicted = 0
        self.rows_forgotten = self.evidence_given_up = 0
        self.replaced = False
        self.restart()

    def restart(self) -> None:
        """Forgets everything but the counters."""
        self._rows = 0
        self._serial = 0
        self._remembered = np.zeros(0, self._kind)
        self._open: dict[Address, Incident] = {}
        self._next_deadline_ns = NEVER_NS  # a lower bound, as deadlines only move away
        self._counted = CountedFlows()
        self._scored = CountedFlows()
        self._events: list[IncidentEvent] = []

    def add(
        self, batch: SequenceBatch, scores: NDArray[np.float32], allow: AllowList | None
    ) -> None:
        """Takes in the positive rows of a batch, but those of allowed flows."""
        positive = np.flatnonzero(scores >= self._threshold)
        if allow and allow.rules:
            permitted = allow.permits(self._task.name, batch, positive)
            self.allowed += int(np.count_nonzero(permitted))
            positive = positive[~permitted]
        positive = self._once(batch, positive)
        if not (self._rows or self._schema):
            self._remembered = np.zeros(0, evidence_type(batch))
        while positive.size:
            rows, positive = np.split(positive, [EPOCH_ROWS - self._rows % EPOCH_ROWS])
            first_ns, last_ns = batch.decided_ns[rows[[0, -1]]].tolist()
            self._forget_before(first_ns - self._window_ns)
            self._take_in(PositiveRows(self._rule, self._remembered, batch, rows, scores[rows]))
            self._forget_before(last_ns - self._window_ns)
            self._rows += rows.size
            if self._rows % EPOCH_ROWS == 0:
                self._hold_limits(last_ns)

    def _once(self, batch: SequenceBatch, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Leaves out rows that score a flow's first sequence again after it was positive."""
        first = np.flatnonzero(batch.sequence_index[rows] == 0)
        if not first.size:
            return rows
        ordinals = batch.flow_ordinal[rows[first]]
        new = self._scored.count(ordinals, np.ones_like(ordinals))
        again = first[~new & (batch.row[rows[first]] > 0)]
        return np.delete(rows, again) if again.size else rows

    def expire(self, clock_ns: int) -> None:
        """Ends the incidents whose deadline is before `clock_ns`."""
        if clock_ns <= self._next_deadline_ns:
            return
        for incident in [i for i in self._open.values() if i.deadline_ns < clock_ns]:
            self._end(incident)
        self._next_deadline_ns = min((i.deadline_ns for i in self._open.values()), default=NEVER_NS)

    def retire(self, time_ns: int) -> None:
        """Ends every open incident, at its own deadline or at `time_ns` if that is earlier."""
        self.expire(time_ns)
        for incident in self._open.values():
            self._report("end", incident, time_ns, "reload")
        self._open.clear()

    def take_events(self) -> list[IncidentEvent]:
        """The events since the last call, in no particular order."""
        events, self._events = self._events, []
        return events

    def _forget_before(self, time_ns: int) -> None:
        first = np.searchsorted(self._remembered["decided_ns"], time_ns)
        self._remembered = self._remembered[first:]

    def _hold_limits(self, now_ns: int) -> None:
        self.expire(now_ns)
        if (excess := self._remembered.size - REMEMBERED_ROWS) > 0:
            self._remembered = self._remembered[excess:]
            self.rows_forgotten += excess
        if (excess := len(self._open) - OPEN_INCIDENTS) > 0:
            for incident in heapq.nsmallest(
                excess, self._open.values(), key=lambda incident: incident.row_position
            ):
                del self._open[incident.address]
                self._report("end", incident, now_ns, "evicted")
            self.incidents_evicted += excess
        if self._schema:
            self.evidence_given_up += hold_limit(self._open.values())

    def _take_in(self, rows: PositiveRows) -> None:
        taken = np.zeros(len(rows), np.bool_)
        segments: list[Segment] = []
        pauses = (np.flatnonzero(np.diff(rows.time) > QUIET_NS) + 1).tolist()
        # Addresses with a new row and, without open incidents, enough rows to open one.
        asked = rows.position[rows.stops - 1] >= rows.remembered
        if not self._open:
            asked &= rows.stops - rows.starts >= self._least_rows
        starts, stops = rows.starts[asked], rows.stops[asked]
        words = [column[starts].tolist() for column in rows.address]
        for version, high, low, start, stop in zip(
            *words, starts.tolist(), stops.tolist(), strict=True
        ):
            address = (version, high, low)
            if stop - start >= self._least_rows or address in self._open:
                left = self._assign(rows, address, (start, stop), pauses, segments)
                taken[start:left] = True
        if segments:
            self._account(rows, segments)
        self._remembered = rows.without(taken)

    def _assign(
        self,
        rows: PositiveRows,
        address: Address,
        span: tuple[int, int],
        pauses: list[int],
        segments: list[Segment],
    ) -> int:
        """Appends the segments of one address; returns where the rows left over begin."""
        start, stop = span
        incident = self._open.get(address)
        while start < stop:
            if incident is None:
                start, opening = self._opening(rows, start, stop)
                if opening < 0:
                    return start
                incident = self._begin(rows, address, start, opening)
                segments.append(Segment(incident, start, opening + 1, opens=True))
            elif rows.time[start] > incident.deadline_ns:
                if segments and segments[-1].incident is incident:
                    segments[-1].ends = True  # its last rows have not been accounted for yet
                    del self._open[address]
                else:
                    self._end(incident)
                incident = None
                continue
            else:
                pause = bisect_right(pauses, start)
                until = min(stop, pauses[pause]) if pause < len(pauses) else stop
                longest_ns = incident.opened_ns + LONGEST_NS
                until = start + int(np.searchsorted(rows.time[start:until], longest_ns, "right"))
                segments.append(Segment(incident, start, until, opens=False))
            start = segments[-1].stop
            incident.row_ns = int(rows.time[start - 1])
            incident.row_position = self._rows + int(rows.position[start - 1]) - rows.remembered
        return start

    def _opening(self, rows: PositiveRows, start: int, stop: int) -> tuple[int, int]:
        """The row that opens an incident, after the first row in its window; −1 if none does.

        Without one, the first row is that in the window of the last row.
        """
        if self._least_rows == 1:
            return start, start
        times, ordinals = rows.time[start:stop].tolist(), rows.ordinal[start:stop].tolist()
        rows_of_flow: dict[int, int] = {}
        window = 0
        for index, (time_ns, ordinal) in enumerate(zip(times, ordinals, strict=True)):
            rows_of_flow[ordinal] = rows_of_flow.get(ordinal, 0) + 1
            while times[window] < time_ns - self._window_ns:
                rows_of_flow[ordinals[window]] -= 1
                if not rows_of_flow[ordinals[window]]:
                    del rows_of_flow[ordinals[window]]
                window += 1
            enough = len(rows_of_flow) >= self._rule.open_flows
            if enough and index + 1 - window >= self._least_rows:
                return start + window, start + index
        return start + window, -1

    def _begin(self, rows: PositiveRows, address: Address, start: int, opening: int) -> Incident:
        self._serial += 1
        opened_ns = int(rows.time[opening])
        incident = Incident(
            address,
            self._serial,
            opened_ns,
            first_packet_ns=int(rows.column("first_packet_ns")[start : opening + 1].min()),
            next_update=10 ** len(str(self._rule.open_flows)),
            row_ns=opened_ns,
            home=HomeTally(self._home, address) if self._home else None,
            kept=KeptRows(self._schema, self._kind) if self._schema else None,
        )
        self._open[address] = incident
        self._next_deadline_ns = min(self._next_deadline_ns, incident.deadline_ns)
        return incident

    def _account(self, rows: PositiveRows, segments: list[Segment]) -> None:
        """Adds the rows of all segments to their incidents; reports what happens on the way."""
        new = self._newly_counted(rows, segments)
        last_packet = rows.column("last_packet_ns")
        ends = self._home.ends(rows) if self._home else None
        flagged_before = np.zeros((len(rows) + 1, len(ROW_FLAGS)), np.int64)
        flags = rows.flags()
        for flag in np.flatnonzero(flags.any(axis=0)).tolist():
            np.cumsum(flags[:, flag], out=flagged_before[1:, flag])
        for segment in segments:
            incident, start, stop = segment.incident, segment.start, segment.stop
            while start < stop:
                until, flows = stop, int(np.count_nonzero(new[start:stop]))
                if grows := not segment.opens and incident.flows + flows >= incident.next_update:
                    flows = incident.next_update - incident.flows
                    until = start + int(np.searchsorted(np.cumsum(new[start:stop]), flows)) + 1
                incident.flows += flows
                incident.rows += until - start
                incident.flagged += flagged_before[until] - flagged_before[start]
                incident.row_ordinal = int(rows.ordinal[until - 1])
                incident.last_packet_ns = max(
                    incident.last_packet_ns, int(last_packet[start:until].max())
                )
                if (score := float(rows.score[start:until].max())) > incident.score:
                    incident.score = score
                    incident.worst = rows.record(start + int(rows.score[start:until].argmax()))
                if incident.home and ends:
                    incident.home.add(ends, start + np.flatnonzero(new[start:until]))
                if missing := SAMPLE_FLOWS - len(incident.sample):
                    first = start + np.flatnonzero(new[start:until])[:missing]
                    incident.sample += [rows.record(index) for index in first.tolist()]
                if segment.opens:
                    self._report("start", incident, incident.opened_ns)
                elif grows:
                    incident.next_update *= 10
                    self._report("update", incident, int(rows.time[until - 1]))
                start = until
            if segment.ends:
                self._report_end(incident)
        if self._schema:
            keep(rows, segments)

    def _newly_counted(self, rows: PositiveRows, segments: list[Segment]) -> NDArray[np.bool_]:
        """Marks the rows with which a flow is counted for the first time by its incident."""
        serial = np.zeros(len(rows), np.int64)
        counted_at = rows.position.copy()
        opening = [segment for segment in segments if segment.opens]
        for segment in segments:
            serial[segment.start : segment.stop] = segment.incident.serial
        for segment in opening:
            # Until then, nobody could know that these rows would be counted.
            counted_at[segment.start : segment.stop] = counted_at[segment.stop - 1]
        counted = np.flatnonzero(serial)
        counted = counted[np.argsort(counted_at[counted], kind="stable")]
        new = np.zeros(len(rows), np.bool_)
        new[counted] = self._counted.count(rows.ordinal[counted], serial[counted])
        for segment in opening:
            _, first = np.unique(rows.ordinal[segment.start : segment.stop], return_index=True)
            new[segment.start : segment.stop] = False
            new[segment.start + first] = True
        return new

    def _end(self, incident: Incident) -> None:
        del self._open[incident.address]
        self._report_end(incident)

    def _report_end(self, incident: Incident) -> None:
        quiet = incident.deadline_ns == incident.row_ns + QUIET_NS
        reason: EndReason = "reload" if self.replaced else "quiet" if quiet else "longest"
        self._report("end", incident, incident.deadline_ns, reason)

    def _report(
        self,
        kind: Literal["start", "update", "end"],
        incident: Incident,
        time_ns: int,
        reason: EndReason = "",
    ) -> None:
        worst = FlowEvidence.of(incident.worst)
        self._events.append(
            IncidentEvent(
                kind=kind,
                detector=self._detector.name,
                version=self._detector.version,
                model_sha256=self._detector.model_sha256,
                fingerprint=self._detector.fingerprint,
                task=self._task,
                task_index=self._index,
                address=incident.address,
                time_ns=time_ns,
                opened_ns=incident.opened_ns,
                first_packet_ns=incident.first_packet_ns,
                last_packet_ns=incident.last_packet_ns,
                flows=incident.flows,
                rows=incident.rows,
                flagged=tuple(incident.flagged.tolist()),
                worst=worst,
                sample=tuple(map(FlowEvidence.of, incident.sample)),
                flow_ordinal=incident.row_ordinal,
                reason=reason,
                home=incident.home.view(worst) if incident.home else None,
                kept=incident.kept,
            )
        )
