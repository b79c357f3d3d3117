"""Wrong input never starts a run: one line, its own exit status, no output, no traceback."""

import os
import shutil

import frames
import pytest
from command import assert_fails, flood, sensor_command
from test_pcap import unprivileged


@pytest.fixture
def capture(tmp_path):
    return frames.write_pcap(tmp_path / "x.pcap", *flood())


@pytest.fixture
def log(tmp_path):
    """An output that a run would make."""
    return tmp_path / "alerts.json"


@pytest.fixture(params=["replay", "flows"])
def reader(request, tmp_path):
    """A command that reads captures, with an output."""
    if request.param == "flows":
        return ("flows", "-o", tmp_path / "rows.csv")
    return ("replay", "--no-models", "-o", tmp_path / "alerts.json")


def write(path, content):
    path.write_bytes(content)
    return path


def test_missing_file(capfd, reader, tmp_path):
    path = tmp_path / "none.pcap"
    assert_fails(sensor_command(capfd, *reader, path), 66, path)
    assert not reader[-1].exists()


def test_text_file_named_pcap(capfd, reader, tmp_path):
    path = write(tmp_path / "text.pcap", b"GET / HTTP/1.1\r\nHost: example\r\n\r\n")
    assert_fails(sensor_command(capfd, *reader, path), 65, path, "is not a capture file")
    assert not reader[-1].exists()


def test_unknown_link_type(capfd, reader, tmp_path):
    path = write(tmp_path / "wifi.pcap", frames.pcap_bytes([b"x" * 40], link_type=105))
    assert_fails(sensor_command(capfd, *reader, path), 81, path, "105 (802.11 Wi-Fi)")
    assert not reader[-1].exists()


def test_unreadable_file(capfd, reader, capture):
    capture.chmod(0)
    with unprivileged():
        outcome = sensor_command(capfd, *reader, capture)
    assert_fails(outcome, 77, capture)


def test_one_bad_file_among_good_ones(capfd, reader, capture, tmp_path):
    bad = write(tmp_path / "bad.pcap", b"")
    assert_fails(sensor_command(capfd, *reader, capture, bad), 65, bad, "is empty")
    assert not reader[-1].exists()


@pytest.mark.parametrize("command", ["replay", "run", "check"])
def test_missing_bundle(capfd, command, capture, tmp_path):
    first = {"replay": [capture], "run": ["-i", "lo"], "check": []}[command]
    outcome = sensor_command(capfd, command, *first, "-m", tmp_path / "none")
    assert_fails(outcome, 66, tmp_path / "none")


@pytest.mark.parametrize("damage", ["model.tflite", "golden.npz", "manifest.json", "README.md"])
def test_corrupt_bundle(capfd, random_bundle, capture, tmp_path, log, damage):
    bundle = shutil.copytree(random_bundle, tmp_path / "random")
    content = (bundle / damage).read_bytes()
    (bundle / damage).write_bytes(content[:-20])
    outcome = sensor_command(capfd, "replay", capture, "-m", bundle, "-o", log)
    assert_fails(outcome, 82, bundle)
    assert not log.exists()


def test_foreign_bundle(capfd, random_bundle, capture, tmp_path, log):
    bundle = shutil.copytree(random_bundle, tmp_path / "random")
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(
        text.replace('"format_version": 1', '"format_version": 9')
    )
    outcome = sensor_command(capfd, "replay", capture, "-m", bundle, "-o", log)
    assert_fails(outcome, 82, "manifest.json", "bundle format 1")
    assert not log.exists()


def test_same_bundle_twice(capfd, random_bundle, capture):
    outcome = sensor_command(capfd, "replay", capture, "-m", random_bundle, "-m", random_bundle)
    assert_fails(outcome, 64, "random")


@pytest.mark.parametrize("place", ["none/alerts.json", "."])
def test_unwritable_alert_log(capfd, capture, tmp_path, place):
    path = tmp_path / place
    outcome = sensor_command(capfd, "replay", capture, "--no-models", "-o", path)
    assert_fails(outcome, 74, path)


def test_alert_log_without_permission(capfd, log):
    log.write_text("")
    log.chmod(0o400)
    with unprivileged():
        outcome = sensor_command(capfd, "check", "--no-models", "-o", log)
    assert_fails(outcome, 74, log, "permission denied")


def test_full_disk_ends_a_replay(capfd, capture):
    outcome = sensor_command(capfd, "replay", capture, "--no-models", "-o", "/dev/full")
    assert_fails(outcome, 74, "/dev/full", "no space left")


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_unwritable_rows(capfd, capture, tmp_path, suffix):
    path = tmp_path / "none" / f"rows.{suffix}"
    assert_fails(sensor_command(capfd, "flows", capture, "-o", path), 74, path)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_full_disk_ends_rows(capfd, capture, tmp_path, suffix):
    path = tmp_path / f"rows.{suffix}"
    path.symlink_to("/dev/full")
    outcome = sensor_command(capfd, "flows", capture, "-o", path)
    assert_fails(outcome, 74, path, "no space left")


def test_unwritable_statistics(capfd, capture, tmp_path, log):
    path = tmp_path / "none" / "stats.json"
    outcome = sensor_command(capfd, "replay", capture, "--no-models", "-o", log, "--stats", path)
    assert_fails(outcome, 74, path)
    assert not log.exists()


def test_unwritable_recording(capfd, tmp_path):
    path = tmp_path / "none" / "record.pcap"
    arguments = ("run", "-i", "lo", "--no-models", "--record", path)
    assert_fails(sensor_command(capfd, *arguments), 74, path)


def test_recording_to_standard_output(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("run", "-i", "lo", "--no-models", "--record", "-")
    assert_fails(sensor_command(capfd, *arguments), 64, "--record", "name a file")
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize("option", ["--record", "--stats"])
def test_what_a_full_log_would_replace(capfd, log, option):
    taken = log.with_name(f"{log.name}.old")
    arguments = ("run", "-i", "lo", "--no-models", "-o", log, option, taken)
    assert_fails(sensor_command(capfd, *arguments), 64, taken, "choose another output")
    assert not taken.exists()


def test_live_statistics_to_a_pipe_that_nobody_reads(capfd, log):
    """Neither a signal nor a service manager could end a wait for its reader."""
    pipe = log.with_name("pipe")
    os.mkfifo(pipe)
    arguments = ("run", "-i", "lo", "--no-models", "-o", log, "--stats", pipe)
    assert_fails(sensor_command(capfd, *arguments), 74, pipe, "start its reader first")
    assert not log.exists()


def test_older_recording(capfd, capture):
    before = capture.read_bytes()
    arguments = ("run", "-i", "lo", "--no-models", "--record", capture)
    assert_fails(sensor_command(capfd, *arguments), 74, capture, "choose another name")
    assert capture.read_bytes() == before


@pytest.mark.parametrize("command", [("check", "-m"), ("models", "verify"), ("models", "inspect")])
def test_bundle_without_permission(capfd, random_bundle, tmp_path, command):
    bundle = shutil.copytree(random_bundle, tmp_path / "random")
    bundle.chmod(0o700)
    with unprivileged():
        outcome = sensor_command(capfd, *command, bundle)
    assert_fails(outcome, 77, bundle)


def test_unknown_interface(capfd):
    outcome = sensor_command(capfd, "run", "-i", "none0", "--no-models")
    assert_fails(outcome, 69, "none0", "multa-sensor interfaces")


def test_no_capability(capfd):
    with unprivileged():
        outcome = sensor_command(capfd, "run", "-i", "lo", "--no-models")
    assert_fails(outcome, 77, "CAP_NET_RAW")
