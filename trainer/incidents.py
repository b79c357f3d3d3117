"""Incidents found, missed and false, by the sensor's own tracker.

An attack is a (task, address) whose attack flows have packets less than a minute apart: what the
tracker makes of the labels when a single flow opens an incident, with those joined that it takes
apart because a row was decided late. The model's incidents are what it makes of the model's
positive rows by the task's rule. One that shares an address and any time with an attack has found
it; one that shares none is false.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.event import Address, IncidentEvent
from sensor.alerts.incidents import QUIET_NS, IncidentTracker
from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.labels import MASKED


@dataclass(frozen=True)
class IncidentFigures:
    """Incidents of one task.

    Attributes:
        attacks: in truth.
        found: of these, with at least one incident.
        too_small: of the attacks not found, those of fewer flows than open an incident.
        false: incidents without an attack.
        repeated: incidents about attacks that an earlier one is about.
        seconds_to_alert: for every attack found, packet time from its first packet to the alert.
    """

    attacks: int
    found: int
    too_small: int
    false: int
    repeated: int
    seconds_to_alert: tuple[float, ...]

    @property
    def missed(self) -> int:
        """Attacks without an incident."""
        return self.attacks - self.found


@dataclass(frozen=True)
class _Span:
    """An incident from its first to its last packet."""

    address: Address
    first_ns: int
    last_ns: int
    opened_ns: int
    flows: int

    def meets(self, other: "_Span") -> bool:
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


def incident_figures(
    dataset: Dataset,
    tasks: Sequence[TaskSpec],
    labels: NDArray[np.int8],
    scores: NDArray[np.floating],
) -> list[IncidentFigures]:
    """Compares incidents with attacks, source by source.

    Args:
        dataset: rows of whole sources, in their order.
        tasks: with the thresholds that apply.
        labels: ``(rows, tasks)``; rows that are masked count neither for nor against.
        scores: ``(rows, tasks)`` calibrated.
    """
    known = np.where(labels == MASKED, np.nan, scores).astype(np.float32)
    truth = np.where(labels == 1, 1.0, np.nan).astype(np.float32)
    exact = tuple(
        replace(task, threshold=0.5, incident=replace(task.incident, open_flows=1))
        for task in tasks
    )
    attacks: list[list[list[_Span]]] = []
    incidents: list[list[list[_Span]]] = []
    for source in np.unique(dataset.source):
        rows = dataset.source == source
        attacks.append([_joined(spans) for spans in _track(dataset, rows, exact, truth)])
        incidents.append(_track(dataset, rows, tuple(tasks), known))
    return [
        _figures(task, [each[i] for each in attacks], [each[i] for each in incidents])
        for i, task in enumerate(tasks)
    ]


def _figures(
    task: TaskSpec, attacks: list[list[_Span]], incidents: list[list[_Span]]
) -> IncidentFigures:
    found = too_small = total = false = repeated = 0
    seconds = []
    for its_attacks, its_incidents in zip(attacks, incidents, strict=True):
        total += len(its_attacks)
        for attack in its_attacks:
            finds = [incident.opened_ns for incident in its_incidents if incident.meets(attack)]
            if finds:
                found += 1
                repeated += len(finds) - 1
                seconds.append((min(finds) - attack.first_ns) / 1e9)
            elif attack.flows < task.incident.open_flows:
                too_small += 1
        false += sum(not any(i.meets(a) for a in its_attacks) for i in its_incidents)
    return IncidentFigures(total, found, too_small, false, repeated, tuple(seconds))


def _joined(spans: list[_Span]) -> list[_Span]:
    """Joins spans of one address whose packets are less than a minute apart."""
    joined: list[_Span] = []
    for span in sorted(spans, key=lambda each: (each.address, each.first_ns)):
        last = joined[-1] if joined else None
        if last and last.address == span.address and span.first_ns - last.last_ns <= QUIET_NS:
            joined[-1] = replace(
                last, last_ns=max(last.last_ns, span.last_ns), flows=last.flows + span.flows
            )
        else:
            joined.append(span)
    return joined


def _track(
    dataset: Dataset,
    rows: NDArray[np.bool_],
    tasks: tuple[TaskSpec, ...],
    scores: NDArray[np.float32],
) -> list[list[_Span]]:
    """Spans of the incidents of each task in one source."""
    tracker = IncidentTracker(_Scored("evaluation", dataset.schema.fingerprint(), tasks))
    tracker.add(dataset.batch.take(rows), scores[rows])
    spans: list[list[_Span]] = [[] for _ in tasks]
    opened: dict[tuple[int, Address], IncidentEvent] = {}
    for event in tracker.finish():
        key = (event.task_index, event.address)
        if event.kind == "start":
            opened[key] = event
        elif event.kind == "end":
            start = opened.pop(key)
            span = _Span(
                event.address,
                start.first_packet_ns,
                event.last_packet_ns,
                start.time_ns,
                event.flows,
            )
            spans[event.task_index].append(span)
    return spans
