"""What a report tells of alert logs: incidents, whom they are about, what was withheld.

All that grows with the log has a bound; what is beyond it is counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sensor.reporting.alert_choice import withheld
from sensor.reporting.alert_log import Alert

INCIDENTS = 50_000
"""Incidents that are kept: more than a log of the greatest length tells of."""

ADDRESSES = 100_000
"""Addresses that are counted, for each of the tables."""

WITHHELD = 500
"""Lines about withheld alerts that are kept, the last ones."""

_TEXT = 80
"""Characters of a text that are kept; what we write is shorter, names of devices mostly are."""


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident as the last event of it in the log tells it.

    Attributes:
        alert_id, task, model: which it is, and who found it.
        version, sha256: of the model, as far as it has any.
        techniques: of MITRE ATT&CK.
        severity: 1 is the most severe.
        role, address, device: whom it is about, and what that is called.
        yours: the roles that addresses of the home network have in it; None where nobody has
            said what that is.
        first, last: times of its first packet and of its last one so far.
        score, threshold: its highest score, and from where on scores are positive.
        flows, rows: how many were positive.
        measured: whether the rows are measurements of a peer.
        state: ``open``, or why it ended.
        others: addresses at the other end of the flows that the event shows.
    """

    alert_id: str
    task: str
    model: str
    version: str
    sha256: str
    techniques: tuple[str, ...]
    severity: int
    role: str
    address: str
    device: str
    yours: tuple[str, ...] | None
    first: datetime
    last: datetime
    score: float
    threshold: float
    flows: int
    rows: int
    measured: bool
    state: str
    others: tuple[str, ...]

    @classmethod
    def of(cls, alert: Alert) -> "Incident":
        """What an event of an incident tells."""
        multa, document = alert.multa, alert.document
        home, metadata = multa.get("home"), document["alert"]["metadata"]
        roles = home.get("roles") if isinstance(home, dict) else None
        reason = multa.get("reason")
        ended = str(reason) if isinstance(reason, str) else "ended"
        return cls(
            alert_id=_short(alert.alert_id),
            task=_short(alert.task),
            model=_short(alert.model),
            version=_short(multa["model"].get("version", "")),
            sha256=_short(multa["model"].get("sha256", "")),
            techniques=tuple(_short(t) for t in _list(metadata.get("mitre_technique_id"))[:8]),
            severity=alert.severity,
            role=_short(alert.role),
            address=_short(alert.address),
            device=_short(alert.device),
            yours=tuple(_short(role) for role in roles[:2]) if isinstance(roles, list) else None,
            first=alert.first_packet,
            last=alert.last_packet,
            score=float(multa["score"]),
            threshold=float(multa["threshold"]),
            flows=multa["flows"],
            rows=multa["rows"],
            measured=alert.measured,
            state=_short(ended) if alert.event == "end" else "open",
            others=tuple(_others(alert)),
        )

    def rank(self) -> tuple[int, int, datetime]:
        """What the worst incidents have the least of."""
        return self.severity, -self.flows, self.first

    @property
    def seconds(self) -> float:
        """How long it lasted, or has lasted."""
        return (self.last - self.first).total_seconds()


@dataclass(slots=True)
class Facts:
    """What alert logs tell, event by event.

    Attributes:
        alerts: events so far, by kind.
        first, last: times of the first and of the last of them.
        incidents: by alert_id, in the order in which the log names them.
        beyond: events by task of incidents that are not kept.
        withheld: lines that tell of it, as time, number, and numbers by task.
        withheld_tasks: numbers by task of all of them.
    """

    alerts: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None
    incidents: dict[str, Incident] = field(default_factory=dict)
    beyond: Counter[str] = field(default_factory=Counter)
    withheld: list[tuple[datetime, int, dict[str, int]]] = field(default_factory=list)
    withheld_tasks: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, alerts: Iterable[Alert]) -> "Facts":
        """What all these alerts tell, later ones of an incident in place of earlier ones."""
        facts = cls()
        for alert in alerts:
            facts.add(alert)
        return facts

    def add(self, alert: Alert) -> None:
        """Takes in an event."""
        self.alerts[alert.event] += 1
        self.first = min(self.first or alert.time, alert.time)
        self.last = max(self.last or alert.time, alert.time)
        if alert.event == "withheld":
            self._withhold(alert)
        elif alert.alert_id in self.incidents or len(self.incidents) < INCIDENTS:
            self.incidents[alert.alert_id] = Incident.of(alert)
        elif alert.task in self.beyond or len(self.beyond) < ADDRESSES:
            self.beyond[alert.task] += 1

    def tasks(self) -> dict[str, list[Incident]]:
        """Incidents by task, the most severe tasks first, then those with the most incidents."""
        found: dict[str, list[Incident]] = {}
        for incident in self.incidents.values():
            found.setdefault(incident.task, []).append(incident)
        order = sorted(found, key=lambda t: (found[t][0].severity, -len(found[t]), t))
        return {task: found[task] for task in order}

    def addresses(self, role: str) -> Counter[str]:
        """Incidents by address that has a role: whom they are about, or other ends of flows.

        Args:
            role: ``victim`` or ``source``, or ``peer``, whose other ends have none.
        """
        counts: Counter[str] = Counter()
        for incident in self.incidents.values():
            if incident.role == role:
                named: tuple[str, ...] = (incident.address,)
            else:
                named = () if "peer" in (role, incident.role) else incident.others
            for address in named:
                if address in counts or len(counts) < ADDRESSES:
                    counts[address] += 1
        return counts

    def devices(self) -> Counter[str]:
        """Incidents by the name of the device that they are about."""
        return Counter(each.device for each in self.incidents.values() if each.device)

    def models(self) -> Counter[tuple[str, str, str]]:
        """Incidents by name, version and SHA-256 of what found them."""
        return Counter((each.model, each.version, each.sha256) for each in self.incidents.values())

    def _withhold(self, alert: Alert) -> None:
        counts: dict[str, int] = {}
        for task, _, count in withheld(alert):
            counts[_short(task)] = counts.get(_short(task), 0) + count
        if len(self.withheld_tasks) < ADDRESSES:
            self.withheld_tasks.update(counts)
        self.withheld.append((alert.time, sum(counts.values()), dict(list(counts.items())[:50])))
        del self.withheld[:-WITHHELD]


def _others(alert: Alert) -> Iterator[str]:
    """Addresses at the other end of the flows that an event shows, each once."""
    told = {alert.address}
    sample = _list(alert.multa.get("sample"))[:8]
    for flow in [alert.document, *sample]:
        if not isinstance(flow, dict):
            continue
        ends = [flow.get("src_ip"), flow.get("dest_ip")]
        for end in ends if alert.address in ends else []:
            if isinstance(end, str) and end not in told:
                told.add(end)
                yield _short(end)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
