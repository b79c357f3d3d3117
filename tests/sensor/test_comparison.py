import json
from datetime import datetime, timedelta, timezone

import pytest

from sensor.reporting import comparison
from sensor.reporting.alert_log import Alert, parse
from sensor.reporting.comparison import Incident, match, told, verdict

START = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)


def incident(begins=0, lasts=10, task="scan", address="10.0.0.1", role="source") -> Incident:
    first = START + timedelta(seconds=begins)
    return Incident(task, role, address, first, first + timedelta(seconds=lasts), 5, 0.9)


def both(a: Incident, b: Incident) -> bool:
    matched = match([a], [b])
    assert matched.both == len(matched.b) - len(matched.only_b), "from both sides the same"
    return matched.both == 1


def test_incidents_are_the_same_if_they_are_about_the_same_at_the_same_time():
    assert both(incident(), incident())
    assert both(incident(), incident(3, 2))
    assert both(incident(3, 2), incident())
    assert not both(incident(), incident(task="syn_dos"))
    assert not both(incident(), incident(address="10.0.0.2"))
    assert not both(incident(), incident(role="victim"))


def test_an_incident_lasts_until_a_minute_after_its_last_packet():
    assert both(incident(0, 10), incident(70, 5))
    assert not both(incident(0, 10), incident(70.001, 5))
    assert both(incident(70, 5), incident(0, 10))
    assert not both(incident(70.001, 5), incident(0, 10))


def test_a_long_incident_is_found_behind_short_ones():
    """The one that overlaps began first, and others began and ended since."""
    these = [incident(1000, 10)]
    others = [incident(0, 2000), incident(100, 10), incident(300, 10), incident(2500, 10)]
    matched = match(these, others)
    assert (matched.both, matched.only_b) == (1, [others[1], others[2], others[3]])


def test_one_incident_may_be_several_of_the_other():
    matched = match([incident(0, 500)], [incident(400, 5), incident(10, 5), incident(900, 5)])
    assert matched.document() == {"a": 1, "b": 3, "both": 1, "only_a": 0, "only_b": 1}
    assert matched.only_b == [incident(900, 5)]


def test_tasks_are_told_apart():
    matched = match([incident(), incident(task="syn_dos")], [incident(), incident(address="::1")])
    assert matched.tasks == ["scan", "syn_dos"]
    assert matched.of("scan").document() == {"a": 1, "b": 2, "both": 1, "only_a": 0, "only_b": 1}
    assert matched.of("syn_dos").document() == {"a": 1, "b": 0, "both": 0, "only_a": 1, "only_b": 0}


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ([], [], "Neither A nor B found an incident"),
        ([incident()], [incident()], "B found what A found, 1 incident and no other: it can take"),
        ([incident()], [], "B missed 1 of 1 incident of A (scan) and found no other. Keep A"),
        ([], [incident()], "A found nothing, and B 1 incident more (scan). Look at these"),
        (
            [incident()],
            [incident(), incident(task="x"), incident(task="x", address="::1")],
            "B found all of A (1 incident), and B 2 incidents more (x). Look at these",
        ),
        (
            [incident(), incident(500)],
            [incident(), incident(task="x")],
            "B missed 1 of 2 incidents of A (scan), and found 1 that A did not (x). Look at both",
        ),
    ],
)
def test_the_verdict_says_what_follows(a, b, words):
    assert verdict(match(a, b), "A", "B").startswith(words)


def alert(number=1, event="start", seconds=0, flows=5, **changes) -> Alert:
    time = f"{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}+0000"
    multa = {
        "alert_id": f"{number:016x}",
        "event": event,
        "task": "scan",
        "role": "source",
        "address": "10.0.0.1",
        "score": 0.9,
        "threshold": 0.5,
        "flows": flows,
        "rows": flows,
        "first_packet": f"{START:%Y-%m-%dT%H:%M:%S.%f}+0000",
        "last_packet": time,
        "model": {"name": "iot", "version": "3", "sha256": "ab"},
        **changes,
    }
    document = {
        "timestamp": time,
        "event_type": "alert",
        "alert": {"severity": 1, "metadata": {"multa": multa}},
    }
    found = parse(json.dumps(document).encode())
    assert found
    return found


def test_an_incident_is_what_was_told_last_of_it():
    found = told([alert(), alert(event="update", seconds=7, flows=10), alert(2, seconds=9)])
    assert list(found.incidents.values()) == [
        Incident("scan", "source", "10.0.0.1", START, START + timedelta(seconds=7), 10, 0.9),
        Incident("scan", "source", "10.0.0.1", START, START + timedelta(seconds=9), 5, 0.9),
    ]
    assert (found.begins, found.ends) == (START, START + timedelta(seconds=9))
    assert list(found.models) == ["iot 3"]


def test_the_counting_rule_is_no_model():
    rule = alert(model={"name": "counting-rule", "version": "1"})
    found = told([rule])
    assert (found.incidents, found.begins, found.models) == ({}, None, {})


def test_what_was_told_before_is_left_out():
    found = told([alert(), alert(2, seconds=60)], START + timedelta(seconds=1))
    assert list(found.incidents) == [f"{2:016x}"]
    assert found.begins == START + timedelta(seconds=60)


def test_withheld_alerts_are_counted():
    line = json.loads(alert().line)
    line["alert"]["metadata"]["multa"] = {"event": "withheld", "alerts": 41, "tasks": []}
    withheld = parse(json.dumps(line).encode())
    assert withheld
    found = told([withheld, alert()])
    assert (found.withheld, len(found.incidents)) == (41, 1)


def test_no_more_incidents_are_held_than_is_stated(monkeypatch):
    monkeypatch.setattr(comparison, "INCIDENTS", 2)
    found = told([alert(1), alert(2), alert(3), alert(1, "end", flows=9)])
    assert (len(found.incidents), found.left_out) == (2, 1)
    assert found.incidents[f"{1:016x}"].flows == 9
