"""Alerts as lines for people."""

import click
import pytest
from alert_lines import alert_line, withheld_line

from sensor.reporting.alert_log import parse
from sensor.reporting.alert_text import day, line, severity_mark


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")


def shown(raw, *, wide):
    return click.unstyle(line(parse(raw), wide=wide))


def test_columns_of_a_wide_terminal_stand_below_each_other():
    severe = shown(alert_line(severity=1), wide=True)
    assert severe == (
        "2026-11-21 12:00:00 !!! start  syn_dos            victim 10.0.0.2          "
        " 20 flows                  0.900  00000000000000a1"
    )
    scan = alert_line(90, "end", "scan", "10.0.0.77", role="source", flows=1494)
    assert shown(scan, wide=True) == (
        "2026-11-21 12:01:30 !!  end    scan               source 10.0.0.77         "
        " 1,494 flows in 2.0 s      0.900  00000000000000a1"
    )


def test_a_narrow_line_fits_80_columns():
    text = shown(
        alert_line(task="ssl_renegotiation", address="172.24.183.103", flows=4), wide=False
    )
    assert text == (
        "12:00:00 !!  start  ssl_renegotiation on 172.24.183.103 4 flows 00000000000000a1"
    )
    assert len(text) == 80
    own = alert_line(event="end", role="source", home={"roles": ["source"], "peers": []})
    assert shown(own, wide=False) == (
        "12:00:00 !!  end    syn_dos by 10.0.0.2 20 flows 00000000000000a1 yours"
    )
    assert day(parse(alert_line())) == "2026-11-21"


def test_devices_reasons_and_home_are_named():
    text = shown(
        alert_line(
            event="end",
            lasted=3600,
            reason="longest",
            device={"name": "camera"},
            home={"roles": ["victim", "source"], "peers": []},
        ),
        wide=True,
    )
    assert "victim 10.0.0.2 (camera)  20 flows in 1 h 0 min, longest  " in text
    assert text.endswith("yours: victim and source")
    through = alert_line(home={"roles": [], "peers": []}, reason="quiet")
    assert shown(through, wide=True).endswith("passing through")
    assert "quiet" not in shown(through, wide=True)


def test_of_a_peer_measurements_and_its_times_are_told():
    times = {"kind": "echo", "last_ms": [20.1, 70.25], "usual_ms": 20.0}
    raised = alert_line(task="swell", address="192.0.2.1", flows=9, latency=times)
    assert shown(raised, wide=True) == (
        "2026-11-21 12:00:00 !!  start  swell              peer 192.0.2.1           "
        " 10 measurements           0.900  00000000000000a1  echo 70.2 ms, usual 20.0 ms"
    )
    assert shown(raised, wide=False) == (
        "12:00:00 !!  start  swell of 192.0.2.1 10 measurements 00000000000000a1"
    )
    failed = alert_line(role="source", latency={**times, "last_ms": [None], "usual_ms": None})
    assert "source 10.0.0.2  " in shown(failed, wide=True)
    assert shown(failed, wide=True).endswith("echo none, usual none")


def test_foreign_times_of_a_peer_break_nothing():
    for wrong in ({}, {"kind": {}, "last_ms": "x", "usual_ms": True}, {"last_ms": [[]]}):
        assert "none, usual none" in shown(alert_line(latency=wrong), wide=True)
    evil = shown(alert_line(latency={"kind": "\x1b[2J\n", "last_ms": [1.0]}), wide=True)
    assert "\\x1b[2J\\n 1.0 ms" in evil
    assert "\x1b" not in evil


def test_withheld_alerts_are_counted_by_task():
    assert shown(withheld_line(scan=3, syn_dos=1200), wide=True) == (
        "2026-11-21 12:00:00 !!  withheld 1,203 alerts, too many at once: scan 3, syn_dos 1,200"
    )


def test_nothing_of_an_alert_is_obeyed_by_a_terminal():
    hostile = "\x1b[2J\x07\n\u202e<b>"
    raw = alert_line(task=hostile, address=hostile, alert_id=hostile, device={"name": hostile})
    for wide in (True, False):
        text = shown(raw, wide=wide)
        assert text.isprintable()
        assert r"\x1b[2J\x07\n\u202e<b>" in text


def test_severity_shows_without_colour():
    assert [severity_mark(k) for k in (1, 2, 3, 4, 255, 70_000)] == [
        "!!!",
        "!! ",
        "!  ",
        "4  ",
        "255",
        "700",
    ]
