"""What a report takes from a status file, whatever is in it."""

import json

import pytest
from alert_lines import NOON, written

from sensor.reporting.report_status import Health, Histogram

BLIND = {"interface": "eth1", "from": written(NOON), "why": "down"}
STATUS = {
    "format": 1,
    "state": "degraded",
    "reasons": ["eth1 is blind"],
    "written": "2026-11-21T12:01:00.000000+0000",
    "blind": [
        {**BLIND, "to": "2026-11-21T12:00:05.000000+0000"},
        {**BLIND, "interface": None, "to": None, "seconds": 7.5},
    ],
    "coverage": {
        "frames": {"received": 10, "lost_share": 0.25, "refused": {"not_ip": 1234}},
        "models": {"m": {"tasks": {"scan": {"scored": 77, "not_counted": 2}}}},
    },
    "measures": {"scores": {"m/scan": [5, 0, 0, 1], "m/idle": [0, 0, 0, 0]}},
    "models": [{"name": "m", "version": "3", "sha256": "ab", "shadow": True}],
    "drift": {"m/scan": 0.3, "m/idle": None},
    "allow": [{"comment": "ours <b>", "source": "10.0.0.5", "matches": 3}],
    "statistics": {"packets": 100, "kernel_drops": 7, "shed": 0},
}


def test_what_the_status_says():
    health = Health.of(STATUS)
    assert (health.state, health.reasons) == ("degraded", ["eth1 is blind"])
    lengths = [(stop - start).total_seconds() for start, stop, _ in health.blind()]
    assert lengths == [5, 60]
    assert health.blind_s() == 5 + 7.5
    assert list(health.histograms()) == [Histogram("m/scan", (0, 0.25, 0.5, 0.75, 1), (5, 0, 0, 1))]
    assert health.lost() == [("frames lost: the ring was full", 7)]
    text = "".join(health.sections())
    for part in (
        "all interfaces",
        "still",
        "1,234",
        '<td>scan</td><td class="n" data-k="77">77</td>',
        "25.00%",
        "refused · not ip",
        "shadow: raises no alert",
        "different: look at",
        "ours &lt;b&gt;",
        "source 10.0.0.5",
    ):
        assert part in text


def test_an_unknown_state_is_none():
    assert Health.of({"state": "<b>"}).state == ""


def test_statistics_of_a_run_are_health_too():
    health = Health.of({"packets": 100, "kernel_drops": 0, "shed": 2})
    assert health.state == ""
    assert health.counter("packets") == 100
    assert health.lost() == [("rows not looked at: detection was too slow", 2)]
    assert "Losses" in "".join(health.sections())
    assert "Nothing of 5 frames was lost" in "".join(Health.of({"packets": 5}).sections())


def test_nothing_is_told_without_a_status():
    assert list(Health().sections()) == []
    assert "None are known" in "".join(Health.of({"state": "healthy"}).sections())


@pytest.mark.parametrize("odd", [None, 5, "x", [], {}, [5, None], {"a": {"b": None}}, [[]], True])
def test_odd_entries_are_left_out(odd):
    for key in STATUS:
        health = Health.of({**STATUS, key: odd})
        "".join(health.sections())
        list(health.histograms())
        health.blind()
        assert health.counter("shed") == 0


def test_deep_and_long_entries_are_cut():
    deep = {}
    for _ in range(500):
        deep = {"a": deep, "n": 1}
    wide = {f"k{k}": 1 for k in range(5000)}
    text = "".join(Health.of({"state": "healthy", "coverage": {"d": deep, "w": wide}}).sections())
    assert len(text) < 50_000
    json.dumps(text)
