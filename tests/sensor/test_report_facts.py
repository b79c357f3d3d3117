"""What a report gathers of alert logs."""

import pytest
from alert_lines import NOON, alert_line, withheld_line

from sensor.reporting import report_facts
from sensor.reporting.alert_log import parse
from sensor.reporting.report_facts import Facts


def facts(*lines):
    return Facts.of(parse(line) for line in lines)


def test_an_incident_is_what_its_last_event_says():
    found = facts(
        alert_line(0, flows=20, score=0.6),
        alert_line(5, "update", began=0, flows=100, score=0.7),
        alert_line(70, "end", began=0, lasted=9, flows=150, score=0.9, reason="quiet"),
        alert_line(3, alert_id="00000000000000b2", device={"name": "camera"}),
    )
    ended, goes_on = found.incidents.values()
    assert (ended.flows, ended.rows, ended.score, ended.state) == (150, 151, 0.9, "quiet")
    assert (ended.first, ended.seconds) == (NOON, 9)
    assert (goes_on.state, goes_on.device) == ("open", "camera")
    assert ended.techniques == ("T1499.001",)
    assert found.alerts == {"start": 2, "update": 1, "end": 1}
    assert (found.first, (found.last - NOON).total_seconds()) == (NOON, 70)


def test_tasks_come_by_severity_then_number():
    found = facts(
        *(alert_line(task="scan", severity=3, alert_id=f"{k:016x}") for k in range(5)),
        alert_line(task="syn_dos", severity=2, alert_id=f"{10:016x}"),
        *(alert_line(task="ssdp_flood", severity=2, alert_id=f"{k:016x}") for k in (11, 12)),
        alert_line(task="slow_http", severity=1, alert_id=f"{13:016x}"),
    )
    assert list(found.tasks()) == ["slow_http", "ssdp_flood", "syn_dos", "scan"]


def test_addresses_are_counted_once_an_incident_in_the_role_that_they_have():
    found = facts(
        alert_line(address="10.0.0.2", source="10.9.0.1", sample=["10.9.0.1", "10.9.0.2"]),
        alert_line(
            address="10.9.0.1", source="10.0.0.9", role="source", alert_id="00000000000000b2"
        ),
    )
    assert found.addresses("source") == {"10.9.0.1": 2, "10.9.0.2": 1}
    assert found.addresses("victim") == {"10.0.0.2": 1, "10.0.0.9": 1}
    assert found.models() == {("iot-gateway", "3", "ab" * 32): 2}


def test_withheld_alerts_are_summed_by_task():
    found = facts(withheld_line(1, scan=3, syn_dos=1), withheld_line(61, scan=4))
    assert found.withheld_tasks == {"scan": 7, "syn_dos": 1}
    assert [number for _, number, _ in found.withheld] == [4, 4]
    assert not found.incidents


def test_memory_is_bounded_and_what_is_beyond_is_counted(monkeypatch):
    monkeypatch.setattr(report_facts, "INCIDENTS", 3)
    monkeypatch.setattr(report_facts, "WITHHELD", 2)
    monkeypatch.setattr(report_facts, "ADDRESSES", 2)
    lines = [
        alert_line(address=f"10.0.0.{k}", alert_id=f"{k:016x}", source="x", task=f"t{k}")
        for k in range(6)
    ]
    found = facts(*lines, *lines, *(withheld_line(k, scan=1) for k in range(5)))
    assert len(found.incidents) == 3
    assert found.beyond == {"t3": 2, "t4": 2}
    assert len(found.withheld) == 2
    assert len(found.addresses("victim")) == 2


@pytest.mark.parametrize(
    "more",
    [
        {"home": 5},
        {"home": {"roles": 3, "peers": 7}},
        {"sample": [1, None, "x", {"src_ip": 5}]},
        {"device": ["x"]},
        {"reason": {}},
        {"lasted": -50},
    ],
)
def test_odd_entries_are_left_out(more):
    (incident,) = facts(alert_line(event="end", **more)).incidents.values()
    assert incident.seconds >= 0
    assert incident.device == ""
