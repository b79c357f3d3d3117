import json
import stat
import subprocess
import sys

import frames
import pytest
from command import (
    ROOT,
    START,
    assert_fails,
    conversation,
    flood,
    sensor_command,
    sensor_process,
)


@pytest.fixture
def capture(tmp_path):
    """A flood of 100 flows to one victim, and one long connection to another host."""
    contents, times = flood()
    other, other_times = conversation(packets=40)
    order = sorted(zip(times + other_times, contents + other, strict=True), key=lambda x: x[0])
    path = tmp_path / "flood.pcap"
    return frames.write_pcap(path, [c for _, c in order], [t for t, _ in order], frames.NANOS_LE)


def events(text):
    return [
        (record["alert"]["metadata"]["multa"]["event"], record["alert"]["target"]["ip"])
        for record in map(json.loads, text.splitlines())
    ]


def test_alerts_are_lines_on_standard_output(capfd, capture):
    outcome = sensor_command(capfd, "replay", capture, "--no-models")
    assert outcome.status == 0
    assert outcome.err == ""
    # It opens at the 30th flow, and has 100 of them at its second tenfold.
    assert events(outcome.out) == [(kind, "10.0.0.2") for kind in ("start", "update", "end")]
    start, update, end = (
        json.loads(line)["alert"]["metadata"]["multa"] for line in outcome.out.splitlines()
    )
    assert len({record["alert_id"] for record in (start, update, end)}) == 1
    # The 30th flow scores 30 / 60: that opens it. Rows 30 to 100 are positive: 71 flows.
    assert (start["flows"], update["flows"], end["flows"]) == (1, 10, 71)
    assert not any(key in outcome.out for key in ('"host"', '"in_iface"', '"emitted_at"'))


def test_file_is_replaced_and_private(capfd, capture, tmp_path):
    path = tmp_path / "alerts.json"
    for _ in range(2):
        outcome = sensor_command(capfd, "replay", capture, "--no-models", "-o", path)
        assert (outcome.status, outcome.out) == (0, "")
        assert len(path.read_text().splitlines()) == 3
    assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0


def test_replay_again_is_the_same_bytes(capfd, capture, random_bundle):
    first, second = (
        sensor_command(capfd, "replay", capture, "--models", random_bundle) for _ in range(2)
    )
    assert first == second
    assert first.status == 0
    assert first.out


def test_statistics_are_one_object(capfd, capture, random_bundle):
    arguments = ("replay", capture, "-m", random_bundle, "-o", "/dev/null", "--stats", "-")
    outcome = sensor_command(capfd, *arguments)
    counted = json.loads(outcome.out)
    assert counted["packets"] == counted["decoded"] == 140
    assert counted["flows"] == 101
    # Every SYN is a row after a second; the connection has two full sequences and 8 packets.
    assert counted["sequences"] == {"full": 2, "early": 100, "closed": 0, "idle": 1, "evicted": 0}
    assert counted["scored"] == 103
    assert counted["incidents"]["counting-rule/flow_rate"] == 1
    assert counted["alerts"]["counting-rule/flow_rate"] == 3
    assert counted["alerts_written"] == sum(counted["alerts"].values())
    assert counted["first_packet"] == "2023-11-14T22:13:20.000000+0000"
    assert counted["kernel_drops"] == 0
    assert counted["truncated"] == []


def test_home_network_is_told_and_changes_nothing_else(capfd):
    # A flood from 10.77.202.70 to 10.77.202.8 (demo.labels.csv).
    arguments = ("replay", ROOT / "tests/captures/demo.pcap", "--no-models")
    plain = sensor_command(capfd, *arguments).out
    for given, roles, direction in (
        (("10.77.202.8",), ["victim"], "inbound"),
        (("10.77.202.64/26", "fd00::/8"), ["source"], "outbound"),
        (("10.77.202.8,10.77.202.70",), ["victim", "source"], "internal"),
        (("192.168.0.0/16",), [], "external"),
    ):
        options = [word for value in given for word in ("--home-net", value)]
        lines = sensor_command(capfd, *arguments, *options).out.splitlines()
        without = []
        for document in map(json.loads, lines):
            multa = document["alert"]["metadata"]["multa"]
            home = multa.pop("home")
            assert multa.pop("network") == {"direction": direction}
            assert home["roles"] == roles
            assert home["peers"] == (["10.77.202.70"] if "source" in roles else [])
            counts = dict.fromkeys(("external", "inbound", "outbound", "internal"), 0)
            assert home["flows"] == {**counts, direction: multa["flows"]}
            without.append(json.dumps(document, separators=(",", ":")))
        assert without == plain.splitlines() != []


def test_several_files_are_one_stream(capfd, tmp_path):
    contents, times = flood()
    halves = []
    for number in (1, 0):
        part = slice(number * 50, number * 50 + 50)
        path = tmp_path / f"half{number}.pcap"
        halves.append(frames.write_pcap(path, contents[part], times[part]))
    whole = frames.write_pcap(tmp_path / "whole.pcap", contents, times)
    split = sensor_command(capfd, "replay", *halves, "--no-models")
    assert split.out == sensor_command(capfd, "replay", whole, "--no-models").out != ""


def test_standard_input(capture):
    with capture.open("rb") as file:
        done = sensor_process("replay", "-", "--no-models", stdin=file)
    assert done.returncode == 0
    assert len(events(done.stdout.decode())) == 3


def test_truncated_capture_is_processed_and_then_said(capfd, capture, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-7])
    out, stats = tmp_path / "alerts.json", tmp_path / "stats.json"
    outcome = sensor_command(capfd, "replay", cut, "--no-models", "-o", out, "--stats", stats)
    assert_fails(outcome, 80, cut, "record 140", "is cut off")
    assert len(events(out.read_text())) == 3
    counted = json.loads(stats.read_text())
    assert counted["packets"] == 139
    assert counted["truncated"] == [outcome.err.removeprefix("multa-sensor: error: ").rstrip()]


def test_summary_tells_of_victims(capfd, capture):
    arguments = ("replay", capture, "--no-models", "-o", "/dev/null", "--summary")
    outcome = sensor_command(capfd, *arguments)
    assert outcome.out == ""
    assert "140 packets in 101 flows" in outcome.err
    assert "flow_rate: 1 incident" in outcome.err
    assert "victim 10.0.0.2" in outcome.err


@pytest.mark.parametrize(("packets", "status"), [(100, 1), (20, 0)])
def test_fail_on_alert(capfd, tmp_path, packets, status):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(packets))
    outcome = sensor_command(capfd, "replay", path, "--no-models", "--fail-on-alert")
    assert (outcome.status, outcome.err) == (status, "")


def test_rule_and_models_can_be_left_out(capfd, capture, random_bundle):
    arguments = ("replay", capture, "-o", "/dev/null", "--stats", "-")
    alone = json.loads(sensor_command(capfd, *arguments, "-m", random_bundle, "--no-rule").out)
    assert {name.split("/")[0] for name in alone["alerts"]} == {"random"}
    outcome = sensor_command(capfd, *arguments, "--no-models", "--no-rule")
    assert_fails(outcome, 64, "nothing to detect with")
    outcome = sensor_command(capfd, *arguments, "--no-models", "-m", random_bundle)
    assert_fails(outcome, 64, "exclude each other")


def test_empty_capture_gives_nothing(capfd, tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", [])
    outcome = sensor_command(capfd, "replay", path, "--no-models", "--stats", tmp_path / "s")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
    counted = json.loads((tmp_path / "s").read_text())
    assert (counted["packets"], counted["first_packet"]) == (0, None)


def test_sensor_process_never_loads_tensorflow(capture, random_bundle):
    code = (
        "import sys; from sensor.cli import main\n"
        f"try: main(['replay', '{capture}', '-m', '{random_bundle}', '-o', '/dev/null'])\n"
        "except SystemExit: pass\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras', 'trainer')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_times_are_those_of_packets(capfd, capture):
    outcome = sensor_command(capfd, "replay", capture, "--no-models")
    stamps = [json.loads(line)["timestamp"] for line in outcome.out.splitlines()]
    # The 30th SYN comes 29 ms after the first; its row is decided a second later.
    assert stamps[0] == "2023-11-14T22:13:21.029000+0000"
    assert stamps == sorted(stamps)
    assert START == 1_700_000_000_000_000_000


def test_profile_tells_of_each_hop_and_changes_nothing(capfd, capture):
    plain = sensor_command(capfd, "replay", capture, "--no-models")
    outcome = sensor_command(capfd, "replay", capture, "--no-models", "--profile")
    assert (outcome.status, outcome.out) == (0, plain.out)
    header, *hops = outcome.err.splitlines()
    assert header.split() == ["hop", "seconds", "share", "ns/packet", "µs/flow"]
    expected = "read walk decode table lookup group context emit inference alerts the all"
    assert [line.split()[0] for line in hops] == expected.split()
    *parts, whole = (float(line.split("%")[0].split()[-2]) for line in hops)
    assert sum(parts) == pytest.approx(whole, abs=0.01)


RULE_ALONE = "[models]\nactive = []\n"


@pytest.fixture
def configured(capfd, capture, tmp_path):
    """Lines of a replay with a configuration, and perhaps options."""

    def lines(text, *arguments):
        path = tmp_path / "sensor.toml"
        path.write_text(RULE_ALONE + text)
        outcome = sensor_command(capfd, "replay", capture, "--config", path, *arguments)
        assert (outcome.status, outcome.err) == (0, "")
        return [json.loads(line) for line in outcome.out.splitlines()]

    return lines


def roles(lines):
    return [line["alert"]["metadata"]["multa"]["home"]["roles"] for line in lines]


def test_configuration_decides_on_alerts(capfd, capture, configured):
    plain = sensor_command(capfd, "replay", capture, "--no-models").out
    assert configured("") == [json.loads(line) for line in plain.splitlines()]
    assert {line["alert"]["severity"] for line in configured("")} == {2}
    severe = configured("[alerts.severity]\nflow_rate = 1\n")
    assert [line["alert"]["severity"] for line in severe] == [1, 1, 1]
    home = "[network]\nhome = ['10.0.0.0/24']\n"
    assert roles(configured(home)) == [["victim"]] * 3
    assert roles(configured(home, "--home-net", "192.168.0.0/16")) == [[]] * 3


def test_allowed_flows_raise_no_alert_as_long_as_the_rule_holds(configured):
    rule = "[[allow]]\ncomment = 'a test'\ndestination = '10.0.0.2'\nport = 80\nexpires = "
    assert configured(rule + "'never'\n") == []
    # Packets are of 2023-11-14, and so is the clock that rules are held against.
    assert configured(rule + "2023-11-15\n") == []
    assert len(configured(rule + "2023-11-14\n")) == 3
    assert len(configured(rule.replace("80", "81") + "'never'\n")) == 3


def test_independent_replay_takes_the_configuration_too(configured):
    rule = "[[allow]]\ncomment = 'a test'\ntask = 'flow_rate'\nexpires = 'never'\n"
    assert configured(rule, "--independent") == []
    severe = configured("[alerts.severity]\nflow_rate = 3\n", "--independent")
    assert [line["alert"]["severity"] for line in severe] == [3, 3, 3]


def test_evidence_is_kept_where_it_is_asked_for(capfd, configured, capture, tmp_path):
    folder = tmp_path / "evidence"
    lines = configured("[evidence]\ndirectory = 'elsewhere'\n", "--evidence", folder)
    (alert_id,) = {line["alert"]["metadata"]["multa"]["alert_id"] for line in lines}
    assert [path.name for path in folder.iterdir()] == [f"{alert_id}.json"]
    kept = json.loads((folder / f"{alert_id}.json").read_bytes())
    assert kept["alert"] == lines[-1]
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "file").write_text("")
    bad = sensor_command(
        capfd, "replay", capture, "--no-models", "--evidence", tmp_path / "file", "-o", "/dev/null"
    )
    assert_fails(bad, 74, "3 files of evidence could not be written")
