"""A sensor process to which things are done, and what can be seen of it from outside."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from command import ROOT
from netns import Link
from running import until

PATIENCE_S = 60
LOOK_S = 0.01


class Sensor:
    """A `multa-sensor run` whose messages go to a file, so that it never waits for us.

    Attributes:
        process: of it; its id is the sensor's own.
        start_s: from its start until the service manager would have heard that it is ready.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", messages: Path) -> None:
        self.process, self._messages = process, messages
        self.start_s = 0.0

    @property
    def pid(self) -> int:
        return self.process.pid

    def messages(self) -> list[str]:
        """Whole lines on standard error so far."""
        text = self._messages.read_text(errors="replace")
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def said(self, part: str) -> int:
        """In how many lines it has said that."""
        return sum(part in line for line in self.messages())

    def wait_until_said(self, part: str, times: int = 1, patience_s: float = PATIENCE_S) -> float:
        """Waits until so many lines hold the part; the seconds that this took."""
        began = time.monotonic()
        while self.said(part) < times:
            if self.ended():
                raise AssertionError(f"it ended without saying {part!r}: {self.tail()}")
            if time.monotonic() - began > patience_s:
                raise AssertionError(f"it has not said {part!r}: {self.tail()}")
            time.sleep(LOOK_S)
        return time.monotonic() - began

    def tail(self) -> str:
        """The last things that it said, for messages of ours."""
        return " ".join(line.strip()[:300] for line in self.messages()[-8:])

    def statistics(self) -> dict:
        """The counters, which SIGUSR1 asks for."""
        before = self.said('"alerts_written"')
        self.process.send_signal(signal.SIGUSR1)
        self.wait_until_said('"alerts_written"', before + 1)
        lines = [line for line in self.messages() if '"alerts_written"' in line]
        return json.loads(lines[before])

    def ended(self) -> bool:
        return self.process.poll() is not None

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Sends a signal and waits for the end: exit status, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE_S)
        return status, time.monotonic() - began

    def descriptors(self) -> int:
        """Open files, but for those that are open for a moment only."""
        seen = []
        for _ in range(5):
            seen.append(sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir()))
            time.sleep(LOOK_S)
        return min(seen)

    def descriptors_more(self, before: int, patience_s: float = 10) -> int:
        """How many more there are than before; what is being done may take a while to end."""
        until_s = time.monotonic() + patience_s
        while (more := self.descriptors() - before) > 0 and time.monotonic() < until_s:
            time.sleep(LOOK_S)
        return more

    def resident_kib(self, kind: str = "VmRSS") -> int:
        """Resident memory, or the part of it that another entry of proc_pid_status(5) tells."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split(f"{kind}:")[1].split()[0])

    def is_stopped(self) -> bool:
        return "State:\tT" in Path(f"/proc/{self.pid}/status").read_text()


def sensor_command(cable: Link, *arguments: str, ports: Sequence[str] = ()) -> list[str]:
    """The command that runs a sensor at the far end of a cable."""
    named = [part for port in ports or [cable.port] for part in ("-i", port)]
    command = [sys.executable, "-m", "sensor.cli", "run", *named, *arguments]
    return ["ip", "netns", "exec", cable.far, *command]


@contextlib.contextmanager
def sensor(
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    ready: bool = True,
) -> Iterator[Sensor]:
    """Starts a sensor and waits until it says that it is ready, as a service manager would.

    Args:
        command: of it.
        folder: for its messages, which are those of all sensors that were started with it.
        environment: variables besides those of this process.
        ready: whether to wait.
    """
    messages = folder / "messages"
    address = folder / "notify"
    with contextlib.ExitStack() as opened:
        manager = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        address.unlink(missing_ok=True)
        manager.bind(str(address))
        manager.settimeout(LOOK_S)
        variables = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": str(address)}
        began = time.monotonic()
        with messages.open("wb") as said:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**variables, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        running = Sensor(process, messages)
        try:
            if ready:
                _wait_until_ready(manager, running)
                running.start_s = time.monotonic() - began
            yield running
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _wait_until_ready(manager: socket.socket, running: Sensor) -> None:
    def heard() -> bool:
        if running.ended():
            raise AssertionError(f"it ended before it was ready: {running.tail()}")
        try:
            return manager.recv(100) == b"READY=1"
        except TimeoutError:
            return False

    until(heard, "a sensor that is ready")


def lines_of(path: Path) -> list[dict]:
    """The alerts in a log, all of whose lines have to be whole.

    Raises:
        AssertionError: one is not.
    """
    text = path.read_bytes() if path.exists() else b""
    assert not text or text.endswith(b"\n"), f"half a line: {text[-200:]!r}"
    return [json.loads(line) for line in text.splitlines()]


def multa(line: dict) -> dict:
    """Our part of an alert."""
    return line["alert"]["metadata"]["multa"]


def names(lines: Sequence[dict]) -> list[tuple]:
    """What tells lines of a log apart."""
    found = []
    for line in lines:
        ours = multa(line)
        found.append((ours.get("alert_id"), ours["event"], ours.get("flows"), line["timestamp"]))
    return found
