"""`multa-sensor alerts`, as a shell sees it."""

import os
import pty
import subprocess
import sys

import pytest
from alert_lines import alert_line
from command import ROOT, assert_fails, sensor_command, sensor_process
from running import until

FIRST, SECOND, THIRD = (
    alert_line(k, alert_id=f"{k:016x}", severity=k, task=task)
    for k, task in ((1, "syn_dos"), (2, "scan"), (3, "scan"))
)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "alerts.json"
    path.write_bytes(SECOND + THIRD)
    older = tmp_path / "alerts.json.1"
    older.write_bytes(FIRST)
    os.utime(older, (1_800_000_000,) * 2)
    return path


def lines_of(outcome):
    assert outcome.status == 0, outcome
    return outcome.out.encode().splitlines(keepends=True)


def test_json_is_the_lines_unchanged(capfd, log):
    assert lines_of(sensor_command(capfd, "alerts", log, "--json")) == [SECOND, THIRD]


def test_rotated_logs_are_read_where_they_are_asked_for(capfd, log):
    since = sensor_command(capfd, "alerts", log, "--json", "--since", "2026-11-21T12:00:00Z")
    assert lines_of(since) == [FIRST, SECOND, THIRD]
    late = sensor_command(capfd, "alerts", log, "--json", "--since", "2026-11-21T12:00:02Z")
    assert lines_of(late) == [SECOND, THIRD]
    until_two = ("--since", "2026-11-21T12:00:00Z", "--until", "2026-11-21T12:00:02Z")
    assert lines_of(sensor_command(capfd, "alerts", log, "--json", *until_two)) == [FIRST]
    assert lines_of(sensor_command(capfd, "alerts", log, "--json", "-n", 1)) == [THIRD]
    assert lines_of(sensor_command(capfd, "alerts", log, "--json", "-n", 3)) == [
        FIRST,
        SECOND,
        THIRD,
    ]
    severe = sensor_command(capfd, "alerts", log, "--json", "-n", 2, "--severity", 2)
    assert lines_of(severe) == [FIRST, SECOND]
    log.unlink()
    assert lines_of(sensor_command(capfd, "alerts", log, "--json", "-n", 9)) == [FIRST]


def test_no_more_logs_are_read_than_are_needed(capfd, log):
    log.with_name("alerts.json.1").write_bytes(b"would be told of\n")
    enough = sensor_command(capfd, "alerts", log, "--json", "-n", 2)
    assert (lines_of(enough), enough.err) == ([SECOND, THIRD], "")
    too_few = sensor_command(capfd, "alerts", log, "--json", "-n", 3)
    assert (lines_of(too_few), too_few.err.count("1 line is no alert")) == ([SECOND, THIRD], 1)


def test_the_configured_log_is_meant_where_none_is_named(capfd, log, tmp_path):
    settings = tmp_path / "sensor.toml"
    settings.write_text(f'[capture]\ninterfaces = ["eth0"]\n[alerts]\noutput = "{log}"\n')
    shown = sensor_command(capfd, "alerts", "--config", settings, "--json")
    assert lines_of(shown) == [SECOND, THIRD]


def test_filters_are_combined(capfd, log):
    scans = sensor_command(capfd, "alerts", log, "--task", "scan,x", "--severity", 2)
    (line,) = lines_of(scans)
    assert b"scan" in line
    assert b"0000000000000002" in line


def test_a_pipe_is_read_and_what_is_no_alert_told_once():
    outcome = sensor_process("alerts", "-", "--json", input=b"x\n" + FIRST + b"y\n" + SECOND[:50])
    assert (outcome.returncode, outcome.stdout) == (0, FIRST)
    assert outcome.stderr == (
        b"multa-sensor: -: 2 lines are no alert and 1 line has no end (left out)\n"
    )


def test_what_makes_no_sense_is_refused(capfd, log):
    assert_fails(sensor_command(capfd, "alerts", log, "-f", "--until", "1h"), 64, "--until")
    assert_fails(sensor_command(capfd, "alerts", log, "--since", "soon"), 64, "--since soon")
    assert_fails(sensor_command(capfd, "alerts", log, "--severity", "0"), 64, "severity")
    assert_fails(sensor_command(capfd, "alerts", log.parent / "no"), 66, "no such alert log")


@pytest.fixture
def following(log, tmp_path):
    """Starts `alerts -f` with more options, its output in a file."""
    started = []

    def start(*options):
        out = tmp_path / "out"
        with out.open("wb") as file, (tmp_path / "err").open("wb") as err:
            command = [sys.executable, "-m", "sensor.cli", "alerts", str(log), "-f", "--json"]
            process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=file, stderr=err)
        started.append(process)
        return out, process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_followed_log_shows_what_comes_across_rotation(following, log):
    out, process = following("--since", "2026-11-21T12:00:00Z")
    until(lambda: out.read_bytes() == FIRST + SECOND + THIRD, "what was there")
    log.rename(f"{log}.old")
    log.write_bytes(FIRST)
    until(lambda: out.read_bytes() == FIRST + SECOND + THIRD + FIRST, "what came")
    process.send_signal(2)
    assert process.wait() == 130
    assert out.with_name("err").read_bytes() == b""


def test_a_followed_log_begins_with_the_last_alerts(following, log):
    log.write_bytes(FIRST * 30 + SECOND)
    out, _ = following()
    until(lambda: out.read_bytes() == FIRST * 9 + SECOND, "the last ten")


def test_following_waits_for_a_log(following, log):
    log.unlink()
    out, _ = following("-n", "0")
    until(lambda: b"waiting for" in out.with_name("err").read_bytes(), "that it waits")
    log.write_bytes(THIRD)
    until(lambda: out.read_bytes() == THIRD, "the first alert")


def test_a_terminal_of_80_columns_has_days_and_short_lines(log):
    main_end, far_end = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TZ": "UTC", "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "sensor.cli", "alerts", str(log)]
    done = subprocess.run(command, cwd=ROOT, stdout=far_end, env=environment, check=True)
    os.close(far_end)
    text = os.read(main_end, 65_536).decode()
    os.close(main_end)
    assert done.returncode == 0
    assert "2026-11-21" in text.splitlines()[0]
    assert "\x1b[33m" in text
    assert "12:00:02" in text.splitlines()[1]
