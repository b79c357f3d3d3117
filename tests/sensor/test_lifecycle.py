"""Start, signals, limits and end of a live run."""

import json
import os
import resource
import signal
import socket
import subprocess

import frames
import netns
import pytest
from command import ROOT, conversation, flood
from running import started, told, until

from sensor.alerts.sinks import FILE_BYTES
from sensor.capture.formats import open_capture

pytestmark = pytest.mark.network

RULE = ("--no-models",)


@pytest.fixture
def cable():
    with netns.link() as cable:
        yield cable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_with_what_was_received(cable, tmp_path, number):
    log, record = tmp_path / "alerts.json", tmp_path / "record.pcap"
    contents, _ = flood(60)
    outputs = ("-o", str(log), "--record", str(record), "--stats", "-")
    with started(cable, *RULE, *outputs) as sensor:
        netns.play(cable.near, cable.port, contents)
        sensor.wait_for_recording(record, contents)
        assert sensor.end(number) == 0
    # The flows were not even a second old: the end of the stream decides them.
    assert told(log) == [("flow_rate", kind, "10.0.0.2") for kind in ("start", "update", "end")]
    counted = json.loads(sensor.output)
    assert counted["packets"] == 60
    assert counted["incidents"] == {"counting-rule/flow_rate": 1}


def test_count_is_exact_and_so_is_its_recording(cable, tmp_path):
    record = tmp_path / "record.pcap"
    contents, _ = flood(500)
    arguments = ("--count", "123", "--record", str(record), "-o", "/dev/null", "--stats", "-")
    with started(cable, *RULE, *arguments) as sensor:
        netns.play(cable.near, cable.port, contents)
        assert sensor.wait() == 0
    assert json.loads(sensor.output)["packets"] == 123
    assert sum(map(len, open_capture_closed(record))) == 123


def accounted(counted):
    return counted["packets"] + counted["kernel_drops"]


def open_capture_closed(path):
    source = open_capture(path)
    yield from source
    source.close()


def test_duration_ends_it(cable):
    arguments = ("--duration", "0.2", "-o", "/dev/null", "--stats", "-")
    with started(cable, *RULE, *arguments) as sensor:
        assert sensor.wait() == 0
    assert json.loads(sensor.output)["packets"] == 0


def test_usr1_tells_counters_while_it_runs(cable):
    contents, _ = flood(40)
    with started(cable, *RULE, "-o", "/dev/null") as sensor:
        assert sensor.statistics()["packets"] == 0
        netns.play(cable.near, cable.port, contents)
        until(lambda: sensor.statistics()["packets"] == 40, "40 packets")
        assert sensor.end() == 0


def test_hangup_opens_the_log_anew(cable, tmp_path):
    log, old = tmp_path / "alerts.json", tmp_path / "alerts.json.1"
    with started(cable, *RULE, "-o", str(log)) as sensor:
        log.rename(old)
        sensor.process.send_signal(signal.SIGHUP)
        until(log.exists, "a new log")
        netns.play(cable.near, cable.port, flood(60)[0])
        sensor.wait_for_alert(log, "start", "10.0.0.2")
        assert sensor.end() == 0
    assert old.read_bytes() == b""


def test_alert_comes_in_silence(cable, tmp_path):
    """Nothing follows the flood: the tick decides it, about a second later."""
    log = tmp_path / "alerts.json"
    with started(cable, *RULE, "-o", str(log)) as sensor:
        netns.play(cable.near, cable.port, flood(60)[0])
        sensor.wait_for_alert(log, "start", "10.0.0.2")
        record = json.loads(log.read_text().splitlines()[0])
        assert record["in_iface"] == cable.port
        assert record["host"] == socket.gethostname()
        assert sensor.end() == 0


def test_log_that_exists_is_appended_to(cable, tmp_path):
    log = tmp_path / "alerts.json"
    log.write_text("kept\n")
    with started(cable, *RULE, "-o", str(log)) as sensor:
        netns.play(cable.near, cable.port, flood(60)[0])
        assert sensor.end() == 0
    assert log.read_text().startswith("kept\n")


def test_log_that_is_full_makes_room(cable, tmp_path):
    log = tmp_path / "alerts.json"
    log.touch()
    os.truncate(log, FILE_BYTES)  # takes no room on the disk
    with started(cable, *RULE, "-o", str(log), "--stats", "-") as sensor:
        netns.play(cable.near, cable.port, flood(60)[0])
        said = sensor.wait_for_message("was full")
        assert f"{log} was full and is {log}.old now" in said
        assert sensor.end() == 0
    assert log.with_name("alerts.json.old").stat().st_size == FILE_BYTES
    assert [kind for _, kind, _ in told(log)] == ["start", "update", "end"]
    assert json.loads(sensor.output)["alert_log_rotations"] == 1


def test_full_disk_does_not_end_it(cable):
    with started(cable, *RULE, "-o", "/dev/full", "--stats", "-") as sensor:
        netns.play(cable.near, cable.port, flood(60)[0])
        sensor.wait_for_message("alerts wait in memory")
        assert sensor.statistics()["packets"] == 60
        assert sensor.end() == 74
    assert json.loads(sensor.output)["alerts_lost"] == 3
    assert sensor.messages[-1].startswith("multa-sensor: error: /dev/full: 3 alerts")


def test_full_disk_ends_a_recording_and_not_the_detection(cable, tmp_path):
    log, record = tmp_path / "alerts.json", tmp_path / "record.pcap"
    contents, _ = flood(60)
    outputs = ("-o", str(log), "--record", str(record), "--stats", "-")
    with started(cable, *RULE, *outputs) as sensor:
        netns.play(cable.near, cable.port, contents[:10])
        sensor.wait_for_recording(record, contents[:10])
        full = record.stat().st_size + 50  # the next frame fits in part
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(sensor.process.pid, resource.RLIMIT_FSIZE, (full, limits[1]))
        netns.play(cable.near, cable.port, contents[10:])
        sensor.wait_for_message("ends after 10 frames; detection goes on")
        until(lambda: sensor.statistics()["packets"] == 60, "60 packets")
        resource.prlimit(sensor.process.pid, resource.RLIMIT_FSIZE, limits)
        assert sensor.statistics()["frames_unrecorded"] == 50
        assert sensor.end() == 74
    assert told(log)[0] == ("flow_rate", "start", "10.0.0.2")
    assert json.loads(sensor.output)["frames_unrecorded"] == 50
    assert sum(map(len, open_capture_closed(record))) == 10
    assert f"{record}: 50 frames could not be recorded" in sensor.messages[-1]
    assert sum("detection goes on" in message for message in sensor.messages) == 1


def test_messages_that_nobody_reads_do_not_end_it(cable):
    with started(cable, *RULE, "-o", "/dev/null", "--count", "10") as sensor:
        assert sensor.process.stderr
        sensor.process.stderr.close()
        sensor.process.send_signal(signal.SIGUSR1)
        set_link = ["ip", "-n", cable.far, "link", "set", cable.port]
        for state in ("down", "up"):
            subprocess.run([*set_link, state], check=True)
        until(lambda: netns.play(cable.near, cable.port, flood(1)[0]) and sensor.ended(), "the end")
        assert sensor.process.returncode == 0


def test_interface_that_goes_away_is_said_and_waited_for(cable):
    ip = ["ip", "-n", cable.far, "link", "set", cable.port]
    with started(cable, *RULE, "-o", "/dev/null", "--stats", "-") as sensor:
        subprocess.run([*ip, "down"], check=True)
        sensor.wait_for_message("blind until it comes back")
        subprocess.run([*ip, "up"], check=True)
        sensor.wait_for_message("is back")
        netns.play(cable.near, cable.port, conversation(packets=10)[0])
        until(lambda: sensor.statistics()["packets"] == 10, "10 packets")
        assert sensor.end() == 0


def test_merged_frames_are_said_once_with_the_remedy():
    segment = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=bytes(20_000))
    with netns.link(offloads="on") as cable, started(cable, *RULE, "-o", "/dev/null") as sensor:
        for _ in range(2):
            netns.play_merged(cable.near, cable.port, segment)
        sensor.wait_for_message(f"ethtool -K {cable.port} gro off")
        until(lambda: sensor.statistics()["offload_frames"] == 2, "both merged frames")
        assert sensor.end() == 0
    assert sum("ethtool" in message for message in sensor.messages) == 1


def test_frames_that_the_kernel_dropped_are_counted_and_said(cable, tmp_path):
    contents = [frames.udp_frame("10.0.0.1", 1, "10.0.0.2", 2, bytes(1400))] * 4000
    outputs = ("-o", "/dev/null", "--record", str(tmp_path / "record.pcap"), "--buffer", "2")
    with started(cable, *RULE, *outputs) as sensor:
        # A process that is stopped reads nothing: six megabytes don't fit into two.
        sensor.process.send_signal(signal.SIGSTOP)
        until(sensor.is_stopped, "the process to stop")
        netns.play(cable.near, cable.port, contents)
        sensor.process.send_signal(signal.SIGCONT)
        sensor.wait_for_message("the kernel dropped")
        until(lambda: accounted(sensor.statistics()) == 4000, "every frame to be accounted for")
        assert sensor.statistics()["kernel_drops"] > 0
        assert sensor.end() == 0


def test_service_manager_hears_ready_alive_and_stopping(cable, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        told_it = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        with started(cable, *RULE, "-o", "/dev/null", environment=told_it) as sensor:
            heard = [manager.recv(100) for _ in range(3)]
            assert heard == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            assert sensor.end() == 0
            rest = []
            while b"STOPPING=1" not in rest:
                rest.append(manager.recv(100))


def test_not_ready_before_the_model_has_answered(cable, tmp_path, random_bundle):
    (broken := tmp_path / "broken").mkdir()
    for file in random_bundle.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "model.tflite").write_bytes(b"no model")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0)
        told_it = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        starting = started(cable, "-m", str(broken), environment=told_it)
        with pytest.raises(AssertionError, match="it ended without saying"), starting:
            pass
        with pytest.raises(BlockingIOError):
            manager.recv(100)


def test_resident_memory_with_a_bundle_stays_below_100_mb(cable, random_bundle):
    rng_frames = [
        frames.tcp_frame(
            f"10.3.{k >> 8 & 255}.{k & 255}", 1000 + (k >> 16), "10.0.0.2", 80, frames.SYN
        )
        for k in range(70_000)
    ]
    with started(cable, "-m", str(random_bundle), "-o", "/dev/null") as sensor:
        netns.play(cable.near, cable.port, rng_frames, packets_per_second=30_000)
        until(lambda: sensor.statistics()["flows"] > 60_000, "flows")
        status = (ROOT / f"/proc/{sensor.process.pid}/status").read_text()
        resident_kib = int(status.split("VmRSS:")[1].split()[0])
        assert sensor.end() == 0
    assert resident_kib * 1024 < 100e6
