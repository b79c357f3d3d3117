"""The alert log: whole lines, rotation, full disks, and nobody listening."""

import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from running import until

from sensor.alerts import sinks
from sensor.alerts.sinks import EventLog
from sensor.errors import OutputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def log_path(tmp_path):
    return tmp_path / "log" / "alerts.jsonl"


@pytest.fixture
def log(log_path):
    log_path.parent.mkdir()
    log = EventLog(str(log_path), strict=False)
    yield log
    log.close()


@pytest.fixture
def file_size_limit():
    """Sets the size at which writing to a file fails with EFBIG, as on a full disk, mid-line.

    A test lifts it (with None) before its end: pytest itself may be writing to a file.
    """
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(
        resource.RLIMIT_FSIZE, old if size is None else (size, old[1])
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    signal.signal(signal.SIGXFSZ, handler)


def test_lines_are_appended_and_seen_at_once(log, log_path):
    log.write(b"one\n")
    assert log_path.read_bytes() == b"one\n"
    again = EventLog(str(log_path), strict=True)
    again.write(b"two\n")
    log.write(b"three\n")
    again.close()
    again.close()
    assert log_path.read_bytes() == b"one\ntwo\nthree\n"
    assert (log.written, log.spooled, log.lost, log.failures) == (2, 0, 0, 0)


def test_a_new_file_is_readable_by_its_group_only(tmp_path):
    umask = os.umask(0o022)
    EventLog(str(tmp_path / "alerts"), strict=True).close()
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "alerts").stat().st_mode) == 0o640


@pytest.mark.parametrize("path", ["absent/alerts", ".", "file/alerts"])
@pytest.mark.parametrize("strict", [False, True])
def test_what_cannot_be_opened_is_an_error_at_once(tmp_path, path, strict):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"alerts can't be opened \(.+\); make room or choose"):
        EventLog(str(tmp_path / path), strict=strict)


def test_a_full_disk_ends_a_replay():
    log = EventLog("/dev/full", strict=True)
    with pytest.raises(OutputError, match="/dev/full: alerts can't be written"):
        log.write(b"one\n")
    log.close()
    assert (log.written, log.lost) == (0, 1)


def test_a_full_disk_is_survived_within_the_bound():
    log = EventLog("/dev/full", strict=False)
    for _ in range(sinks.SPOOL_LINES + 5):
        log.write(b"line\n")
    assert (log.written, log.spooled, log.lost) == (0, sinks.SPOOL_LINES, 5)
    log.close()
    assert (log.spooled, log.lost) == (0, sinks.SPOOL_LINES + 5)


def test_a_torn_line_is_completed_when_there_is_room_again(log, log_path, file_size_limit):
    log.write(b"first line\n")
    file_size_limit(16)
    log.write(b"second line\n")
    log.write(b"third line\n")
    assert log_path.read_bytes() == b"first line\nsecon"
    assert (log.written, log.spooled) == (1, 2)
    assert log.failures >= 2
    file_size_limit(None)
    log.flush()
    assert log_path.read_bytes() == b"first line\nsecond line\nthird line\n"
    assert (log.written, log.spooled, log.lost) == (3, 0, 0)


def test_a_torn_line_is_whole_in_the_file_after_rotation(log, log_path, file_size_limit):
    file_size_limit(4)
    log.write(b"first line\n")
    log_path.rename(log_path.with_suffix(".1"))
    file_size_limit(None)
    log.write(b"second line\n")
    assert log_path.read_bytes() == b"first line\nsecond line\n"
    assert log_path.with_suffix(".1").read_bytes() == b"firs"


def test_the_latest_lines_are_lost_and_the_order_is_kept(
    log, log_path, file_size_limit, monkeypatch
):
    monkeypatch.setattr(sinks, "SPOOL_LINES", 3)
    file_size_limit(0)
    for number in range(5):
        log.write(b"%d\n" % number)
    file_size_limit(None)
    log.write(b"5\n")
    assert log_path.read_bytes() == b"0\n1\n2\n5\n"
    assert (log.written, log.spooled, log.lost) == (4, 0, 2)


def test_reopening_after_rotation_goes_on_in_a_new_file(log, log_path):
    log.write(b"one\n")
    log_path.rename(log_path.with_suffix(".1"))
    log.reopen()
    assert log_path.read_bytes() == b""
    log.write(b"two\n")
    assert log_path.read_bytes() == b"two\n"
    assert log_path.with_suffix(".1").read_bytes() == b"one\n"


@pytest.mark.parametrize("rotate", [Path.unlink, lambda path: path.rename(path.with_suffix(".1"))])
def test_a_file_that_went_away_unannounced_is_made_anew(log, log_path, rotate):
    log.write(b"one\n")
    rotate(log_path)
    log.write(b"two\n")
    assert log_path.read_bytes() == b"two\n"


def test_a_folder_that_went_away_is_waited_for(log, log_path):
    log.write(b"one\n")
    log_path.unlink()
    log_path.parent.rmdir()
    log.write(b"two\n")
    log.reopen()
    assert (log.written, log.spooled, log.failures) == (1, 1, 3)
    log_path.parent.mkdir()
    log.write(b"three\n")
    assert log_path.read_bytes() == b"two\nthree\n"
    assert (log.written, log.spooled, log.lost) == (3, 0, 0)


@pytest.fixture
def short_log(log_path):
    log_path.parent.mkdir()
    log = EventLog(str(log_path), strict=False, limit_bytes=10)
    yield log
    log.close()


def old(path):
    return path.with_name(path.name + sinks.OLD_SUFFIX)


def test_a_full_file_is_renamed_and_the_one_before_it_goes(short_log, log_path):
    for line in (b"1234\n", b"5678\n", b"a\n", b"bcdefgh\n", b"i\n"):
        short_log.write(line)
    # 5 + 5 bytes fit exactly, 2 + 8 bytes too; the last line begins a third file.
    assert (log_path.read_bytes(), old(log_path).read_bytes()) == (b"i\n", b"a\nbcdefgh\n")
    assert (short_log.written, short_log.rotations, short_log.failures) == (5, 2, 0)
    assert sorted(path.name for path in log_path.parent.iterdir()) == [
        "alerts.jsonl",
        "alerts.jsonl.old",
    ]


def test_what_the_file_held_before_counts_too(log_path):
    log_path.parent.mkdir()
    log_path.write_bytes(b"from before\n")
    log = EventLog(str(log_path), strict=False, limit_bytes=14)
    log.write(b"12\n")
    log.close()
    assert (log_path.read_bytes(), old(log_path).read_bytes()) == (b"12\n", b"from before\n")


def test_a_line_longer_than_a_file_may_be_has_one_of_its_own(short_log, log_path):
    short_log.write(b"more than ten bytes\n")
    assert log_path.read_bytes() == b"more than ten bytes\n"
    assert short_log.rotations == 0
    short_log.write(b"next\n")
    assert log_path.read_bytes() == b"next\n"


def test_the_target_of_a_link_is_renamed_and_not_the_link(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "alerts").symlink_to(tmp_path / "big" / "log")
    log = EventLog(str(tmp_path / "alerts"), strict=False, limit_bytes=4)
    for line in (b"one\n", b"two\n", b"six\n"):
        log.write(line)
    log.close()
    assert (tmp_path / "alerts").is_symlink()
    assert (tmp_path / "big" / "log").read_bytes() == b"six\n"
    assert (tmp_path / "big" / "log.old").read_bytes() == b"two\n"


def test_a_full_file_that_cannot_be_renamed_takes_no_more(short_log, log_path):
    old(log_path).mkdir()
    for line in (b"12345678\n", b"90\n"):
        short_log.write(line)
    assert log_path.read_bytes() == b"12345678\n"
    assert (short_log.spooled, short_log.failures) == (1, 1)
    old(log_path).rmdir()
    short_log.flush()
    assert log_path.read_bytes() == b"90\n"
    assert old(log_path).read_bytes() == b"12345678\n"


def test_a_torn_line_is_whole_after_the_file_was_full(short_log, log_path, file_size_limit):
    file_size_limit(8)
    short_log.write(b"1234\n")
    short_log.write(b"5678\n")
    assert (log_path.read_bytes(), short_log.spooled) == (b"1234\n567", 1)
    short_log._limit_bytes = 8  # as if somebody else had filled the file meanwhile
    file_size_limit(None)
    short_log.flush()
    assert (log_path.read_bytes(), old(log_path).read_bytes()) == (b"5678\n", b"1234\n567")


def test_who_follows_the_name_finds_every_line(short_log, log_path):
    """`tail -F` reads on in the renamed file to its end, then in the new one."""
    short_log.write(b"0001\n")
    with subprocess.Popen(
        ["tail", "-n", "+1", "-F", "-s", "0.01", str(log_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as follower:
        seen = [follower.stdout.readline()]
        for number in range(2, 8):
            short_log.write(b"%04d\n" % number)
            seen.append(follower.stdout.readline())
        follower.terminate()
    assert seen == [b"%04d\n" % number for number in range(1, 8)]
    assert short_log.rotations == 3


def test_a_file_that_another_sensor_has_just_renamed_is_not_renamed_again(
    short_log, log_path, monkeypatch
):
    """Else the new file would replace the full one, and all its lines would be gone."""
    lock = sinks.fcntl.flock

    def too_late(descriptor, operation):
        if not old(log_path).exists():
            log_path.rename(old(log_path))
            log_path.write_bytes(b"new\n")
        lock(descriptor, operation)

    monkeypatch.setattr(sinks.fcntl, "flock", too_late)
    short_log.write(b"12345678\n")
    short_log.write(b"next\n")
    assert old(log_path).read_bytes() == b"12345678\n"
    assert log_path.read_bytes() == b"new\nnext\n"
    assert (short_log.rotations, short_log.failures) == (0, 0)


def test_a_file_that_another_sensor_is_renaming_takes_the_line(short_log, log_path):
    short_log.write(b"12345678\n")
    with log_path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        short_log.write(b"next\n")
        assert log_path.read_bytes() == b"12345678\nnext\n"
    short_log.write(b"last\n")
    assert log_path.read_bytes() == b"last\n"
    assert old(log_path).read_bytes() == b"12345678\nnext\n"


def test_who_could_not_rename_it_holds_no_lock(short_log, log_path):
    old(log_path).mkdir()
    for line in (b"12345678\n", b"90\n"):
        short_log.write(line)
    with log_path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_devices_have_no_greatest_length():
    log = EventLog("/dev/null", strict=False, limit_bytes=4)
    for _ in range(3):
        log.write(b"line\n")
    log.close()
    assert (log.written, log.rotations, log.failures) == (3, 0, 0)


def test_descriptors_do_not_pile_up(log, log_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        log.reopen()
        log_path.unlink()
        log.write(b"line\n")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def child(program, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, **kwargs
    )


def test_standard_output_gets_the_lines_and_stays_open():
    program = """
from sensor.alerts.sinks import EventLog
log = EventLog("-", strict=True)
log.write(b"one\\n")
log.reopen()
log.write(b"two\\n")
log.close()
print("after")
"""
    with child(program) as process:
        assert process.stdout.read() == "one\ntwo\nafter\n"


@pytest.mark.parametrize(
    ("strict", "outcome"), [(True, "BrokenPipeError 0 2"), (False, "quiet 2 0")]
)
def test_a_reader_that_went_away_is_no_output_error(strict, outcome):
    program = f"""
import sys
from sensor.alerts.sinks import EventLog
log = EventLog("-", strict={strict})
sys.stdin.readline()
try:
    log.write(b"one\\n")
    outcome = "quiet"
except BrokenPipeError:
    outcome = "BrokenPipeError"
try:
    log.write(b"two\\n")
except BrokenPipeError:
    pass
sys.stderr.write(f"{{outcome}} {{log.spooled}} {{log.lost}}")
"""
    with child(program, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        process.stdin.write("go\n")
        process.stdin.close()
        assert process.stderr.read() == outcome


def test_a_pipe_is_written_when_it_has_a_reader_and_never_waited_for(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = EventLog(str(path), strict=False)
    log.write(b"one\n")
    assert (log.unread, log.spooled) == (True, 1)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log.write(b"two\n")
    assert (log.unread, log.spooled, os.read(reader, 100)) == (False, 0, b"one\ntwo\n")
    os.close(reader)
    log.write(b"three\n")
    assert (log.unread, log.spooled, log.lost) == (True, 1, 0)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log.flush()
    assert os.read(reader, 100) == b"three\n"
    # A reader that stands still, until the pipe is full.
    line = b"x" * 999 + b"\n"
    while not log.spooled:
        log.write(line)
    assert log.lost == 0
    os.close(reader)
    log.close()
    assert (log.spooled, log.lost) == (0, 1)


def test_one_interruption_is_enough_where_a_reader_stands_still():
    program = """
import contextlib, os, sys
from sensor.alerts.sinks import EventLog
log = EventLog("-", strict=True)
os.set_blocking(1, False)
with contextlib.suppress(BlockingIOError):
    while os.write(1, bytes(1 << 16)):
        pass
os.set_blocking(1, True)
print("full", file=sys.stderr, flush=True)
try:
    log.write(b"one\\n")
except KeyboardInterrupt:
    log.close()
sys.stderr.write(f"{log.spooled} {log.lost}")
"""
    with child(program, stderr=subprocess.PIPE) as process:
        assert process.stderr.readline() == "full\n"
        status = Path(f"/proc/{process.pid}/status")
        until(lambda: "State:\tS" in status.read_text(), "the write to wait")
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=30)[1] == "0 1"
        finally:
            process.kill()
