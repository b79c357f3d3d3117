"""Which alerts a person wants to see, and how they say so."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from sensor.errors import UsageError
from sensor.reporting.alert_log import EVENTS, Alert, is_count

Network = IPv4Network | IPv6Network

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}

_DAYS = ("today", "yesterday")

_TIME_HELP = (
    "write an age like 90s, 15m, 2h, 3d or 1w, a clock time of today like 14:30, today, yesterday, "
    "or a date like 2026-11-22 or '2026-11-22 14:30', with Z or +01:00 behind it where the time is "
    "not of this machine's zone"
)


@dataclass(frozen=True)
class Choice:
    """What alerts must be to be shown; what is empty asks for nothing.

    Attributes:
        since, until: the time of the event lies in [since, until).
        tasks: one of these.
        networks: an address of the alert lies in one of these: its own, those of the flows that
            it shows, those inside at the other end.
        events: one of `EVENTS`.
        severity: as severe as this or more, which is this number or less.
        models: one of these detectors found it.
    """

    since: datetime | None = None
    until: datetime | None = None
    tasks: Sequence[str] = ()
    networks: Sequence[Network] = ()
    events: Sequence[str] = ()
    severity: int | None = None
    models: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuses what no alert can be.

        Raises:
            UsageError: the time ends before it begins.
        """
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError("--since is not before --until, so no alert lies between them")

    def takes(self, alert: Alert) -> bool:
        """Whether the alert is to be shown."""
        return (
            (self.since is None or alert.time >= self.since)
            and (self.until is None or alert.time < self.until)
            and (not self.events or alert.event in self.events)
            and (self.severity is None or alert.severity <= self.severity)
            and (not self.tasks or not set(self.tasks).isdisjoint(_tasks(alert)))
            and (not self.models or not set(self.models).isdisjoint(_models(alert)))
            and (not self.networks or any(_lies_in(a, self.networks) for a in addresses(alert)))
        )


def addresses(alert: Alert) -> Iterator[str]:
    """The addresses of an alert as text: whom it is about first, then the flows that it shows."""
    if alert.address:
        yield alert.address
    home, sample = alert.multa.get("home"), alert.multa.get("sample")
    flows = [alert.document, *(sample if isinstance(sample, list) else [])]
    for flow in flows:
        for end in ("src_ip", "dest_ip"):
            text = flow.get(end) if isinstance(flow, dict) else None
            if isinstance(text, str):
                yield text
    peers = home.get("peers") if isinstance(home, dict) else None
    yield from (peer for peer in (peers if isinstance(peers, list) else []) if type(peer) is str)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """What the values of ``--address`` name, addresses and networks.

    Raises:
        UsageError: one is neither.
    """
    return tuple(_network(part.strip()) for text in texts for part in text.split(","))


def events(texts: Sequence[str]) -> tuple[str, ...]:
    """What the values of ``--event`` name.

    Raises:
        UsageError: one is no kind of event.
    """
    found = tuple(part.strip() for text in texts for part in text.split(","))
    for each in found:
        if each not in EVENTS:
            raise UsageError(f"--event {each}: is none of {', '.join(EVENTS)}")
    return found


def _network(text: str) -> Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"--address {text}: is no address and no network; write one like 192.168.1.5 or "
            "2001:db8::/32, several with commas between them"
        ) from None


def point_in_time(option: str, text: str, now: datetime) -> datetime:
    """The time that the value of an option means, in UTC.

    Args:
        option: its name, for the error.
        text: an age before `now`, a clock time of today, ``today`` or ``yesterday``, a date, or a
            date and time; without a zone it is this machine's.
        now: with a zone.

    Raises:
        UsageError: it is none of these.
    """
    try:
        if age := re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhdw])", text.strip()):
            time = now - timedelta(seconds=float(age[1]) * _UNITS[age[2]])
        elif text in _DAYS:
            day = now.astimezone() - timedelta(days=_DAYS.index(text))
            time = datetime.fromisoformat(f"{day:%Y-%m-%d}")
        elif re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?", text):
            hour, rest = text.split(":", 1)
            time = datetime.fromisoformat(f"{now.astimezone():%Y-%m-%d}T{hour:0>2}:{rest}")
        else:
            time = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
        return time.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text}: is no time; {_TIME_HELP}") from None


def _tasks(alert: Alert) -> set[str]:
    return {alert.task} if alert.task else {task for task, _, _ in withheld(alert)}


def _models(alert: Alert) -> set[str]:
    return {alert.model} if alert.model else {model for _, model, _ in withheld(alert)}


def withheld(alert: Alert) -> Iterator[tuple[str, str, int]]:
    """Task, model and number of alerts that a line tells were withheld."""
    entries = alert.multa.get("tasks")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            counts = [entry.get(kind) for kind in ("start", "update", "end")]
            number = sum(count for count in counts if is_count(count))
            yield str(entry.get("task", "")), str(entry.get("model", "")), number


@lru_cache(maxsize=4096)
def _lies_in(text: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return any(address in network for network in networks)
