"""The command line itself: help, versions, pipes, interruptions and errors of the system."""

import errno
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import frames
import pytest
from command import ROOT, assert_fails, conversation, flood, sensor_command, sensor_process

import sensor
import sensor.cli
from sensor.cli import COMMANDS, replay


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_command(capfd, option):
    outcome = sensor_command(capfd, option)
    assert outcome.status == 0
    for name, text in COMMANDS.items():
        assert name in outcome.out
        assert text in outcome.out


@pytest.mark.parametrize(
    "command", [*([name] for name in COMMANDS), ["models", "list"], ["models", "inspect"]]
)
def test_help_of_every_command_has_an_example(capfd, command):
    outcome = sensor_command(capfd, *command, "-h")
    assert outcome.status == 0
    assert f"multa-sensor {' '.join(command)}" in outcome.out.split("Example")[1]


def test_version(capfd):
    assert sensor.__version__ in sensor_command(capfd, "--version").out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Missing command"),
        (["models"], "Missing command"),
        (["nonsense"], "No such command 'nonsense'"),
        (["replay"], "Missing argument 'FILE...'"),
        (["replay", "x.pcap", "--nonsense"], "No such option"),
        (["run"], "Missing option '--interface'"),
        (["flows", "x.pcap", "--n", "0"], "0 is not in the range 1<=x<=255"),
        (["flows", "x.pcap", "--key", "nonsense"], "'nonsense' is not one of 'five_tuple'"),
    ],
)
def test_wrong_usage_is_one_line_and_64(capfd, arguments, says):
    outcome = sensor_command(capfd, *arguments)
    assert_fails(outcome, 64, says)
    assert "-h)" in outcome.err


def test_closed_pipe_is_quiet(tmp_path):
    contents, times = flood(60_000)
    capture = frames.write_pcap(tmp_path / "x.pcap", contents, times)
    command = f"{sys.executable} -m sensor.cli flows {capture} | head -n 2; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 2
    assert done.returncode == 141


def test_interruption_is_130_and_quiet():
    # The replay waits for more of a pipe that stays open.
    with subprocess.Popen(
        [sys.executable, "-m", "sensor.cli", "replay", "-", "--no-models"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        contents, times = conversation()
        process.stdin.write(frames.pcap_bytes(contents, times))
        process.stdin.flush()
        wait_until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")


def wait_until_it_reads(pid):
    """Waits until a process hangs in read(0, ...), which is system call 0 or 63 by machine."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if Path(f"/proc/{pid}/syscall").read_text().split()[:2] in (["0", "0x0"], ["63", "0x0"]):
            return
    raise AssertionError("the process never came to read its input")


@pytest.mark.parametrize(
    ("code", "status"), [(errno.ENOSPC, 74), (errno.EIO, 74), (errno.EMFILE, 71)]
)
def test_error_of_the_system_is_one_line(capfd, monkeypatch, tmp_path, code, status):
    def fail(*_arguments, **_options):
        raise OSError(code, "Something of the system", "/a/file")

    monkeypatch.setattr(replay, "CaptureFiles", fail)
    outcome = sensor_command(capfd, "replay", tmp_path / "x.pcap")
    assert_fails(outcome, status, "/a/file: something of the system")


def test_names_that_are_no_text_do_not_break_messages(capfd, tmp_path):
    outcome = sensor_command(capfd, "flows", f"{tmp_path}/b\udcff.pcap")
    assert_fails(outcome, 66, "b\\udcff.pcap", "No such file")


def test_names_write_no_control_characters_on_the_terminal(capfd, tmp_path):
    name = tmp_path / "\x1b]0;owned\x07\x1b[2J\nü.pcap"
    outcome = sensor_command(capfd, "flows", name)
    assert_fails(outcome, 66, "\\x1b]0;owned\\x07\\x1b[2J ü.pcap: ")
    frames.write_pcap(name, [])
    outcome = sensor_command(capfd, "replay", name, "--no-models", "--summary")
    assert outcome.status == 0
    assert "\x1b]" not in outcome.err
    assert "\x07" not in outcome.err


def test_a_capture_that_is_given_twice_is_refused(capfd, tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *conversation())
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "copy").write_bytes(path.read_bytes())
    for again, says in ((path, "given twice; "), (tmp_path / "link", f"as {path} before")):
        for command in ("flows", "replay"):
            assert_fails(sensor_command(capfd, command, path, again), 64, again, says)
    assert sensor_command(capfd, "flows", path, tmp_path / "copy").status == 0


def test_module_is_the_command():
    done = sensor_process("--version")
    assert done.returncode == 0
    assert sensor.__version__.encode() in done.stdout


def test_commands_do_not_load_what_they_do_not_need():
    code = (
        "import sys; from sensor.cli import main\n"
        "try: main(['-h'])\n"
        "except SystemExit: pass\n"
        "print(sorted(m for m in ('numpy', 'ai_edge_litert', 'tensorflow') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["replay", "flows"])
@pytest.mark.parametrize("option", ["-o", "--stats"])
def test_a_capture_is_never_an_output(capfd, tmp_path, command, option):
    path = frames.write_pcap(tmp_path / "c.pcap", *flood())
    before = path.read_bytes()
    (tmp_path / "link").symlink_to(path)
    extra = ["--no-models"] if command == "replay" else []
    for name in (path, tmp_path / "." / "c.pcap", tmp_path / "link"):
        outcome = sensor_command(capfd, command, path, *extra, option, name)
        assert_fails(outcome, 64, name, "already")
        assert path.read_bytes() == before


def test_two_outputs_are_two_files(capfd, tmp_path):
    path = frames.write_pcap(tmp_path / "c.pcap", *flood())
    twice = ("-o", tmp_path / "o.json", "--stats", f"{tmp_path}/./o.json")
    assert_fails(sensor_command(capfd, "replay", path, "--no-models", *twice), 64, "already")
