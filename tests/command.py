"""Runs `multa-sensor` inside the test process, as a shell would see it."""

import importlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import frames

from sensor.cli import COMMANDS, main

# A test that gives up root's rights can't load them later where Python itself lies out of reach.
for _name in COMMANDS:
    importlib.import_module(f"sensor.cli.{_name}")

ROOT = Path(__file__).parents[1]
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


@dataclass(frozen=True)
class Outcome:
    """What is left of a command: its exit status and its two outputs."""

    status: int
    out: str
    err: str


def sensor_command(capfd: Any, *arguments: object) -> Outcome:
    """Runs a command; `capfd` is pytest's fixture, as alerts are written to the descriptor."""
    capfd.readouterr()
    status: Any = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as request:
        status = request.code or 0
    out, err = capfd.readouterr()
    return Outcome(status, out, err)


def sensor_process(
    *arguments: object, environment: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[bytes]":
    """Runs a command as a process of its own."""
    command = [sys.executable, "-m", "sensor.cli", *map(str, arguments)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    return subprocess.run(
        command, capture_output=True, check=False, timeout=120, env=variables, **options
    )


def assert_fails(outcome: Outcome, status: int, *says: object) -> None:
    """A failure is one line on standard error that names what is wrong, and nothing else."""
    assert outcome.status == status, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("multa-sensor: error: ")
    assert outcome.err.count("\n") == 1
    for part in says:
        assert str(part) in outcome.err


def flood(count: int = 100, victim: str = "10.0.0.2") -> tuple[list[bytes], list[int]]:
    """SYNs from different sources to one host, a millisecond apart, with their times."""
    contents = [
        frames.tcp_frame(f"10.1.{k // 250}.{k % 250 + 1}", 1000 + k, victim, 80, frames.SYN)
        for k in range(count)
    ]
    return contents, [START + k * 1_000_000 for k in range(count)]


def conversation(start_ns: int = START, packets: int = 20) -> tuple[list[bytes], list[int]]:
    """A TCP connection of so many packets, ten milliseconds apart, that is left open."""
    ends = ("10.0.0.9", 40_000, "10.0.0.3", 443)
    contents = []
    for k in range(packets):
        source, port, destination, other = ends if k % 2 == 0 else ends[2:] + ends[:2]
        flags = (frames.SYN, frames.SYN | frames.ACK)[k] if k < 2 else frames.ACK
        contents.append(frames.tcp_frame(source, port, destination, other, flags, bytes(k * 10)))
    return contents, [start_ns + k * 10_000_000 for k in range(packets)]
