"""Which alerts are shown, and how times are said."""

from datetime import datetime, timedelta, timezone
from time import tzset

import pytest
from alert_lines import NOON, alert_line, withheld_line

from sensor.errors import UsageError
from sensor.reporting.alert_choice import Choice, events, networks, point_in_time
from sensor.reporting.alert_log import parse

ALERT = parse(
    alert_line(
        5,
        address="10.0.0.2",
        source="2001:db8::7",
        sample=["192.0.2.9"],
        home={"roles": ["source"], "peers": ["172.16.0.5"], "flows": {}},
    )
)


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, True),
        ({"since": NOON + timedelta(seconds=5)}, True),
        ({"since": NOON + timedelta(seconds=5.1)}, False),
        ({"until": NOON + timedelta(seconds=5)}, False),
        ({"tasks": ["scan", "syn_dos"]}, True),
        ({"tasks": ["scan"]}, False),
        ({"events": ["end", "start"]}, True),
        ({"events": ["end"]}, False),
        ({"severity": 2}, True),
        ({"severity": 1}, False),
        ({"models": ["iot-gateway"]}, True),
        ({"models": ["counting-rule"]}, False),
        ({"networks": networks(["10.0.0.0/30"])}, True),
        ({"networks": networks(["2001:db8::/64"])}, True),
        ({"networks": networks(["192.0.2.9, 1.1.1.1"])}, True),
        ({"networks": networks(["172.16.0.0/12"])}, True),
        ({"networks": networks(["10.0.0.4/30"])}, False),
        ({"networks": networks(["::/0"]), "severity": 1}, False),
    ],
)
def test_what_is_asked_for_is_taken(asked, taken):
    assert Choice(**asked).takes(ALERT) is taken


def test_times_that_no_alert_can_lie_between_are_refused():
    with pytest.raises(UsageError, match="--since is not before --until"):
        Choice(since=NOON, until=NOON)


def test_withheld_alerts_are_of_the_tasks_and_models_that_they_count():
    alert = parse(withheld_line(scan=3, syn_dos=4))
    assert Choice(tasks=["syn_dos"]).takes(alert)
    assert not Choice(tasks=["ssdp_flood"]).takes(alert)
    assert Choice(models=["iot-gateway"]).takes(alert)
    assert not Choice(networks=networks(["0.0.0.0/0"])).takes(alert)


def test_addresses_that_are_none_lie_nowhere():
    for each in ("", "nonsense", "10.0.0.0/8"):
        alert = parse(alert_line(address=each, source="x"))
        assert not Choice(networks=networks(["0.0.0.0/0", "::/0"])).takes(alert)


def test_events_are_told_apart():
    assert events(["start,end", "withheld"]) == ("start", "end", "withheld")
    with pytest.raises(UsageError, match="--event stop: is none of start, update, end, withheld"):
        events(["start,stop"])


def test_what_is_no_network_is_refused():
    with pytest.raises(UsageError, match=r"--address 10\.0\.0\.300: is no address"):
        networks(["10.0.0.300"])


@pytest.fixture
def _five_hours_east(monkeypatch):
    """This machine's clock shows five hours more than UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "EAST-5")  # POSIX counts westwards
        tzset()
        yield
    tzset()


@pytest.mark.usefixtures("_five_hours_east")
@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("90s", "2026-11-21T11:58:30"),
        ("15m", "2026-11-21T11:45"),
        ("1.5h", "2026-11-21T10:30"),
        ("2 d", "2026-11-19T12:00"),
        ("1w", "2026-11-14T12:00"),
        ("9:05", "2026-11-21T04:05"),
        ("09:05:30", "2026-11-21T04:05:30"),
        ("today", "2026-11-20T19:00"),
        ("yesterday", "2026-11-19T19:00"),
        ("2026-11-20", "2026-11-19T19:00"),
        ("2026-11-20 08:00", "2026-11-20T03:00"),
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00"),
        ("2026-11-20T08:00+01:00", "2026-11-20T07:00"),
    ],
)
def test_times_are_ages_clock_times_and_dates(text, time):
    assert point_in_time("--since", text, NOON) == datetime.fromisoformat(time).replace(
        tzinfo=timezone.utc
    )


@pytest.mark.parametrize("text", ["", "2x", "soon", "25:00", "2026-13-01", "9999999999d", "1e3s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="is no time; write an age like 90s"):
        point_in_time("--since", text, NOON)
