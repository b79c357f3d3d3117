"""The report: what it says, that nobody's words are obeyed in it, and that it loads nothing."""

import json
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from time import tzset

import pytest
from alert_lines import NOON, alert_line, withheld_line
from command import ROOT, assert_fails, sensor_command

from sensor.reporting import report
from sensor.reporting.alert_log import parse
from sensor.reporting.report import Material, page
from sensor.reporting.report_facts import Facts
from sensor.reporting.report_status import Health
from sensor.service.health.status_output import StatusOutput

VOID = {"meta"}
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\u202e\x1b"


@pytest.fixture(autouse=True)
def _utc(monkeypatch):
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "UTC")
        tzset()
        yield
    tzset()


class Document(HTMLParser):
    """The tags, attributes and text of a page, of which every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, text):
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(text)

    def words(self):
        return " ".join(" ".join(self.text).split())


def made(*lines, **more):
    facts = Facts.of(parse(line) for line in lines)
    return page(Material(facts, **{"title": "A day", "made": NOON, **more}))


def test_a_day_in_words():
    lines = [
        alert_line(0, "end", alert_id=f"{1:016x}", lasted=30, reason="quiet"),
        alert_line(9, alert_id=f"{2:016x}", severity=1, device={"name": "camera"}),
        withheld_line(60, scan=1500),
    ]
    words = Document(made(*lines, sources=["alerts.json"])).words()
    for part in (
        "2 incidents of 1 task: 1 of high severity, 1 of medium severity.",
        "All are about 10.0.0.2 (camera).",
        "Not ended when the log was read: 1.",
        "Withheld, as they were too many: 1,500 alerts.",
        "From 3 alerts in alerts.json, 2026-11-21 12:00:00 to 2026-11-21 12:01:00 UTC.",
        "victim 10.0.0.2 (camera)",
        "T1499.001",
        "0000000000000002",
    ):
        assert part in words


def test_who_has_the_most_incidents_is_named():
    lines = [
        alert_line(k, alert_id=f"{k:016x}", address=address)
        for k, address in enumerate(["10.0.0.1", "10.0.0.2", "10.0.0.2"])
    ]
    assert "10.0.0.2 has the most of them: 2." in Document(made(*lines)).words()
    assert "most" not in Document(made(*lines[:2])).words().partition("Timeline")[0]
    assert "It is about 10.0.0.1." in Document(made(lines[0])).words()


def test_an_empty_log_is_a_report_too():
    words = Document(made()).words()
    assert "No incident was found." in words
    assert "Timeline" not in words


def test_the_sensors_health_is_told():
    status = {
        "state": "degraded",
        "reasons": ["ring overflow"],
        "written": "2026-11-21T12:00:30.000000+0000",
        "blind": [
            {
                "interface": "eth0",
                "from": "2026-11-21T12:00:00.000000+0000",
                "to": "2026-11-21T12:00:10.000000+0000",
                "why": "down",
            }
        ],
        "statistics": {"packets": 75, "kernel_drops": 25},
        "measures": {"scores": {"iot-gateway/syn_dos": [4, 3, 2, 1]}},
    }
    text = made(alert_line(5), health=Health.of(status))
    words = Document(text).words()
    assert "The sensor was degraded at 2026-11-21 12:00:30 (ring overflow)." in words
    assert "It was blind once." in words
    assert "Frames lost before anybody could look at them: 25." in words
    assert "25.00% of all" in words
    assert "scores of 10 rows" in words
    assert 'class="blind"' in text


def test_evidence_and_verdicts_stand_with_their_incidents():
    lines = [alert_line(k, alert_id=f"{k:016x}") for k in (1, 2)]
    words = Document(
        made(
            *lines,
            evidence=lambda alert_id: alert_id.endswith("1"),
            verdict=lambda alert_id: "false (ann)" if alert_id.endswith("2") else "",
        )
    ).words()
    assert "iot-gateway kept 0000000000000001" in words
    assert "iot-gateway – false (ann) 0000000000000002" in words


def test_nothing_is_loaded_and_nobodys_words_are_obeyed():
    lines = [
        alert_line(
            task=HOSTILE,
            address=HOSTILE,
            alert_id=HOSTILE,
            model=HOSTILE,
            role=HOSTILE,
            source=HOSTILE,
            sample=[HOSTILE],
            device={"name": HOSTILE, "mac": HOSTILE},
            event="end",
            reason=HOSTILE,
            home={"roles": [HOSTILE]},
        ),
        withheld_line(1, **{HOSTILE: 5}),
    ]
    status = {
        "state": HOSTILE,
        "reasons": [HOSTILE],
        "blind": [
            {"interface": HOSTILE, "from": "2026-11-21T12:00:00.000000+0000", "why": HOSTILE}
        ],
        "coverage": {HOSTILE: {HOSTILE: 1}},
        "models": [{"name": HOSTILE, "version": HOSTILE, "sha256": HOSTILE}],
        "drift": {HOSTILE: 0.1},
        "measures": {"scores": {HOSTILE: [1, 2]}},
        "allow": [{"comment": HOSTILE, HOSTILE: HOSTILE}],
    }
    text = made(
        *lines,
        title=HOSTILE,
        sources=[HOSTILE],
        unread=HOSTILE,
        health=Health.of(status),
        verdict=lambda _: HOSTILE,
    )
    document = Document(text)
    assert document.tags.count("script") == document.tags.count("style") == 1
    assert not {"img", "link", "iframe", "object", "embed", "a", "form", "base"} & {*document.tags}
    names = {name for name, _ in document.attributes}
    assert not names & {"src", "href", "style", "srcset", "action", "background", "data"}
    assert not [name for name in names if name.startswith("on")]
    assert not re.search(r"https?://", text)
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_only_the_worst_incidents_are_in_the_table(monkeypatch):
    monkeypatch.setattr(report, "SHOWN", 2)
    lines = [
        alert_line(k, alert_id=f"{k:016x}", severity=severity, flows=flows)
        for k, severity, flows in ((1, 3, 900), (2, 2, 30), (3, 2, 40), (4, 1, 1), (5, 2, 20))
    ]
    text = made(*lines)
    rows = re.findall(r'<td class="id">(\w+)</td>', text)
    assert rows == [f"{3:016x}", f"{4:016x}"]
    assert "The 2 worst of 5." in text


def test_the_command_writes_the_demo(capfd, tmp_path):
    log, stats, out = (tmp_path / name for name in ("alerts.json", "stats.json", "report.html"))
    demo = ROOT / "tests/captures/demo.pcap"
    assert sensor_command(capfd, "replay", demo, "-o", log, "--stats", stats).status == 0
    outcome = sensor_command(
        capfd, "report", log, "--status", stats, "-o", out, "--title", "The demo"
    )
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    words = Document(out.read_text()).words()
    assert words.startswith("The demo The demo 6 incidents of 5 tasks: all of medium severity.")
    assert "Nothing of 8,468 frames was lost." in words
    assert out.stat().st_mode & 0o007 == 0
    as_stream = sensor_command(capfd, "report", log, "-o", "-", "--until", "2020-01-01")
    assert "No incident was found." in as_stream.out


def test_rotated_logs_evidence_and_labels_are_read(capfd, tmp_path):
    log, evidence = tmp_path / "alerts.json", tmp_path / "evidence"
    log.write_bytes(alert_line(2, alert_id=f"{2:016x}") + b"torn")
    (tmp_path / "alerts.json.1").write_bytes(alert_line(1, alert_id=f"{1:016x}"))
    evidence.mkdir()
    (evidence / f"{1:016x}.json").write_text("{}")
    label = {"alert_id": f"{2:016x}", "value": False, "task": "syn_dos", "author": "ann"}
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({**label, "at": "2026-11-21T12:00:00", "comment": "mine"}) + "\n")
    out = tmp_path / "report.html"
    given = ("--evidence", evidence, "--labels", labels, "-o", out)
    outcome = sensor_command(capfd, "report", log, "--since", "2026-11-21T00:00:00Z", *given)
    assert outcome.status == 0
    words = Document(out.read_text()).words()
    assert "2 incidents" in words
    assert "false (ann): mine" in words
    assert "kept" in words
    assert "1 line has no end (left out)" in words


def test_the_installed_sensor_is_as_it_is_now_and_another_as_it_was(capfd, tmp_path):
    """It was killed when it was well, so that its last status says so."""
    log, status, out = (tmp_path / name for name in ("alerts.json", "status.json", "report.html"))
    log.write_bytes(alert_line())
    with subprocess.Popen([sys.executable, "-c", ""]) as killed:
        pass
    output = StatusOutput(status, None, 2, print, lambda: int(NOON.timestamp()) * 10**9)
    output.write("healthy", [], {"blind": []})
    status.write_text(json.dumps({**json.loads(status.read_text()), "pid": killed.pid}))
    config = tmp_path / "sensor.toml"
    config.write_text(f'[alerts]\noutput = "{log}"\n[health]\nstatus = "{status}"\n')
    assert sensor_command(capfd, "report", "--config", config, "-o", out).status == 0
    words = Document(out.read_text()).words()
    assert f"The sensor was down at 2026-11-21 12:00:00 (its process {killed.pid} is gone;" in words
    assert "Sensor down" in words
    named = sensor_command(capfd, "report", "--config", config, "--status", status, "-o", out)
    assert named.status == 0
    assert "The sensor was healthy at 2026-11-21 12:00:00 " in Document(out.read_text()).words()
    status.unlink()
    assert sensor_command(capfd, "report", "--config", config, "-o", out).status == 0
    assert "The sensor was" not in Document(out.read_text()).words()


def test_the_worst_incident_of_each_task_is_drawn(capfd, tmp_path):
    log, evidence, out = (tmp_path / name for name in ("alerts.json", "evidence", "report.html"))
    demo = ROOT / "tests/captures/demo.pcap"
    assert sensor_command(capfd, "replay", demo, "-o", log, "--evidence", evidence).status == 0
    # Of the two of udp_reflection the one with 89 flows is drawn, if its evidence can be read.
    given = ("report", log, "--evidence", evidence, "--output", out)
    assert sensor_command(capfd, *given).status == 0
    page_ = Document(out.read_text())
    drawn = [value for name, value in page_.attributes if (name, value) == ("class", "scroll why")]
    assert (page_.tags.count("details"), len(drawn)) == (5, 5)
    for part in (
        "Why The worst incident of each task",
        "udp_reflection, victim 10.77.202.14, 2026-11-21 11:24:42",
        "89 UDP flows to 10.77.202.14 port 1900",
        "Alert b8cd1c436e9587d7, as of its end",
    ):
        assert part in page_.words()
    assert "85 UDP flows" not in page_.words()
    assert "style=" not in out.read_text()  # which the page's policy forbids
    (evidence / "eea515cca28cb07c.json").write_text("{}")
    assert sensor_command(capfd, *given).status == 0
    assert Document(out.read_text()).tags.count("details") == 4


def test_what_is_read_is_not_written_over_and_what_is_left_out_is_said(capfd, tmp_path):
    log = tmp_path / "alerts.json"
    log.write_bytes(alert_line() + b"noise\n")
    for more in (
        ("-o", log),
        ("--status", tmp_path / "s", "-o", tmp_path / "s"),
        ("--labels", tmp_path / "s", "-o", tmp_path / "s"),
    ):
        assert_fails(sensor_command(capfd, "report", log, *more), 64, "choose another output")
    outcome = sensor_command(capfd, "report", log, "-o", "/dev/null")
    assert (outcome.status, outcome.err) == (
        0,
        f"multa-sensor: {log}: 1 line is no alert (left out)\n",
    )


def test_what_can_not_be_done_is_one_line(capfd, tmp_path):
    log = tmp_path / "alerts.json"
    log.write_bytes(alert_line())
    out = tmp_path / "report.html"
    no = tmp_path / "no"
    assert_fails(sensor_command(capfd, "report", no, "-o", out), 66, no)
    assert_fails(sensor_command(capfd, "report", log, "--status", no, "-o", out), 66, no)
    log.with_name("s").write_text("[1]")
    wrong = sensor_command(capfd, "report", log, "--status", log.with_name("s"), "-o", out)
    assert_fails(wrong, 66, "holds no status")
    assert_fails(sensor_command(capfd, "report", log, "-o", no / "x"), 74, no)
    assert_fails(sensor_command(capfd, "report", log), 64, "-o")


ODD = [None, True, -1, 2**70, 1e308, "", "\ud800", "<script>", [], {}, [None], {"name": 5}]
ODD += [f"{year}-12-31T23:59:59.999999+0000" for year in (1969, 1970, 2261, 9999)]


def changed(document, chance):
    """The document with one entry anywhere in it replaced or removed."""
    document = json.loads(json.dumps(document))
    inner = document
    while True:
        key = chance.choice(sorted(inner))
        if not isinstance(inner[key], dict) or not inner[key] or chance.random() < 0.2:
            break
        inner = inner[key]
    inner[key] = chance.choice(ODD)
    if chance.random() < 0.2:
        del inner[key]
    return document


def test_odd_entries_anywhere_make_no_report_fail():
    """400 alerts and 20 statuses, of which each has entries that nobody expects."""
    chance = random.Random(2)
    home = {"roles": ["victim"], "peers": ["10.0.0.9"], "flows": {"inbound": 1}}
    whole = [
        json.loads(alert_line(1, "end", sample=["10.9.9.9"], home=home, device={"name": "camera"})),
        json.loads(withheld_line(2, scan=5)),
    ]
    status = {
        "state": "healthy",
        "written": "2026-11-21T12:00:30.000000+0000",
        "blind": [{"interface": "eth0", "from": "2026-11-21T12:00:00.000000+0000", "to": None}],
        "coverage": {"frames": {"received": 5}, "models": {"m": {"tasks": {"scan": {}}}}},
        "measures": {"scores": {"m/scan": [1, 2]}},
        "drift": {"m/scan": 0.2},
        "models": [{"name": "m"}],
        "statistics": {"packets": 5, "kernel_drops": 1},
    }
    read = 0
    for _ in range(20):
        odd = (json.dumps(changed(chance.choice(whole), chance)).encode() for _ in range(20))
        alerts = [alert for alert in map(parse, odd) if alert]
        read += len(alerts)
        health = Health.of(changed(changed(status, chance), chance))
        text = page(Material(Facts.of(alerts), "odd", NOON, health=health))
        assert Document(text.encode().decode()).tags.count("script") == 1
    assert read > 100
