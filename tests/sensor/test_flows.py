import csv
import json

import frames
import pytest
from command import assert_fails, conversation, flood, sensor_command
from frames import ethernet, ipv4, tcp


@pytest.fixture
def capture(tmp_path):
    return frames.write_pcap(tmp_path / "x.pcap", *conversation(packets=20))


def test_rows_are_json_lines_by_default(capfd, capture):
    outcome = sensor_command(capfd, "flows", capture)
    assert (outcome.status, outcome.err) == (0, "")
    full, rest = map(json.loads, outcome.out.splitlines())
    assert (full["src_ip"], full["src_port"]) == ("10.0.0.9", 40_000)
    assert (full["dest_ip"], full["dest_port"], full["protocol"]) == ("10.0.0.3", 443, 6)
    assert full["direction"] == [1, -1] * 8
    assert full["payload_length"] == [10 * k for k in range(16)]
    assert full["ip_length"] == [40 + 10 * k for k in range(16)]
    assert full["interarrival_us"] == [0] + [10_000] * 15
    assert full["tcp_flags"] == [0x02, 0x12] + [0x10] * 14
    assert (full["end_reason"], full["length"], full["row"]) == ("full", 16, 0)
    assert (rest["end_reason"], rest["length"], rest["sequence_index"]) == ("idle", 4, 1)
    assert rest["payload_length"] == [160, 170, 180, 190]


def test_length_of_sequences(capfd, capture):
    outcome = sensor_command(capfd, "flows", capture, "--n", 5)
    rows = [json.loads(line) for line in outcome.out.splitlines()]
    assert [row["length"] for row in rows] == [5, 5, 5, 5]


def test_hops_and_windows_are_there_where_they_are_asked_for(capfd, tmp_path):
    segments = [tcp("10.0.0.9", 1, "10.0.0.3", 443, 0x10, window=k * 1_000) for k in range(20)]
    contents = [
        ethernet(ipv4(segment, 6, "10.0.0.9", "10.0.0.3", ttl=200 + k))
        for k, segment in enumerate(segments)
    ]
    path = frames.write_pcap(tmp_path / "y.pcap", contents, [k * 10**7 for k in range(20)])
    plain = [json.loads(x) for x in sensor_command(capfd, "flows", path).out.splitlines()]
    options = ("--with", "tcp_window", "--with", "ttl")
    both = [json.loads(x) for x in sensor_command(capfd, "flows", path, *options).out.splitlines()]
    assert len(plain) == len(both) == 2
    for row, wide, first, last in zip(plain, both, (0, 16), (16, 20), strict=True):
        assert wide == {
            **row,
            "ttl": [200 + k for k in range(first, last)],
            "tcp_window": [k * 1_000 for k in range(first, last)],
        }
        assert list(wide) == [*row, "ttl", "tcp_window"]
    out = sensor_command(capfd, "flows", path, "--with", "ttl", "--with", "ttl", "-o", "-").out
    assert [list(json.loads(line)) for line in out.splitlines()] == [[*plain[0], "ttl"]] * 2
    assert_fails(sensor_command(capfd, "flows", path, "--with", "wire_length"), 64, "--with")


def test_csv_has_the_same_rows(capfd, capture, tmp_path):
    path = tmp_path / "rows.csv"
    expected = [json.loads(x) for x in sensor_command(capfd, "flows", capture).out.splitlines()]
    assert sensor_command(capfd, "flows", capture, "-o", path).out == ""
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(expected) == 2
    for row, wanted in zip(rows, expected, strict=True):
        assert list(row) == list(wanted)
        for name, value in wanted.items():
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            assert row[name] == text


def test_parquet_has_the_same_rows(capfd, capture, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `parquet`")
    path = tmp_path / "rows.parquet"
    expected = [json.loads(x) for x in sensor_command(capfd, "flows", capture).out.splitlines()]
    assert sensor_command(capfd, "flows", capture, "-o", path).status == 0
    assert parquet.read_table(path).to_pylist() == expected


def test_statistics_alone_write_no_rows(capfd, tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(50))
    outcome = sensor_command(capfd, "flows", path, "--stats", "-")
    counted = json.loads(outcome.out)
    assert (counted["packets"], counted["flows"], counted["scored"]) == (50, 50, 0)
    assert counted["sequences"]["early"] == 50
    assert counted["bytes"] == 50 * 54


def test_statistics_beside_rows(capfd, capture, tmp_path):
    stats = tmp_path / "stats.json"
    outcome = sensor_command(capfd, "flows", capture, "-o", "-", "--stats", stats)
    assert len(outcome.out.splitlines()) == 2
    assert json.loads(stats.read_text())["sequences"]["full"] == 1
    outcome = sensor_command(capfd, "flows", capture, "-o", "-", "--stats", "-")
    assert_fails(outcome, 64, "standard output", "two outputs")


def test_refusals_are_counted(capfd, tmp_path):
    contents = [frames.arp_frame("10.0.0.1", "10.0.0.2"), b"short"]
    path = frames.write_pcap(tmp_path / "x.pcap", contents)
    counted = json.loads(sensor_command(capfd, "flows", path, "--stats", "-").out)
    assert counted["decoded"] == 0
    refused = {reason: count for reason, count in counted["refused"].items() if count}
    assert refused == {"not_ip": 1, "truncated_frame": 1}


def test_other_formats_are_refused(capfd, capture, tmp_path):
    outcome = sensor_command(capfd, "flows", capture, "-o", tmp_path / "rows.xlsx")
    assert_fails(outcome, 64, "rows.xlsx", ".parquet")


def test_truncated_capture_writes_its_rows_first(capfd, capture):
    capture.write_bytes(capture.read_bytes()[:-1])
    outcome = sensor_command(capfd, "flows", capture)
    assert outcome.status == 80
    assert len(outcome.out.splitlines()) == 1  # three packets are too few for a second row
    assert "record 20 at byte" in outcome.err
    assert outcome.err.count("\n") == 1
