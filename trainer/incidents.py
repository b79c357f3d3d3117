"""Incidents found, missed and false, by the sensor's own tracker.

An *attack* is what the tracker makes of the labels themselves by the task's rule, joined where the
packets are less than a minute apart: what perfect scores would raise. Attack flows that are in
none (a flood of too few flows to an address, or one whose addresses the task's role tells apart)
are counted as *scattered*. A model's incident that shares address and time with attack flows,
scattered ones too, is right; any other is *false*.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.event import Address, IncidentEvent
from sensor.alerts.incidents import QUIET_NS, IncidentTracker
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import IncidentRule, TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.labels import MASKED


@dataclass(frozen=True)
class IncidentFigures:
    """Incidents of one task.

    Attributes:
        attacks: that perfect scores would raise.
        found: of these, with at least one incident.
        false: incidents without attack flows.
        false_minutes: packet time that those were open, from their first alert to their last.
        repeated: incidents about attacks that an earlier one is about.
        scattered_flows: attack flows that are in no attack.
        seconds_to_alert: for every attack found, packet time from its first packet to the alert.
        seconds_at_best: the same of perfect scores, for every attack.
        seconds_behind: for every attack found, how much later than by perfect scores.
    """

    attacks: int
    found: int
    false: int
    false_minutes: float
    repeated: int
    scattered_flows: int
    seconds_to_alert: tuple[float, ...]
    seconds_at_best: tuple[float, ...]
    seconds_behind: tuple[float, ...]

    @property
    def missed(self) -> int:
        """Attacks without an incident."""
        return self.attacks - self.found


@dataclass(frozen=True)
class Span:
    """An incident from its first to its last packet, and from its first to its last alert."""

    address: Address
    first_ns: int
    last_ns: int
    opened_ns: int
    ended_ns: int
    flows: int

    def meets(self, other: "Span") -> bool:
        """Whether both are about one address and share some time."""
        return (
            self.address == other.address
            and self.first_ns <= other.last_ns
            and other.first_ns <= self.last_ns
        )


@dataclass(frozen=True)
class _Scored:
    """A detector as far as a tracker is concerned."""

    name: str
    fingerprint: str
    tasks: tuple[TaskSpec, ...]
    version: str = ""
    model_sha256: str = ""


def incident_figures(
    dataset: Dataset, task: TaskSpec, labels: NDArray[np.int8], scores: NDArray[np.floating]
) -> IncidentFigures:
    """Compares incidents with attacks, source by source.

    Args:
        dataset: rows of whole sources, in their order.
        task: with the threshold that applies.
        labels: ``(rows,)``; rows that are masked count neither for nor against.
        scores: ``(rows,)`` calibrated.
    """
    total = found = false = repeated = scattered = 0
    minutes, seconds, at_best, behind = 0.0, [], [], []
    for source in np.unique(dataset.source):
        rows = np.flatnonzero(dataset.source == source)
        part, truth = dataset.take(rows), np.where(labels[rows] == 1, 1.0, np.nan)
        attacks = joined(track(part, task, truth))
        single = replace(task, incident=replace(task.incident, open_flows=1, open_rows=1))
        touched = joined(track(part, single, truth))
        incidents = track(part, task, np.where(labels[rows] == MASKED, np.nan, scores[rows]))
        total += len(attacks)
        scattered += _scattered(part, task, labels[rows] == 1, attacks)
        for attack in attacks:
            at_best.append((attack.opened_ns - attack.first_ns) / 1e9)
            finds = [incident.opened_ns for incident in incidents if incident.meets(attack)]
            if finds:
                found += 1
                repeated += len(finds) - 1
                seconds.append((min(finds) - attack.first_ns) / 1e9)
                behind.append((min(finds) - attack.opened_ns) / 1e9)
        wrong = _untouched(incidents, touched)
        false += len(wrong)
        minutes += sum(incident.ended_ns - incident.opened_ns for incident in wrong) / 60e9
    return IncidentFigures(
        total,
        found,
        false,
        round(minutes, 4),
        repeated,
        scattered,
        tuple(seconds),
        tuple(at_best),
        tuple(behind),
    )


def incidents_about(
    dataset: Dataset,
    task: TaskSpec,
    scores: NDArray[np.floating],
    rows: NDArray[np.bool_],
) -> int:
    """Incidents of a task that rows ``(rows,)`` of another kind have raised.

    Args:
        dataset: rows of whole sources, in their order.
        task: with the threshold that applies.
        scores: ``(rows,)`` calibrated.
        rows: those of the other kind, such as scans.
    """
    count = 0
    for source in np.unique(dataset.source[rows]):
        own = np.flatnonzero((dataset.source == source) & rows)
        count += len(track(dataset.take(own), task, scores[own]))
    return count


def _untouched(incidents: list[Span], touched: list[Span]) -> list[Span]:
    """Incidents that share address and time with no attack flow."""
    addresses = {span.address for span in touched}
    return [
        incident
        for incident in incidents
        if incident.address not in addresses or not any(map(incident.meets, touched))
    ]


def track(dataset: Dataset, task: TaskSpec, scores: NDArray[np.floating]) -> list[Span]:
    """Incidents of a task in one source by scores ``(rows,)``, of which NaN never counts."""
    tracker = IncidentTracker(_Scored("evaluation", dataset.schema.fingerprint(), (task,)))
    tracker.add(dataset.batch, scores.astype(np.float32)[:, None])
    spans: list[Span] = []
    opened: dict[Address, IncidentEvent] = {}
    for event in tracker.finish():
        if event.kind == "start":
            opened[event.address] = event
        elif event.kind == "end":
            start = opened.pop(event.address)
            times = (start.first_packet_ns, event.last_packet_ns, start.time_ns, event.time_ns)
            spans.append(Span(event.address, *times, event.flows))
    return spans


def joined(spans: list[Span]) -> list[Span]:
    """Joins spans of one address whose packets are less than a minute apart."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.address, each.first_ns)):
        last = result[-1] if result else None
        if last and last.address == span.address and span.first_ns - last.last_ns <= QUIET_NS:
            result[-1] = replace(
                last, last_ns=max(last.last_ns, span.last_ns), flows=last.flows + span.flows
            )
        else:
            result.append(span)
    return result


def opening_scores(
    dataset: Dataset, task: TaskSpec, labels: NDArray[np.int8], scores: NDArray[np.floating]
) -> tuple[list[float], list[float]]:
    """The highest thresholds at which incidents open: of benign traffic, and of each attack.

    Benign traffic is that of addresses while no attack flow of the task is about them (a client
    that meets a flooded server may look like the flood: its flows join an incident, they do not
    make a false one). Held against half as many flows as open an incident, it keeps a distance.

    Args:
        dataset: rows of whole sources, in their order.
        task: whose rule applies; its threshold does not.
        labels: ``(rows,)``; rows that are masked are left out.
        scores: ``(rows,)`` calibrated.

    Returns:
        For every benign address, and for every attack, the score at which its incident opens;
        0 where none does.
    """
    rule = task.incident
    benign: list[float] = []
    attack: list[float] = []
    single = replace(task, threshold=0.5, incident=replace(rule, open_flows=1, open_rows=1))
    half = replace(rule, open_flows=math.ceil(rule.open_flows / 2))
    for source in np.unique(dataset.source):
        rows = np.flatnonzero(dataset.source == source)
        part = dataset.take(rows)
        truth = np.where(labels[rows] == 1, 1.0, np.nan)
        touched = _by_address(joined(track(part, single, truth)))
        by_rule = _by_address(joined(track(part, replace(task, threshold=0.5), truth)))
        addresses = role_addresses(part.batch, task)
        keys, number = np.unique(addresses, axis=0, return_inverse=True)
        order = np.argsort(number.reshape(-1), kind="stable")
        edges = np.cumsum(np.bincount(number.reshape(-1), minlength=len(keys)))[:-1]
        for key, its_rows in zip(keys.tolist(), np.split(order, edges), strict=True):
            address = (key[0], key[1], key[2])
            value, first = labels[rows[its_rows]], part.batch.flow_start_ns[its_rows]
            last = part.batch.last_packet_ns[its_rows]
            quiet = value == 0
            for span in touched.get(address, ()):
                quiet &= (first > span.last_ns) | (last < span.first_ns)
            benign.append(_opening(part, its_rows[quiet], scores[rows], half))
            for span in by_rule.get(address, ()):
                flood = (value == 1) & (first >= span.first_ns) & (first <= span.last_ns)
                attack.append(_opening(part, its_rows[flood], scores[rows], rule))
    return benign, attack


def _by_address(spans: list[Span]) -> dict[Address, list[Span]]:
    found: dict[Address, list[Span]] = {}
    for span in spans:
        found.setdefault(span.address, []).append(span)
    return found


def role_addresses(batch: SequenceBatch, task: TaskSpec) -> NDArray[np.uint64]:
    """``(rows, 3)`` IP version and words of the address that an incident would be about."""
    source = np.zeros(len(batch), bool)
    if task.incident.role == "originator":
        source[:] = True
    elif task.incident.role == "reflection_victim":
        port = task.incident.service_port
        source = (batch.destination_port == port) & (batch.source_port != port)
    words = [
        np.where(source, getattr(batch, f"source_{word}"), getattr(batch, f"destination_{word}"))
        for word in ("high", "low")
    ]
    return np.stack([batch.version.astype(np.uint64), *words], axis=1)


def _scattered(
    part: Dataset, task: TaskSpec, attack_rows: NDArray[np.bool_], attacks: list[Span]
) -> int:
    """Attack flows of one source that are in none of its attacks."""
    addresses, first = role_addresses(part.batch, task), part.batch.flow_start_ns
    outside = attack_rows.copy()
    for attack in attacks:
        about = (addresses == np.array(attack.address, np.uint64)).all(axis=1)
        outside &= ~(about & (first >= attack.first_ns) & (first <= attack.last_ns))
    inside = np.unique(part.flow[attack_rows & ~outside])
    return int(np.setdiff1d(part.flow[outside], inside).size)


def _opening(
    part: Dataset,
    rows: NDArray[np.intp],
    scores: NDArray[np.floating],
    rule: IncidentRule,
) -> float:
    """The highest threshold at which some of the rows of one address open an incident."""
    least = max(rule.open_flows, rule.open_rows)
    if rows.size < least:
        return 0.0
    if least == 1:
        return float(scores[rows].max())
    time, flow = part.batch.decided_ns[rows], part.flow[rows]
    sequence = part.batch.sequence_index[rows]
    begin = np.searchsorted(time, time - rule.open_seconds * 10**9)
    best = 0.0
    for end, start in enumerate(begin):
        # A window opens nothing better than what is known unless its newest row exceeds that.
        if end + 1 - start < least or scores[rows[end]] <= best:
            continue
        by_flow: dict[int, float] = {}
        by_sequence: dict[tuple[int, int], float] = {}  # one that is scored again counts once
        for index in range(start, end + 1):
            score, its = float(scores[rows[index]]), (flow[index], sequence[index])
            if score > best:
                by_flow[its[0]] = max(score, by_flow.get(its[0], 0.0))
                by_sequence[its] = max(score, by_sequence.get(its, 0.0))
        if len(by_flow) >= rule.open_flows and len(by_sequence) >= least:
            best = min(
                sorted(by_flow.values(), reverse=True)[rule.open_flows - 1],
                sorted(by_sequence.values(), reverse=True)[least - 1],
            )
    return best
