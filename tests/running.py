"""A `multa-sensor run` in a namespace, and ways to wait for what it does."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from command import ROOT
from netns import Link

PATIENCE_S = 60


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until a condition holds; it is looked at often, and given up after a minute."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


class Running:
    """A sensor that has said that it watches."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.messages: list[str] = []
        self.output = ""

    def wait_for_message(self, part: str) -> str:
        """The next line on standard error that contains `part`."""
        assert self.process.stderr
        for line in self.process.stderr:
            self.messages.append(line)
            if part in line:
                return line
        raise AssertionError(f"it ended without saying {part!r}: {self.messages}")

    def wait_for_recording(self, path: Path, frames: Sequence[bytes]) -> None:
        """Waits until the recording holds all these frames."""
        size = 24 + sum(16 + len(frame) for frame in frames)
        until(lambda: path.stat().st_size >= size, f"{path} to hold {len(frames)} frames")

    def wait_for_alert(self, path: Path, event: str, address: str) -> None:
        """Waits until the log holds such an event of the counting rule."""
        wanted = ("flow_rate", event, address)
        until(lambda: wanted in told(path), f"{wanted} in {path}")

    def statistics(self) -> dict:
        """The counters, which SIGUSR1 asks for."""
        self.process.send_signal(signal.SIGUSR1)
        return json.loads(self.wait_for_message('"packets"'))

    def is_stopped(self) -> bool:
        """Whether SIGSTOP has had its effect."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return "State:\tT" in status

    def ended(self) -> bool:
        """Whether the process is over."""
        return self.process.poll() is not None

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; keeps what else was said."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Waits for the end."""
        self.output, rest = self.process.communicate(timeout=PATIENCE_S)
        self.messages += rest.splitlines(keepends=True)
        return self.process.returncode


@contextlib.contextmanager
def started(
    cable: Link, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Starts the sensor on the far end of a cable, and waits until it watches."""
    command = [sys.executable, "-m", "sensor.cli", "run", "-i", cable.port, *arguments]
    process = subprocess.Popen(
        ["ip", "netns", "exec", cable.far, *command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    running = Running(process)
    try:
        running.wait_for_message("watching")
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        with process:
            pass


def told(path: Path) -> list[tuple[str, str, str]]:
    """Task, event and address of the whole lines of an alert log."""
    text = path.read_text() if path.exists() else ""
    records = [
        json.loads(line)["alert"]["metadata"]["multa"]
        for line in text.splitlines(keepends=True)
        if line.endswith("\n")
    ]
    return [(record["task"], record["event"], record["address"]) for record in records]
