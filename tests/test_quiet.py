"""A run sends nothing, and writes nowhere but where it was told to: seen by strace and the kernel.

Its network has addresses and a default route, so nothing but its own restraint keeps it from
sending. `make verify TARGET=systemd` shows that the units would not let it either.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import netns
import pytest
from command import ROOT, flood
from running import Running, until

pytestmark = [
    pytest.mark.network,
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace (Debian package strace)"),
]

SENDING = ("socket", "socketpair", "connect", "bind", "sendto", "sendmsg", "sendmmsg")
WRITING = (
    *("open", "openat", "openat2", "creat", "truncate", "mknod", "mknodat", "mkdir", "mkdirat"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "link", "linkat"),
    *("symlink", "symlinkat", "chmod", "fchmodat", "chown", "lchown", "fchownat", "utimensat"),
)
HARMLESS = {"/dev/null"}
"""Where a write leaves nothing."""


@contextlib.contextmanager
def traced(cable, folder: Path) -> Iterator[tuple[Running, int, Path]]:
    """A sensor by configuration under strace: it, its own process id, and what strace writes."""
    configuration = folder / "sensor.toml"
    configuration.write_text(
        f"""
        [capture]
        interfaces = ["{cable.port}"]
        [models]
        store = "{folder}/state/models"
        shadow_log = "{folder}/state/shadow.json"
        [alerts]
        output = "{folder}/log/alerts.json"
        [evidence]
        directory = "{folder}/state/evidence"
        [health]
        status = "{folder}/run/status.json"
        metrics = "{folder}/run/metrics.prom"
        interval_s = 1
        """
    )
    trace = folder / "trace"
    command = ["strace", "-f", "-qq", "-y", "-s", "4096", "--seccomp-bpf", "-o", str(trace)]
    command += ["-e", f"trace={','.join(f'?{each}' for each in (*SENDING, *WRITING))}"]
    command += [sys.executable, "-m", "sensor.cli", "run", "--config", str(configuration)]
    process = subprocess.Popen(
        ["ip", "netns", "exec", cable.far, *command],
        cwd=ROOT,
        env={
            **os.environ,
            "NOTIFY_SOCKET": str(folder / "run/notify"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    running = Running(process)
    with process:
        try:
            running.wait_for_message("watching")
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield running, int(children.split()[0]), trace
        finally:
            process.kill()


def sent(cable) -> dict[str, int]:
    """Packets that left the far network, by interface."""
    told = subprocess.run(
        ["ip", "-n", cable.far, "-s", "-j", "link"], capture_output=True, text=True, check=True
    )
    return {each["ifname"]: each["stats64"]["tx"]["packets"] for each in json.loads(told.stdout)}


def test_nothing_is_sent_and_nothing_is_written_elsewhere(tmp_path: Path) -> None:
    for name in ("log", "state", "run"):
        (tmp_path / name).mkdir()
    with netns.link() as cable, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "run/notify"))
        for namespace, address in ((cable.near, "10.9.0.1/24"), (cable.far, "10.9.0.2/24")):
            arguments = ["address", "add", address, "dev", cable.port]
            subprocess.run(["ip", "-n", namespace, *arguments], check=True)
        route = ["route", "add", "default", "via", "10.9.0.1"]
        subprocess.run(["ip", "-n", cable.far, *route], check=True)
        before = sent(cable)
        with traced(cable, tmp_path) as (running, pid, trace):
            assert manager.recv(100) == b"READY=1"
            log = tmp_path / "log/alerts.json"
            netns.play(cable.near, cable.port, flood(300)[0])
            running.wait_for_alert(log, "start", "10.0.0.2")
            log.rename(tmp_path / "log/alerts.json.1")
            os.kill(pid, signal.SIGHUP)
            until(log.exists, "the log to be opened anew")
            until((tmp_path / "run/metrics.prom").exists, "the metrics")
            os.kill(pid, signal.SIGTERM)
            assert running.wait() == 0
            calls = trace.read_text()
        assert sent(cable) == before
    assert_quiet(calls)
    assert_tidy(calls, tmp_path)


def assert_quiet(calls: str) -> None:
    """Sockets are those of packets, of the service manager, and of what asks about interfaces."""
    families = set(re.findall(r"\bsocket\((AF_\w+)", calls))
    assert {"AF_PACKET", "AF_UNIX"} <= families <= {"AF_PACKET", "AF_UNIX", "AF_NETLINK"}
    for call in re.findall(r"\b(?:connect|bind|sendto|sendmsg|sendmmsg)\(.*", calls):
        addressed = re.search(r"sa_family=(AF_\w+)", call)
        if addressed and addressed[1] != "AF_UNIX":
            # To bind is to listen.
            assert call.startswith("bind("), call
            assert addressed[1] in ("AF_PACKET", "AF_NETLINK"), call


def assert_tidy(calls: str, folder: Path) -> None:
    """Files are opened for writing, made, renamed and removed in the given folder alone."""
    touched = set()
    for line in calls.splitlines():
        call = re.search(r"\b(\w+)\((.*)", line)
        if not call or call[1] not in WRITING or " = -1 " in line:
            continue
        if call[1].startswith("open") and not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", line):
            continue
        # Each path stands behind the folder that it starts from, if it may start from another.
        for start, path in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', call[2]):
            touched.add(str(Path(start, path)))
    assert f"{folder}/log/alerts.json" in touched
    outside = {path for path in touched if not path.startswith(f"{folder}/")}
    assert outside <= HARMLESS
