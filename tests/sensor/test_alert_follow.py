"""Following an alert log: every line once, whole, whatever happens to the file meanwhile."""

import gzip
import os
import subprocess
import sys

import pytest
from alert_lines import alert_line
from command import ROOT

from sensor.reporting.alert_follow import GRACE_S, Follower
from sensor.reporting.alert_log import Unread


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def line(number):
    return alert_line(number, alert_id=f"{number:016x}")


def append(path, *numbers, rest=b""):
    with path.open("ab") as file:
        file.write(b"".join(line(number) for number in numbers) + rest)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "alerts.json"


@pytest.fixture
def unread():
    return Unread()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def follower(log, unread, clock):
    follower = Follower(log, unread, clock)
    yield follower
    follower.close()


def told(follower):
    known = {line(number)[:-1]: number for number in range(100)}
    return [known[text] for text in follower.lines()]


def test_a_log_that_is_not_there_is_waited_for(log, follower):
    assert follower.waiting
    assert told(follower) == []
    append(log, 1, 2)
    assert told(follower) == [1, 2]
    assert told(follower) == []
    assert not follower.waiting


def test_half_a_line_is_told_when_it_is_whole(log, follower):
    append(log, 1, rest=line(2)[:100])
    assert told(follower) == [1]
    with log.open("ab") as file:
        file.write(line(2)[100:-1])
    assert told(follower) == []
    with log.open("ab") as file:
        file.write(b"\n" + line(3))
    assert told(follower) == [2, 3]


def test_a_renamed_log_is_read_to_its_end_and_a_moment_longer(log, follower, clock, tmp_path):
    append(log, 1)
    assert told(follower) == [1]
    append(log, 2)
    log.rename(tmp_path / "alerts.json.1")
    assert told(follower) == [2]
    append(log, 10)
    assert told(follower) == [10]
    append(tmp_path / "alerts.json.1", 3)  # by a writer that looked at the name before
    append(log, 11)
    assert told(follower) == [3, 11]
    clock.now = GRACE_S + 1
    append(tmp_path / "alerts.json.1", 4)
    assert told(follower) == [4]
    append(tmp_path / "alerts.json.1", 5)
    assert told(follower) == []


def test_files_that_had_the_name_while_nobody_looked_are_found(log, unread, tmp_path):
    append(tmp_path / "alerts.json.5", 90)
    append(log, 1)
    follower = Follower(log, unread)
    assert told(follower) == [1]
    for number, name in ((2, "alerts.json.3"), (3, "alerts.json.2"), (4, "alerts.json.old")):
        written_s = 4_000_000_000 + number
        append(log, 10 * number)
        os.utime(log, (written_s, written_s))
        log.rename(tmp_path / name)
    append(log, 50)
    # The first of them is the file that is open.
    assert told(follower) == [20, 30, 40, 50]
    os.utime(tmp_path / "alerts.json.2", (4_000_009_000,) * 2)
    log.rename(tmp_path / "alerts.json.1")
    append(log, 60)
    assert told(follower) == [60]
    follower.close()


def test_a_log_that_is_being_packed_is_not_read_twice(log, follower, tmp_path):
    append(log, 1, 2)
    assert told(follower) == [1, 2]
    log.rename(tmp_path / "alerts.json.1")
    append(log, 3)
    # As long as it is being made it has neither all lines nor the time of the log.
    packed = tmp_path / "alerts.json.1.gz"
    packed.write_bytes(gzip.compress(line(1)))
    os.utime(packed, (4_000_000_000,) * 2)
    assert told(follower) == [3]


def test_a_log_that_was_cut_off_is_read_from_its_beginning(log, follower, unread):
    append(log, 1, 2, rest=b'{"half')
    assert told(follower) == [1, 2]
    os.truncate(log, 0)
    assert told(follower) == []
    append(log, 3)
    assert told(follower) == [3]
    assert unread.torn == 1


def test_a_log_that_was_written_anew_is_read_from_its_beginning(log, follower):
    append(log, 1)
    assert told(follower) == [1]
    with log.open("wb") as file:  # longer than it was before anybody looked again
        file.write(line(5) + line(6))
    os.utime(log, (4_000_000_000,) * 2)
    assert told(follower) == [5, 6]


def test_files_that_were_there_before_are_named_once(log, tmp_path, unread):
    append(log, 1)
    append(tmp_path / "alerts.json.1", 0)
    follower = Follower(log, unread)
    assert follower.rotated == [tmp_path / "alerts.json.1"]
    os.utime(tmp_path / "alerts.json.1", (4_000_000_000,) * 2)
    assert told(follower) == [1]
    log.rename(tmp_path / "alerts.json.2")
    append(log, 2)
    assert told(follower) == [2]
    follower.close()


def test_a_named_pipe_is_read_as_its_writers_write(log, follower):
    os.mkfifo(log)
    assert told(follower) == []
    writer = os.open(log, os.O_WRONLY)
    os.write(writer, line(1) + line(2)[:50])
    assert told(follower) == [1]
    os.write(writer, line(2)[50:])
    os.close(writer)
    assert told(follower) == [2]
    assert told(follower) == []


def test_nothing_is_lost_beside_a_writer_that_rotates(log, unread):
    """A process renames the log after every 20 lines; the reader looks as often as it can."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "sys.path[:0] = ['tests', '.']\n"
        "from alert_lines import alert_line\n"
        "from sensor.alerts.sinks import EventLog\n"
        f"log = EventLog({str(log)!r}, strict=True)\n"
        "for k in range(2000):\n"
        "    log.write(alert_line(0, alert_id=f'{k:016x}'))\n"
        "    if k % 20 == 19:\n"
        f"        Path({str(log)!r}).rename({str(log)!r} + f'.{{k:05}}')\n"
    )
    follower = Follower(log, unread)
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    found = []
    while process.poll() is None:
        found += follower.lines()
    log.touch()  # the last file was renamed
    found += follower.lines()
    follower.close()
    assert process.returncode == 0
    wanted = [alert_line(0, alert_id=f"{k:016x}")[:-1] for k in range(2000)]
    assert sorted(found) == wanted
    assert str(unread) == ""
