"""Streams that the caller has closed are the null device, never a file of ours."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys

import frames
import netns
import pytest
from command import ROOT, flood
from running import told, until

PYTHON = f"exec {sys.executable} -m sensor.cli"


def shell(command, **options):
    """Runs a command line, whose redirections may close streams."""
    return subprocess.run(
        ["sh", "-c", command], cwd=ROOT, capture_output=True, check=False, timeout=60, **options
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_replay_with_closed_streams_writes_what_it_writes_otherwise(tmp_path, closed):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(100))
    logs = [tmp_path / "closed.json", tmp_path / "open.json"]
    for log, redirection in zip(logs, (closed, ""), strict=True):
        done = shell(f"{PYTHON} replay {path} --no-models --summary -o {log} {redirection}")
        assert done.returncode == 0
        assert b"Traceback" not in done.stderr
    assert logs[0].read_bytes() == logs[1].read_bytes() != b""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("-h >&-", 0),
        ("interfaces >&-", 0),
        ("replay - --no-models <&-", 65),
        ("replay none.pcap 2>&-", 66),
        ("replay none.pcap 2>/dev/full", 66),
        ("interfaces >/dev/full", 74),
    ],
)
def test_exit_status_is_that_of_the_outcome(arguments, status):
    done = shell(f"{PYTHON} {arguments}")
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_children_inherit_streams_that_were_closed():
    program = (
        "import subprocess, sys\n"
        "from sensor.streams import claim_standard_streams\n"
        "claim_standard_streams()\n"
        "sys.exit(subprocess.run(['sh', '-c', 'echo x; echo y >&2']).returncode)"
    )
    assert shell(f'exec {sys.executable} -c "{program}" >&- 2>&-').returncode == 0


@pytest.mark.network
def test_counters_never_land_in_the_alert_log(tmp_path):
    log, stats, path = (tmp_path / name for name in ("alerts.json", "stats.json", "notify"))
    with netns.link() as cable, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(60)
        arguments = f"run -i {cable.port} --no-models -o {log} --stats {stats}"
        process = subprocess.Popen(
            ["ip", "netns", "exec", cable.far, "sh", "-c", f"{PYTHON} {arguments} <&- >&- 2>&-"],
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(path)},
        )
        with process:
            assert manager.recv(100) == b"READY=1"
            process.send_signal(signal.SIGUSR1)
            netns.play(cable.near, cable.port, flood(60)[0])
            process.send_signal(signal.SIGUSR1)
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert len([json.loads(line)["alert"] for line in log.read_text().splitlines()]) == 3
    assert json.loads(stats.read_text())["packets"] == 60


def test_letters_that_an_encoding_does_not_have_are_question_marks():
    code = (
        "import sys; from sensor.streams import claim_standard_streams as claim; claim();"
        "print('caf\\xe9 \\u2588'); print('\\u253c', file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-1"}
    done = shell(f'{sys.executable} -c "{code}"', env=environment)
    assert (done.returncode, done.stdout) == (0, b"caf\xe9 ?\n")


@pytest.mark.network
def test_a_live_run_does_not_wait_for_who_reads_its_messages(tmp_path):
    """A pager, or a terminal that Ctrl-S has stopped, would else stop the capture."""
    log, unread = tmp_path / "alerts.json", os.pipe()
    os.set_blocking(unread[1], False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(unread[1], bytes(4096))
    os.set_blocking(unread[1], True)
    with netns.link() as cable:
        command = [sys.executable, "-m", "sensor.cli", "run", "-i", cable.port, "--no-models"]
        process = subprocess.Popen(
            ["ip", "netns", "exec", cable.far, *command, "-o", str(log)],
            cwd=ROOT,
            stderr=unread[1],
        )
        until(log.exists, "the log")
        until(lambda: netns.play(cable.near, cable.port, flood(60)[0]) and told(log), "alerts")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    for descriptor in unread:
        os.close(descriptor)
