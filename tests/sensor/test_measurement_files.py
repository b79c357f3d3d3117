"""Measurements as text."""

import csv
import json

import numpy as np
import pytest

from sensor.errors import OutputError, UsageError
from sensor.latency.measurements import ECHO_KIND, MEASUREMENT, SYN_KIND
from sensor.service.measurement_files import COLUMNS, SERIES, MeasurementFile, SeriesSummary


def found(*each):
    """Measurements from (ns, last byte of the peer, port, kind, round-trip time or None)."""
    records = np.zeros(len(each), MEASUREMENT)
    for record, (time, peer, port, kind, rtt) in zip(records, each, strict=True):
        record["version"], record["decided_ns"] = 4, time
        record["source_low"], record["destination_low"] = 0x0A000001, 0xC0000200 + peer
        record["destination_port"], record["kind"] = port, kind
        record["answered"], record["rtt_ns"] = rtt is not None, rtt or 0
    return records


THREE = found(
    (1_700_000_000_000_000_007, 1, 443, SYN_KIND, 1_234_567),
    (1_700_000_003_500_000_000, 1, 443, SYN_KIND, None),
    (1_700_000_004_000_000_000, 2, 99, ECHO_KIND, 5),
)
LINES = [
    ("1700000000.000000007", "192.0.2.1", "443", "syn", "1.234567", "10.0.0.1"),
    ("1700000003.500000000", "192.0.2.1", "443", "syn", "", "10.0.0.1"),
    ("1700000004.000000000", "192.0.2.2", "0", "echo", "0.000005", "10.0.0.1"),
]


def test_csv_and_json_lines_by_hand(tmp_path):
    for name in ("a.csv", "a.jsonl"):
        file = MeasurementFile(str(tmp_path / name))
        file.write(THREE[:1])
        file.write(THREE[1:])
        file.close()
    heading, *rows = csv.reader((tmp_path / "a.csv").read_text().splitlines())
    assert tuple(heading) == COLUMNS
    assert list(map(tuple, rows)) == LINES
    texts = (tmp_path / "a.jsonl").read_text().splitlines()
    records = [json.loads(text, parse_float=str) for text in texts]
    assert [tuple(record) for record in records] == [COLUMNS] * 3
    assert [
        (r["time"], r["peer"], str(r["port"]), r["kind"], r["rtt_ms"] or "", r["from"])
        for r in records
    ] == LINES
    assert records[1]["rtt_ms"] is None


def test_other_names_and_places_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"a\.txt: measurements are written as"):
        MeasurementFile(str(tmp_path / "a.txt"))
    with pytest.raises(OutputError, match=r"a\.csv: measurements can't be written \(no such file"):
        MeasurementFile(str(tmp_path / "none" / "a.csv"))


def test_a_full_disk_is_told(tmp_path):
    place = tmp_path / "full.csv"
    place.symlink_to("/dev/full")
    file = MeasurementFile(str(place))
    for act in (lambda: file.write(THREE), file.close):
        with pytest.raises(OutputError, match="no space left"):
            act()


def test_a_summary_by_hand():
    summary = SeriesSummary()
    assert summary.text() == "no round-trip time was measured\n"
    summary.add(THREE)
    times = [1_000_000 * k for k in range(1, 101)]
    summary.add(found(*((9, 3, 0, ECHO_KIND, time) for time in times)))
    assert summary.text() == (
        "peer       port  kind  answered  failed     median       95 %     longest\n"
        "192.0.2.3        echo       100       0  50.000 ms  95.000 ms  100.000 ms\n"
        "192.0.2.1   443  syn          1       1   1.230 ms   1.230 ms    1.230 ms\n"
        "192.0.2.2        echo         1       0   0.000 ms   0.000 ms    0.000 ms\n"
    )


def test_failed_measurements_count_in_the_order_of_a_summary():
    summary = SeriesSummary()
    silent = [(9, 7, 0, ECHO_KIND, rtt) for rtt in (5, None, None)]
    summary.add(found((9, 6, 0, ECHO_KIND, 5), (9, 6, 0, ECHO_KIND, 5), *silent))
    peers = [line.split()[0] for line in summary.text().splitlines()[1:]]
    assert peers == ["192.0.2.7", "192.0.2.6"]


def test_a_summary_has_a_limited_number_of_series():
    summary = SeriesSummary()
    summary.add(found(*((9, 1, k, SYN_KIND, 7) for k in range(SERIES + 5))))
    summary.add(found((9, 1, 3, SYN_KIND, 7)))
    lines = summary.text().splitlines()
    assert len(lines) == 1 + SERIES + 1
    assert lines[-1] == "and 5 measurements of other series"
    assert lines[1].split()[1:4] == ["3", "syn", "2"]
