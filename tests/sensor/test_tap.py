"""A tap in one network, and processes without rights in another that capture through it."""

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import netns
import pytest
from command import ROOT, assert_fails, flood, sensor_command
from running import Running, until
from test_pcap import unprivileged
from test_ring import QUICK, heard, make_cable_again, set_link, until_blindness

from sensor.capture.interfaces import describe
from sensor.capture.ring import Ring
from sensor.capture.tap import Tapped, open_packet_socket
from sensor.errors import (
    CaptureUnavailableError,
    HostError,
    OutputError,
    PermissionDeniedError,
)

pytestmark = pytest.mark.network

NOBODY = 65_534


@pytest.fixture
def path():
    """Of a socket in a folder that everybody may look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="multa-") as folder:
        Path(folder).chmod(0o755)
        yield f"{folder}/tap.sock"


@contextlib.contextmanager
def tapping(cable, path, *users, **environment):
    """The command in the far network; ended by SIGTERM, and well."""
    options = [word for user in users for word in ("--user", str(user))]
    command = [sys.executable, "-m", "sensor.cli", "tap", "--socket", path, *options]
    process = subprocess.Popen(
        ["ip", "netns", "exec", cable.far, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stderr
            assert f"handed over at {path}" in process.stderr.readline()
            yield process
            process.terminate()
            assert process.wait(timeout=60) == 0
        finally:
            process.kill()


def test_a_process_without_rights_captures_through_it_even_when_it_is_gone(path):
    with netns.link() as cable:
        with tapping(cable, path, NOBODY, 0):
            os.chown(path, NOBODY, NOBODY)
            with unprivileged():
                tapped = Tapped(path)
                with pytest.raises(PermissionDeniedError):
                    open_packet_socket()
                ring = Ring(
                    cable.port, opener=tapped.open, device_counters=tapped.device_counters, **QUICK
                )
        assert not Path(path).exists()
        with contextlib.closing(ring), contextlib.closing(tapped):
            blocks = iter(ring)
            assert heard(cable, blocks)
            # It is told of the tap's network, as there is no such interface in this one.
            assert describe(cable.port, tapped.asking).link == "Ethernet"
            assert cable.port in Path(tapped.device_counters).read_text()
            assert cable.port not in Path("/proc/net/dev").read_text()
            assert Path(tapped.neighbours).read_text().startswith("IP address")
            set_link(cable, "delete", cable.port)
            with unprivileged():
                until_blindness(ring, blocks, "is gone")
            make_cable_again(cable, 77)
            with unprivileged():
                until_blindness(ring, blocks, "")
            assert heard(cable, blocks)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_run_without_rights_detects_in_another_network(path, tmp_path, workers):
    alerts = tmp_path / "alerts.json"
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    with netns.link() as cable, tapping(cable, path):
        command = [sys.executable, "-m", "sensor.cli", "run", "-i", cable.port, "--tap", path]
        command += ["--no-models", "-o", str(alerts), "--workers", workers]
        process = subprocess.Popen(
            [*bare, *command], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running = Running(process)
        with process:
            try:
                running.wait_for_message("watching")
                status = Path(f"/proc/{process.pid}/status").read_text()
                assert re.search(r"CapEff:\s0000000000000000", status)
                netns.play(cable.near, cable.port, flood(200)[0])
                running.wait_for_alert(alerts, "start", "10.0.0.2")
                assert running.end() == 0
            finally:
                process.kill()


def test_other_users_get_nothing(path):
    with netns.link() as cable, tapping(cable, path, NOBODY) as process:
        with pytest.raises(PermissionDeniedError, match=r"user 0 gets no packet sockets.*--user"):
            Tapped(path)
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o660
        Path(path).chmod(0o600)
        with unprivileged(), pytest.raises(PermissionDeniedError, match="socket's group"):
            Tapped(path)
        process.send_signal(signal.SIGUSR1)
        assert "0 packet sockets handed over, 1 refused" in process.stderr.readline()


def test_what_is_sent_is_a_socket_that_receives_nothing(path):
    with (
        netns.link() as cable,
        tapping(cable, path),
        contextlib.closing(Tapped(path)) as tapped,
        tapped.open() as receiver,
    ):
        assert (receiver.family, receiver.proto) == (socket.AF_PACKET, 0)
        assert receiver.getsockname()[:2] == ("", 0)
        assert not os.get_inheritable(receiver.fileno())
        netns.play(cable.near, cable.port, [bytes(60)])
        with pytest.raises(BlockingIOError):
            receiver.recv(100, socket.MSG_DONTWAIT)


def test_those_who_connect_and_do_not_read_are_in_nobodys_way(path):
    with netns.link() as cable, tapping(cable, path), contextlib.ExitStack() as idle:
        for _ in range(20):
            one = idle.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            one.connect(path)
        with contextlib.closing(Tapped(path)) as tapped:
            tapped.open().close()


def test_it_loads_nothing_that_could_parse_packets(path):
    with netns.link() as cable, tapping(cable, path) as process:
        Tapped(path).close()
        assert "numpy" not in Path(f"/proc/{process.pid}/maps").read_text()
        # Nothing of what it gave away is left with it but, for a moment, what it is closing.
        opened = Path(f"/proc/{process.pid}/fd")

        def sockets():
            with contextlib.suppress(FileNotFoundError):  # it was closed while this looked
                return sum(str(each.readlink()).startswith("socket:") for each in opened.iterdir())
            return None

        until(lambda: sockets() == 1, "the tap to have its listener alone")


def test_readiness_is_told(path, tmp_path):
    told = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(told)
        manager.settimeout(60)
        with netns.link() as cable, tapping(cable, path, NOTIFY_SOCKET=told):
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"


def test_the_socket_of_a_tap_that_was_killed_is_replaced(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(path)
    with netns.link() as cable, tapping(cable, path):
        Tapped(path).close()


def test_nothing_else_is_replaced(path, capfd):
    Path(path).write_text("mine")
    outcome = sensor_command(capfd, "tap", "--socket", path)
    assert_fails(outcome, OutputError.exit_status, path, "no socket")
    assert Path(path).read_text() == "mine"
    Path(path).unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(path)
        listening.listen()
        outcome = sensor_command(capfd, "tap", "--socket", path)
        assert_fails(outcome, OutputError.exit_status, path, "another tap listens")
    missing = f"{path}/deeper"
    assert_fails(sensor_command(capfd, "tap", "--socket", missing), 74, missing)


def test_mistakes_have_their_status(path, capfd):
    assert_fails(sensor_command(capfd, "tap", "--socket", path, "--user", "no such"), 64, "no such")
    with unprivileged():
        outcome = sensor_command(capfd, "tap", "--socket", path)
    assert_fails(outcome, PermissionDeniedError.exit_status, "CAP_NET_RAW")


def test_no_tap_is_a_reason_to_try_again(path):
    for _ in range(2):
        with pytest.raises(CaptureUnavailableError, match=f"{path}: no tap answers.*multa-tap"):
            Tapped(path)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as left:
            left.bind(path)


@pytest.mark.parametrize("answer", [b"", b"\0", b"hello", b"\0\0\0"])
def test_what_is_no_tap_is_told(path, answer):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        if os.fork() == 0:
            listening.settimeout(60)
            peer = listening.accept()[0]
            with Path(os.devnull).open() as other:
                socket.send_fds(peer, [answer], [other.fileno()] * (3 if answer == b"\0" else 0))
            os._exit(0)
        with pytest.raises(HostError, match="no tap of this version"):
            Tapped(path)
        os.wait()
