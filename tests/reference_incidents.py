"""The incident rules a second time: one row after the other, plain dicts, unbounded.

Written from `docs/semantics.md` 14 and the module's description, without its code. An event is a
dict of what the tests compare.
"""

from dataclasses import dataclass, field

SECOND = 10**9


@dataclass
class PlainRow:
    time: int
    ordinal: int
    address: tuple
    score: float
    first: int
    last: int
    number: int  # of the row in the stream, to tell rows apart
    flags: tuple = ()


@dataclass
class PlainIncident:
    address: tuple
    opened: int
    first: int
    rows: list = field(default_factory=list)
    flows: dict = field(default_factory=dict)  # ordinal -> number of the row it was counted with

    def deadline(self):
        return min(self.rows[-1].time + 60 * SECOND, self.opened + 3600 * SECOND)

    def event(self, kind, time, reason=""):
        worst = max(self.rows, key=lambda row: (row.score, -row.number))
        return {
            "kind": kind,
            "time": time,
            "address": self.address,
            "first": self.first,
            "last": max(row.last for row in self.rows),
            "flows": len(self.flows),
            "rows": len(self.rows),
            "flagged": tuple(map(sum, zip(*(row.flags for row in self.rows), strict=True))),
            "worst": worst.number,
            "score": worst.score,
            "sample": tuple(list(self.flows.values())[:5]),
            "ordinal": self.rows[-1].ordinal,
            "reason": reason,
        }

    def end(self):
        quiet = self.rows[-1].time + 60 * SECOND <= self.opened + 3600 * SECOND
        return self.event("end", self.deadline(), "quiet" if quiet else "longest")


@dataclass(frozen=True)
class Limits:
    epoch: int
    remembered: int
    incidents: int


def plain_incidents(rows, open_flows, open_seconds, open_rows=1, limits=None):
    """Events of positive rows, in the order of their times, flows and kinds."""
    events, incidents, remembered = [], {}, []

    def close(now):
        for address, incident in list(incidents.items()):
            if incident.deadline() < now:
                events.append(incident.end())
                del incidents[address]

    for count, row in enumerate(rows, 1):
        close(row.time)
        remembered = [old for old in remembered if row.time - old.time <= open_seconds * SECOND]
        if row.address in incidents:
            incident = incidents[row.address]
            before = len(incident.flows)
            incident.rows.append(row)
            incident.flows.setdefault(row.ordinal, row.number)
            after = len(incident.flows)
            if after > before and str(after).strip("0") == "1" and after >= 10:
                events.append(incident.event("update", row.time))
        else:
            remembered.append(row)
            mine = [old for old in remembered if old.address == row.address]
            if len(mine) >= open_rows and len({old.ordinal for old in mine}) >= open_flows:
                incident = PlainIncident(row.address, row.time, min(old.first for old in mine))
                for old in mine:
                    incident.rows.append(old)
                    incident.flows.setdefault(old.ordinal, old.number)
                incidents[row.address] = incident
                remembered = [old for old in remembered if old.address != row.address]
                events.append(incident.event("start", row.time))
        if limits and count % limits.epoch == 0:
            close(row.time)
            remembered = remembered[max(0, len(remembered) - limits.remembered) :]
            silent = sorted(incidents.values(), key=lambda incident: incident.rows[-1].number)
            for incident in silent[: max(0, len(silent) - limits.incidents)]:
                events.append(incident.event("end", row.time, "evicted"))
                del incidents[incident.address]
    close(float("inf"))
    kinds = ("start", "update", "end")
    return sorted(events, key=lambda e: (e["time"], e["ordinal"], kinds.index(e["kind"])))
