"""Two network namespaces joined by a veth pair, and the sender between them."""

import atexit
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PORT = "port0"
OFFLOADS = ("tso", "gso", "gro", "tx", "rx")


@dataclass(frozen=True)
class Sent:
    """What the sender did.

    Attributes:
        frames: sent.
        arrived: frames that the far interface counted.
        seconds: that it took.
    """

    frames: int
    arrived: int
    seconds: float

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds


class Cable:
    """Both ends are called `PORT`; frames go from `near` to `far`."""

    def __init__(self, near: str, far: str, sender: Path, *, precedence: bool) -> None:
        self.near, self.far, self._sender, self._precedence = near, far, sender, precedence

    def start(self, command: Sequence[str], folder: Path | None = None) -> subprocess.Popen[str]:
        """Starts a command at the far end, with standard output and error as pipes."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.far, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            text=True,
            start_new_session=True,
        )
        if self._precedence:
            take_precedence(process.pid)
        return process

    def send(
        self, background: Path, rate: float, seconds: float, marked: Path | None = None
    ) -> Sent:
        """Sends a capture over and over; a rate of 0 is as fast as it goes (`sender.c`)."""
        before = self._arrived()
        command = [str(self._sender), PORT, str(background), str(rate), str(seconds)]
        command += [str(marked)] if marked else []
        told = json.loads(_run("ip", "netns", "exec", self.near, *command))
        time.sleep(0.1)  # what is on its way
        return Sent(told["sent"], self._arrived() - before, told["seconds"])

    def _arrived(self) -> int:
        told = json.loads(_run("ip", "-n", self.far, "-s", "-j", "link", "show", PORT))
        return int(told[0]["stats64"]["rx"]["packets"])


def take_precedence(process: int | str, nice: int = -15) -> None:
    """Puts a process's session before the others of this machine (sched(7), autogroup)."""
    Path(f"/proc/{process}/autogroup").write_text(f"{nice}")


@contextlib.contextmanager
def cable(work: Path, *, precedence: bool = False) -> Iterator[Cable]:
    """Builds the sender and makes the namespaces; these are gone afterwards.

    Args:
        work: where the sender goes.
        precedence: what is started there takes the cores before the machine's other jobs.
    """
    work.mkdir(parents=True, exist_ok=True)
    sender = work / "sender"
    _run("cc", "-O2", "-o", str(sender), str(Path(__file__).with_name("sender.c")))
    ends = [f"multa-bench-{os.getpid()}-{side}" for side in ("near", "far")]

    def remove() -> None:
        for namespace in ends:
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)

    atexit.register(remove)
    try:
        for namespace in ends:
            _run("ip", "netns", "add", namespace)
            quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done"
            _run("ip", "netns", "exec", namespace, "sh", "-c", quiet)
        pair = ("type", "veth", "peer", "name", PORT, "netns", ends[1])
        _run("ip", "link", "add", PORT, "netns", ends[0], *pair)
        for namespace in ends:
            _run("ip", "-n", namespace, "link", "set", PORT, "up")
            for name in OFFLOADS:
                command = ("ip", "netns", "exec", namespace, "ethtool", "-K", PORT, name, "off")
                subprocess.run(command, capture_output=True, check=False)
        yield Cable(ends[0], ends[1], sender, precedence=precedence)
    finally:
        remove()


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
