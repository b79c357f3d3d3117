import json

import click
import pytest
from test_health import Watched, frames_of

from sensor.reporting.calibration import Calibration
from sensor.reporting.status_file import Status, boottime_s, judged
from sensor.reporting.status_page import page


def text(status, *calibration):
    return click.unstyle("\n".join(page(status, calibration)))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Of a run that is here, of 300 flows, 40 lost frames and an interface that is down."""
    watched = Watched(tmp_path_factory.mktemp("run"))
    watched.detect(frames_of(300))
    watched.source.counters.kernel_drops = 40
    watched.source.blind = {"eth1": "is down"}
    return json.dumps(watched.look(1))


@pytest.fixture
def document(made):
    """As if it had been written now."""
    return {**json.loads(made), "boottime": boottime_s()}


def test_the_state_comes_first_then_why(document):
    first, second, third, *_ = text(judged(document)).splitlines()
    assert first.startswith("DEGRADED  process ")
    assert second == "  · blind: interface eth1 is down, so nothing is seen there"
    assert third.startswith("  · 40 frames were lost in the last minute (40 so far)")


def test_the_funnel_leaves_nothing_out_and_shows_no_holes(document):
    document["coverage"]["flows"]["waiting"] = 7
    lines = text(judged(document)).splitlines()
    funnel = [line.split("  ") for line in lines[lines.index("Coverage") + 1 :]]
    shown = [" ".join(part.strip() for part in parts if part) for parts in funnel]
    assert shown[: shown.index("")] == [
        "340 frames came",
        "−40 lost by the kernel, as they were not read in time (11.76%)",
        "300 became packets",
        "300 flows began",
        "−7 wait for detection",
        "0 not looked at, as detection fell behind",
        "300 were looked at",
        "300 rows of them were decided (a long flow has several)",
        "0 not looked at, as detection fell behind",
        "300 were looked at",
    ]


def test_interfaces_models_and_alerts_are_told(document):
    shown = text(judged(document))
    assert "  eth0            seen\n" in shown
    assert "  eth1            blind: is down" in shown
    assert "  counting-rule 1: 300 rows\n" in shown
    assert "flow_rate 300 scored 1 incident, 4 alerts" in " ".join(shown.split())
    assert shown.splitlines()[-1].startswith("  2023-11-14 22:14:21 UTC  end     flow_rate victim")
    assert " UTC to now, 0.0 s: is down" in shown


def test_alerts_about_peers_and_what_could_not_be_measured_are_told(document):
    short = {**document["recent"][-1], "kind": "echo", "role": "victim", "address": "192.0.2.1"}
    rows = {**document["coverage"]["rows"], "ambiguous": 1_234, "unknown": 5}
    coverage = {**document["coverage"], "rows": rows}
    alert = {**short, "rows": 12, "flows": 1}
    told = text(judged({**document, "recent": [alert], "coverage": coverage}))
    assert "peer 192.0.2.1  12 measurements, score" in told
    assert "−1,234    besides, answers that may be to one of several packets" in told
    assert "−5    besides, packets to unknown peers that got no answer" in told


def test_drift_rules_and_labels_are_told(document):
    document["models"] = [{"name": "gateway", "version": "3", "manifest_sha256": "ab" * 32}]
    document["coverage"]["models"] = {
        "gateway": {"looked_at": 9, "tasks": {"scan": {"scored": 9}, "dos": {"scored": 9}}}
    }
    document["drift"] = {"gateway/scan": 0.31, "gateway/dos": None}
    document["allow"] = [
        {"comment": "audit", "expires": "2027-01-15T08:00:00.000000+0000", "matched": 1_200},
        {"comment": "backup", "expires": None, "matched": 0},
    ]
    shown = text(judged(document), Calibration("scan", 10, 4, 0.93))
    assert "gateway 3, manifest abababababab: 9 rows" in shown
    assert "drift 0.31: unlike harmless traffic in training" in shown
    assert "drift: too few rows to tell" in shown
    assert "audit: until 2027-01-15 08:00:00 UTC, allowed 1,200 rows" in shown
    assert "backup: for ever, allowed 0 rows" in shown
    assert "scan: 4 of 10 labelled alerts were right (40%); their scores claimed 93%" in shown


def test_nothing_but_the_reason_is_told_where_there_is_no_status():
    status = Status("down", ("status.json: there is no status",), None, {})
    assert text(status) == "DOWN\n  · status.json: there is no status"


def test_what_a_terminal_would_obey_is_escaped(document):
    document["interfaces"] = {"eth\x1b[2J": {"blind": "is\x07 gone"}}
    document["reasons"] = ["\x1b]0;title\x07"]
    document["recent"][-1]["address"] = "\x1b[31m"
    document["models"][0]["name"] = "rule\x1b[2J"
    shown = text(judged(document))
    assert "\\x1b[2J" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("wrong", [None, 5, "text", [], [None], {"a": None}, {"a": {"b": "c"}}])
def test_a_foreign_document_breaks_nothing(document, wrong):
    for name in list(document):
        if name not in ("boot_id", "boottime", "pid", "pid_namespace", "interval_s", "state",
                        "reasons"):  # fmt: skip
            text(judged({**document, name: wrong}))
    for name in document["coverage"]:
        text(judged({**document, "coverage": {**document["coverage"], name: wrong}}))


def test_of_long_lists_the_last_are_shown(document):
    interval = {"interface": None, "from": "2023-11-14T22:13:20.000000+0000", "to": None}
    document["blind"] = [{**interval, "seconds": n, "why": f"number {n}"} for n in range(90)]
    document["recent"] = document["recent"] * 12
    document["recent"][-1] = {**document["recent"][-1], "flows": 1}
    shown = text(judged(json.loads(json.dumps(document))))
    assert "number 84" not in shown
    assert "number 85" in shown
    assert "and 85 before that (--json)" in shown
    assert shown.count("flow_rate victim") == 5
    assert "  1 flow, score" in shown


def test_what_is_said_of_flows_is_told_with_how_right_it_was(document):
    document["statistics"]["annotations"] = {
        "traffic-class": {
            "predicted": 1_300,
            "open": 12,
            "forgotten": 0,
            "tasks": {
                "traffic": {"told": {"music": 800, "video": 0, "calls": 200}, "abstained": 250},
                "speed": {
                    "told": {},
                    "abstained": 0,
                    "judged": 812,
                    "accuracy": 0.85,
                    "majority": 0.6,
                    "lately": {"accuracy": 0.84},
                    "test": 0.88,
                    "drift": {"psi": 0.3},
                },
            },
        },
        "bent\x1b[31m": {"tasks": {"x": 5, "y": {"told": 7, "judged": 1, "lately": 3}}},
        "wrong": None,
    }
    lines = text(judged(document)).splitlines()
    begin = lines.index("Annotations") + 1
    assert lines[begin : begin + 5] == [
        "  traffic-class: something said of 1,300 flows, 12 go on",
        "    traffic  music: 800, calls: 200; abstained from 250",
        "    speed    none named; abstained from 0",
        (
            "             right for 85.0% of 812 flows whose truth is known (always naming the "
            "commonest: 60.0%); lately 84.0%; in its test 88.0%"
        ),
        "             drift 0.30: another mix than in its test",
    ]
    assert "bent" in lines[begin + 5]
    assert "\x1b[31m" not in lines[begin + 5]


def test_without_annotations_there_is_no_such_part(document):
    assert "Annotations" not in text(judged(document))
