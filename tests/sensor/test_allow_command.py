"""``multa-sensor allow``: what rules do, and which one matches."""

import json

import pytest
from command import assert_fails, flood, sensor_command
from frames import write_pcap

RULES = """\
[[allow]]
comment = "scanner of the audit"
expires = 2040-01-01
task = "scan"
source = "192.168.1.5"

[[allow]]
comment = "backup"
expires = "never"
source = "10.0.0.0/8"
port = 22
protocol = "tcp"

[[allow]]
comment = "covered"
expires = 2039-01-01
task = "scan"
source = "192.168.1.5"
port = 443

[[allow]]
comment = "old"
expires = 2020-01-01
task = "no_task"
destination = "2001:db8::/32"
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "sensor.toml").write_text(
        f'[health]\nstatus = "{tmp_path}/status.json"\n'
        f'[alerts]\noutput = "{tmp_path}/alerts.json"\n{RULES}'
    )
    return tmp_path / "sensor.toml"


def ask(capfd, config, *arguments):
    found = sensor_command(capfd, "allow", "test", *arguments, "--config", config)
    assert found.err == ""
    return found.status, found.out


def test_the_rule_that_matches_is_named_with_its_place_and_comment(capfd, config):
    scan = ("--task", "scan", "--source", "192.168.1.5", "--destination", "10.0.0.1")
    wanted = f"allowed by {config}:5 (scanner of the audit)\n"
    assert ask(capfd, config, *scan, "--port", 443) == (0, wanted)
    assert ask(capfd, config, *scan, "--at", "2039-12-31T23:59:59Z") == (0, wanted)
    backup = ("--source", "10.1.1.1", "--port", 22, "--protocol", "tcp")
    assert ask(capfd, config, *backup) == (0, f"allowed by {config}:11 (backup)\n")


def test_without_one_the_closest_is_named_and_why_it_does_not_match(capfd, config):
    scan = ("--task", "scan", "--source", "192.168.1.5", "--at", "2040-01-01T00:00:00Z")
    closest = f"not allowed by 4 rules; closest is {config}:5 (scanner of the audit), but "
    assert ask(capfd, config, *scan) == (
        1,
        f"{closest}it expired at 2040-01-01T00:00:00.000000+0000\n",
    )
    other = ("--task", "scan", "--source", "192.168.1.6")
    wrong = "its source is 192.168.1.5/32, not 192.168.1.6\n"
    assert ask(capfd, config, *other) == (1, closest + wrong)
    open_ = ("--source", "10.1.1.1", "--port", 22)
    status, out = ask(capfd, config, *open_)
    assert (status, out.endswith(", but its protocol is tcp, not left open\n")) == (1, True)


def test_no_rules_allow_nothing(capfd, tmp_path):
    empty = tmp_path / "empty.toml"
    empty.write_text("")
    assert ask(capfd, empty, "--task", "scan") == (1, f"not allowed; no rules in {empty}\n")
    found = sensor_command(capfd, "allow", "list", "--config", empty)
    assert (found.status, found.out) == (0, f"no rules in {empty}\n")


def test_the_flows_of_an_alert_are_asked_one_by_one(capfd, config, tmp_path):
    capture, log = tmp_path / "flood.pcap", tmp_path / "alerts.json"
    write_pcap(capture, *flood(60))
    sensor_command(capfd, "replay", capture, "--no-models", "-o", log)
    start = json.loads(log.read_text().splitlines()[0])["alert"]["metadata"]["multa"]
    status, out = ask(capfd, config, start["alert_id"])
    lines = out.splitlines()
    assert status == 1
    # Of the last event: the flow with the highest score, and the first ones.
    assert lines[-1] == f"(the alert has 31 flows, of which it shows {len(lines) - 1})"
    assert lines[0].startswith("flow_rate 10.1.0.60 → 10.0.0.2 port 80 tcp: not allowed by 4 rules")
    config.write_text(
        config.read_text()
        + '[[allow]]\ncomment = "load test"\nexpires = "never"\ndestination = "10.0.0.2"\n'
    )
    (tmp_path / "alerts.json.old").write_text(log.read_text())
    log.unlink()
    assert ask(capfd, config, start["alert_id"][:4])[0] == 0
    status, out = ask(capfd, config, start["alert_id"].upper())
    assert status == 0
    assert out.count("(load test)") == len(lines) - 1


def test_what_can_not_be_asked_is_said(capfd, config):
    def refused(status, says, *arguments):
        found = sensor_command(capfd, "allow", "test", *arguments, "--config", config)
        assert_fails(found, status, says)

    refused(64, "give an ALERT_ID, or a flow")
    refused(64, "exclude each other", "0123456789abcdef", "--task", "scan")
    refused(64, "goes with an ALERT_ID", "--task", "scan", "--alerts", "x")
    refused(64, "--source kitchen: is no address", "--source", "kitchen")
    refused(64, "--at soon: is no time", "--task", "scan", "--at", "soon")
    refused(66, "tells of no alert '0123456789abcdef'", "0123456789abcdef")


def test_the_list_tells_what_is_wrong_with_rules(capfd, config, tmp_path, monkeypatch):
    found = sensor_command(capfd, "allow", "list", "--config", config)
    assert found.out == (
        f"{config}:5  task scan, source 192.168.1.5/32  (scanner of the audit)\n"
        "    expires 2040-01-01T00:00:00.000000+0000; no running sensor tells of it\n"
        f"{config}:11  source 10.0.0.0/8, port 22, protocol tcp  (backup)\n"
        "    expires never; no running sensor tells of it\n"
        f"{config}:18  task scan, source 192.168.1.5/32, port 443  (covered)\n"
        "    expires 2039-01-01T00:00:00.000000+0000; no running sensor tells of it\n"
        f"    PROBLEM: {config}:5 (scanner of the audit) allows all of this already; take one of "
        "them out\n"
        f"{config}:25  task no_task, destination 2001:db8::/32  (old)\n"
        "    expires 2020-01-01T00:00:00.000000+0000; no running sensor tells of it\n"
        "    PROBLEM: it has expired, so it allows nothing; renew it or take it out\n"
    )
    first = {
        "place": f"{config}:5",
        "comment": "scanner of the audit",
        "expires": "2040-01-01T00:00:00.000000+0000",
        "matched": 3,
        "last": "2026-01-01T00:00:00.000000+0000",
    }
    second = {**first, "place": f"{config}:11", "comment": "backup", "expires": None}
    status = {
        "allow": [first, {**second, "matched": 0}, "x"],
        "statistics": {"alerts": {"iot-gateway/scan": 0, "rule/flow_rate": 1}},
    }
    (tmp_path / "status.json").write_text(json.dumps(status))
    out = sensor_command(capfd, "allow", "list", "--config", config).out
    assert "matched 3 rows, the last at 2026-01-01T00:00:00.000000+0000\n" in out
    assert "expires never; never matched\n" in out
    assert "PROBLEM: nobody looks for no_task; the tasks are flow_rate, scan\n" in out
    lines = sensor_command(capfd, "allow", "list", "--json", "--config", config).out.splitlines()
    assert json.loads(lines[0]) == {
        **first,
        "rule": "task scan, source 192.168.1.5/32",
        "problems": [],
    }
    assert [len(json.loads(line)["problems"]) for line in lines] == [0, 0, 1, 2]
    # The running sensor names rules by the path that it was given.
    monkeypatch.chdir(tmp_path)
    out = sensor_command(capfd, "allow", "list", "--config", config.name).out
    assert "matched 3 rows" in out
