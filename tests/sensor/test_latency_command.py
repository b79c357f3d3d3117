"""`multa-sensor latency`, from capture files to lines."""

import csv
import json

import frames
from command import ROOT, assert_fails, sensor_command
from latency_reference import Reference
from latency_traffic import traffic


def captured(tmp_path, seed=2, exchanges=80):
    sent = traffic(seed, exchanges)
    times, contents = zip(*sent, strict=True)
    path = frames.write_pcap(tmp_path / "a.pcap", contents, times, frames.NANOS_LE)
    reference = Reference()
    # a file's packets keep their places, and time is what they say
    for each in sent:
        reference.add(*each)
    reference.finish()
    return path, reference


def left_out(reference):
    """The last line on standard error."""
    assert (reference.ambiguous, reference.unknown) == (1, 15)
    return "not measured: 1 ambiguous answer, 15 unanswered packets to unknown peers\n"


def test_lines_are_the_measurements_in_order_of_time(capfd, tmp_path):
    path, reference = captured(tmp_path)
    expected = reference.measured
    outcome = sensor_command(capfd, "latency", path)
    assert (outcome.status, outcome.err) == (0, left_out(reference))
    records = [json.loads(line, parse_float=str) for line in outcome.out.splitlines()]
    assert len(records) == len(expected) > 60
    for record, one in zip(records, expected, strict=True):
        assert int(record["time"].replace(".", "")) == one.decided_ns
        assert record["kind"] == one.kind
        assert record["port"] == (one.ports[1] if one.kind == "syn" else 0)
        rtt = None if record["rtt_ms"] is None else int(record["rtt_ms"].replace(".", ""))
        assert rtt == (one.rtt_ns if one.answered else None)
    times = [float(record["time"]) for record in records]
    assert times == sorted(times)


def test_a_file_and_a_summary(capfd, tmp_path):
    path, reference = captured(tmp_path)
    expected = reference.measured
    output = tmp_path / "rtt.csv"
    outcome = sensor_command(capfd, "latency", path, "-o", output, "--summary")
    assert (outcome.status, outcome.err) == (0, left_out(reference))
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(expected)
    series = {(row["peer"], row["port"], row["kind"]) for row in rows}
    heading, *lines = outcome.out.splitlines()
    assert heading.split()[:3] == ["peer", "port", "kind"]
    assert len(lines) == len(series)
    failed = sum(not row["rtt_ms"] for row in rows)
    assert failed == sum(not one.answered for one in expected) > 0


def test_what_is_wrong_is_one_line(capfd, tmp_path):
    path, _ = captured(tmp_path, exchanges=5)
    assert_fails(sensor_command(capfd, "latency", tmp_path / "none.pcap"), 66, "none.pcap")
    for wrong, says in ((tmp_path / "a.txt", ".jsonl or .csv"), (path, "already")):
        assert_fails(sensor_command(capfd, "latency", path, "-o", wrong), 64, says)
    both = sensor_command(capfd, "latency", path, "-o", "-", "--summary")
    assert_fails(both, 64, "leave one out")


def test_a_file_that_was_cut_tells_what_came_before(capfd, tmp_path):
    path, reference = captured(tmp_path)
    path.write_bytes(path.read_bytes()[:-3])
    outcome = sensor_command(capfd, "latency", path)
    assert outcome.status == 80
    assert len(outcome.out.splitlines()) >= len(reference.measured) - 2
    assert "a.pcap" in outcome.err


def test_nothing_is_said_where_everything_was_measured(capfd, tmp_path):
    pairs = ((("10.0.0.1", "10.0.0.2"), 8), (("10.0.0.2", "10.0.0.1"), 0))
    ping = [frames.icmp_frame(*ends, kind, 0, b"\0\1\0\2") for ends, kind in pairs]
    path = frames.write_pcap(tmp_path / "a.pcap", ping, [10**9, 2 * 10**9], frames.NANOS_LE)
    outcome = sensor_command(capfd, "latency", path)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.count("\n") == 1


def test_statistics_count_what_could_not_be_measured(capfd, tmp_path):
    path, reference = captured(tmp_path)
    counted = tmp_path / "stats.json"
    models = ("-m", ROOT / "models" / "latency", "--no-rule", "-o", tmp_path / "alerts.json")
    assert sensor_command(capfd, "replay", path, *models, "--stats", counted).status == 0
    stats = json.loads(counted.read_text())
    assert stats["answers_ambiguous"] == reference.ambiguous
    assert stats["measurements_unknown"] == reference.unknown
