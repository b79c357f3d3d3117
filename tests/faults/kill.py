"""Sensors that are killed while they start, detect and write, and those that start after them."""

import contextlib
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import netns
from running import until
from tqdm import tqdm

from faults.floods import floods
from faults.installation import configuration
from faults.process import lines_of, sensor, sensor_command
from faults.result import Result
from sensor.alerts.sinks import FILE_BYTES, OLD_SUFFIX

UP_S = 3.0
FLOODS_A_SECOND = 25.0
LONGEST_S = 0.8
"""How long a sensor lives at most after it is ready."""
STARTING = 0.2
"""Share of those that are killed before they are ready."""
FULL_EVERY = 8
"""Every so many rounds the log is about to be full, so that it is renamed under the blow."""

FEW = 8
"""Alerts that the last sensor tells at most before it ends."""


def main(count: int, seed: int) -> Result:
    """Kills sensors.

    Args:
        count: of them.
        seed: decides when.
    """
    result = Result(
        "kill",
        "kill −9 at a random moment: a fifth while the sensor starts, the others up to "
        f"{LONGEST_S:g} s after it was ready, under floods of refused connections to "
        f"{FLOODS_A_SECOND:g} victims a second, so that several alerts are written in each tenth "
        f"of a second. In every {FULL_EVERY}th round the log is about to be full and is renamed "
        "meanwhile. Evidence, status and metrics are written beside it. *Up* is from the start of "
        "the process to READY=1, which the next sensor sends to its NOTIFY_SOCKET.",
    )
    chance = random.Random(seed)
    up: list[float] = []
    alerts = killed_early = torn = halves = unfinished = 0
    with tempfile.TemporaryDirectory() as name, netns.link() as cable:
        folder = Path(name)
        log = folder / "log/alerts.json"
        log.parent.mkdir()
        settings = configuration(folder / "sensor.toml", cable.port, folder)
        command = sensor_command(cable, "--config", str(settings))
        with floods(cable, per_second=FLOODS_A_SECOND):
            for number in tqdm(range(count), desc="kill", disable=None):
                if number % FULL_EVERY == FULL_EVERY - 1:
                    _fill(log, FILE_BYTES - chance.randrange(50_000))
                early = chance.random() < STARTING
                with sensor(command, folder, ready=not early) as running:
                    if not early:
                        up.append(running.start_s)
                    time.sleep(chance.random() * (up[-1] if early and up else LONGEST_S))
                    os.kill(running.pid, signal.SIGKILL)
                    running.process.wait()
                killed_early += early
                try:
                    found = _taken(log)
                except AssertionError:
                    torn += 1
                    found = []
                alerts += len(found)
                halves += sum(not is_json(path) for path in _replaced(folder))
                unfinished = max(unfinished, sum(1 for _ in folder.rglob("*.new")))
        with sensor(command, folder) as running:
            up.append(running.start_s)
            # Of a few that are killed early on a busy machine, none may have told anything.
            until(lambda: alerts + _lines(log) >= min(count, FEW), "alerts of the last one")
            result.exactly("exit status of the last one, ended in peace", running.end()[0], 0)
            left = sum(1 for _ in folder.rglob("*.new"))
            alerts += _lines(log)
            result.exactly("messages about leftovers", running.said("error"), 0)
    result.exactly("killed", count, count)
    result.inform("of them while they started", killed_early)
    result.exactly("logs with half a line", torn, 0)
    result.exactly("files of evidence or status that are not whole", halves, 0)
    result.at_most("unfinished files that were left at any time", unfinished, 3)
    result.inform("of them after a sensor that ended in peace", left)
    result.at_least("alerts written whole", alerts, count)
    result.below("up", up, UP_S)
    return result


def is_json(path: Path) -> bool:
    """Whether a file holds one JSON object."""
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except ValueError:
        return False


def _replaced(folder: Path) -> Iterator[Path]:
    """Files that are replaced whole, so they are never half."""
    if (folder / "status.json").exists():
        yield folder / "status.json"
    yield from (folder / "evidence").glob("*.json")


def _lines(log: Path) -> int:
    """Whole lines of a log that is being written."""
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _fill(log: Path, size: int) -> None:
    """Makes the log as long as if it held alerts; the hole takes no room on the disk."""
    with log.open("ab") as file:
        file.truncate(size)
        file.seek(size)
        file.write(b"\n")


def _taken(log: Path) -> list[dict]:
    """The alerts that were written, all files of the log taken away."""
    found = []
    for path in (log, log.with_name(log.name + OLD_SUFFIX)):
        with contextlib.suppress(FileNotFoundError):
            tail = _without_hole(path)
            path.write_bytes(tail)
            found += lines_of(path)
            path.unlink()
    return found


def _without_hole(path: Path) -> bytes:
    """What stands behind the zeros, of which nobody wants to read 64 MiB."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2_000_000))
        tail = file.read()
    return tail.rpartition(b"\0\n")[2]
