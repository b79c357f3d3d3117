"""Compares what two models have told: incidents that both found, and those that only one did.

An incident of the one is found by the other if that has an incident of the same task, role and
address while it was open: from its first packet to a minute after its last one, as long as an
incident waits for more (`docs/semantics.md` 14).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sensor.alerts.incident import QUIET_NS
from sensor.quantities import number
from sensor.reporting.alert_log import Alert

INCIDENTS = 100_000
"""Of each side that are held; what comes later is only counted."""

_QUIET = timedelta(microseconds=QUIET_NS // 1_000)


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident, as far as it was told.

    Attributes:
        task, role, address: what it is about.
        first, last: times of its first and its last packet.
        flows: distinct positive flows.
        score: the highest one.
    """

    task: str
    role: str
    address: str
    first: datetime
    last: datetime
    flows: int
    score: float

    @property
    def until(self) -> datetime:
        """When it was over."""
        return self.last + _QUIET

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "task": self.task,
            "role": self.role,
            "address": self.address,
            "first_packet": self.first.isoformat(),
            "last_packet": self.last.isoformat(),
            "flows": self.flows,
            "score": round(self.score, 4),
        }


@dataclass(slots=True)
class Told:
    """What one side has told.

    Attributes:
        incidents: the first `INCIDENTS`, by their names.
        left_out: events of others.
        models: names and versions of the models, in order of appearance.
        begins, ends: times of the first and the last alert.
        withheld: alerts that were kept out of the log, whose incidents may be missing here.
    """

    incidents: dict[str, Incident] = field(default_factory=dict)
    left_out: int = 0
    models: dict[str, None] = field(default_factory=dict)
    begins: datetime | None = None
    ends: datetime | None = None
    withheld: int = 0

    def add(self, name: str, incident: Incident) -> None:
        """Takes in an incident, or what has become of one."""
        if name in self.incidents or len(self.incidents) < INCIDENTS:
            self.incidents[name] = incident
        else:
            self.left_out += 1


def told(alerts: Iterable[Alert], since: datetime | None = None) -> Told:
    """The incidents of an alert log that bundles found; those of the counting rule are left out.

    Args:
        alerts: of the log, in its order.
        since: what was told before is left out.
    """
    found = Told()
    for alert in alerts:
        if since is not None and alert.time < since:
            continue
        if alert.event == "withheld":
            count = alert.multa.get("alerts")
            found.withheld += count if isinstance(count, int) else 0
            continue
        if "sha256" not in alert.multa["model"]:
            continue
        found.begins, found.ends = found.begins or alert.time, alert.time
        found.models[f"{alert.model} {alert.multa['model'].get('version', '')}".strip()] = None
        incident = Incident(
            alert.task,
            alert.multa["role"],
            alert.address,
            alert.first_packet,
            alert.last_packet,
            alert.multa["flows"],
            float(alert.multa["score"]),
        )
        found.add(alert.alert_id, incident)
    return found


@dataclass(frozen=True, slots=True)
class Matched:
    """Incidents of two sides, each with whether the other side found it too."""

    a: tuple[tuple[Incident, bool], ...]
    b: tuple[tuple[Incident, bool], ...]

    @property
    def both(self) -> int:
        """How many of the first side the second found too."""
        return sum(found for _, found in self.a)

    @property
    def only_a(self) -> list[Incident]:
        """Those that the second side missed, in order of time."""
        return _missed(self.a)

    @property
    def only_b(self) -> list[Incident]:
        """Those that the first side missed, in order of time."""
        return _missed(self.b)

    @property
    def tasks(self) -> list[str]:
        """All tasks of the incidents, in order."""
        return sorted({incident.task for incident, _ in (*self.a, *self.b)})

    def of(self, task: str) -> "Matched":
        """Those of one task."""
        return Matched(
            tuple(each for each in self.a if each[0].task == task),
            tuple(each for each in self.b if each[0].task == task),
        )

    def document(self) -> dict[str, int]:
        """Their numbers as JSON."""
        return {
            "a": len(self.a),
            "b": len(self.b),
            "both": self.both,
            "only_a": len(self.only_a),
            "only_b": len(self.only_b),
        }


def match(a: Sequence[Incident], b: Sequence[Incident]) -> Matched:
    """Which incidents of each side the other one found too."""
    return Matched(
        tuple(zip(a, _found(a, b), strict=True)), tuple(zip(b, _found(b, a), strict=True))
    )


def _found(these: Sequence[Incident], others: Sequence[Incident]) -> Iterator[bool]:
    """Whether one of the others is about the same and was open at the same time."""
    about: dict[tuple[str, str, str], list[Incident]] = defaultdict(list)
    for other in sorted(others, key=_begin):
        about[other.task, other.role, other.address].append(other)
    # For every incident the latest end of it and of those that began before it.
    spans = {
        key: ([other.first for other in group], list(accumulate((x.until for x in group), max)))
        for key, group in about.items()
    }
    for this in these:
        begins, ends = spans.get((this.task, this.role, this.address), ([], []))
        begun = bisect_right(begins, this.until)
        yield begun > 0 and ends[begun - 1] >= this.first


def _missed(side: Iterable[tuple[Incident, bool]]) -> list[Incident]:
    return sorted((incident for incident, found in side if not found), key=_begin)


def _begin(incident: Incident) -> datetime:
    return incident.first


def verdict(matched: Matched, a: str, b: str) -> str:
    """What follows from the incidents, in a sentence or two.

    Args:
        matched: the incidents.
        a: what the first side is called, the one in use.
        b: what the second side is called, which might take its place.
    """
    missed, new = matched.only_a, matched.only_b
    known = number(len(matched.a), "incident")
    if not matched.a and not new:
        return (
            f"Neither {a} nor {b} found an incident, so nothing is known yet of what they detect. "
            "Compare them on traffic with attacks in it."
        )
    if not missed and not new:
        return f"{b} found what {a} found, {known} and no other: it can take its place."
    if not missed:
        begins = f"{b} found all of {a} ({known})" if matched.a else f"{a} found nothing"
        return (
            f"{begins}, and {b} {number(len(new), 'incident')} more ({_tasks(new)}). Look at "
            "these: if they are attacks it is better, if not it will raise that many false alarms."
        )
    misses = f"{b} missed {len(missed)} of {known} of {a} ({_tasks(missed)})"
    if not new:
        return f"{misses} and found no other. Keep {a}, unless these were false alarms."
    return (
        f"{misses}, and found {len(new)} that {a} did not ({_tasks(new)}). Look at both lists "
        "before one takes the place of the other."
    )


def _tasks(incidents: Sequence[Incident]) -> str:
    return ", ".join(sorted({incident.task for incident in incidents}))
