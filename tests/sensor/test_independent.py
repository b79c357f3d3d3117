"""``replay --independent``: each capture as if it were alone, whatever the number of processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command import ROOT, assert_fails, sensor_command
from running import until

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


def test_jobs_of_one_stream_are_refused(capfd):
    assert_fails(sensor_command(capfd, "replay", DEMO, "--jobs", 2), 64, "--independent")


@pytest.fixture
def replaying(tmp_path):
    """Two processes that replay, from pipes to which nobody writes, and the one that began them."""
    pipes = [tmp_path / name for name in ("one", "other")]
    for pipe in pipes:
        os.mkfifo(pipe)
    command = [sys.executable, "-m", "sensor.cli", "replay", "--no-models", "--independent"]
    process = subprocess.Popen(
        [*command, "--jobs", "2", *map(str, pipes)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    writing = [os.open(pipe, os.O_WRONLY) for pipe in pipes]  # waits for the readers
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    yield process, [int(child) for child in children]
    for descriptor in writing:
        os.close(descriptor)
    process.kill()
    process.wait()
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nobody_is_left_when_the_first_process_is_ended(replaying, number):
    process, children = replaying
    assert len(children) == 2
    process.send_signal(number)
    assert process.wait() == -number
    until(lambda: not any(map(is_running, children)), "the other processes to end")


def test_a_process_that_was_killed_is_told(replaying):
    process, children = replaying
    os.kill(children[0], signal.SIGKILL)
    assert "was ended from outside" in process.communicate()[1]
    assert process.returncode == 71


def is_running(process):
    """Whether it is there, and not only for its parent to hear of its end."""
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
