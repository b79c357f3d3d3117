"""``replay --independent``: each capture as if it were alone, whatever the number of processes."""

import json

import pytest
from command import ROOT, sensor_command

DEMO, LATE = (
    ROOT / "tests/captures" / name for name in ("demo.pcap", "renegotiation-after-40.pcap")
)


def without_name(text):
    """Lines without the name of their capture, and the names in order."""
    records = [json.loads(line) for line in text.splitlines()]
    names = [record.pop("pcap_filename") for record in records]
    return records, names


@pytest.mark.parametrize("jobs", [1, 2])
def test_alerts_and_statistics_are_those_of_each_capture_alone(capfd, tmp_path, jobs):
    files = (LATE, DEMO)  # not in order of time
    alone, expected = [], []
    for file in files:
        stats = tmp_path / "alone.json"
        outcome = sensor_command(capfd, "replay", file, "--no-models", "--stats", stats)
        expected += [json.loads(line) for line in outcome.out.splitlines()]
        alone.append(json.loads(stats.read_text()))
    stats = tmp_path / "each.jsonl"
    outcome = sensor_command(
        capfd, "replay", "--independent", *files, "--no-models", "--stats", stats, "--jobs", jobs
    )
    assert outcome.status == 0
    records, names = without_name(outcome.out)
    assert records == expected
    assert names == sorted(names, key=[str(file) for file in files].index)
    assert len(records) > 2  # the rule finds the flood of the demo
    found, names = without_name(stats.read_text())
    assert names == [str(file) for file in files]
    for mine, theirs in zip(found, alone, strict=True):
        assert mine.keys() == theirs.keys()
        assert mine["packets"] == theirs["packets"]
        assert mine["flows"] == theirs["flows"]


def test_a_capture_that_fails_keeps_no_other_from_being_replayed(capfd, tmp_path):
    cut, missing = tmp_path / "cut.pcap", tmp_path / "missing.pcap"
    cut.write_bytes(DEMO.read_bytes()[:-5])
    other = tmp_path / "other.pcap"
    other.write_bytes(DEMO.read_bytes())
    outcome = sensor_command(
        capfd, "replay", "--independent", cut, missing, other, "--no-models", "-o", tmp_path / "a"
    )
    assert outcome.status == 80
    first, second = outcome.err.splitlines()
    assert "cut.pcap: record" in first
    assert "missing.pcap: can't be opened" in second
    _, names = without_name((tmp_path / "a").read_text())
    assert set(names) == {str(cut), str(other)}


@pytest.mark.parametrize("other", [("--summary",), ("--profile",), ("-",)])
def test_what_is_about_one_stream_is_refused(capfd, other):
    outcome = sensor_command(capfd, "replay", "--independent", DEMO, *other)
    assert outcome.status == 64
    assert "--independent" in outcome.err
