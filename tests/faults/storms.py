"""Signals by the thousand, while a sensor starts, detects and ends."""

import json
import os
import random
import signal
import tempfile
import time
from pathlib import Path

import netns
from running import until
from tqdm import tqdm

from faults.floods import floods
from faults.installation import configuration
from faults.process import Sensor, lines_of, multa, names, sensor, sensor_command
from faults.result import Result

END_S = 5.0
GROUPS = 20
"""Storms: each is of one sensor, from its start to its end."""
VICTIMS_A_SECOND = 10.0


def main(count: int, seed: int) -> Result:
    """Sends signals.

    Args:
        count: of them to all sensors together.
        seed: decides their order and how long it is between two.
    """
    result = Result(
        "storms",
        "SIGHUP, and among four of them a SIGUSR1, with up to 2 ms between two: from before the "
        "sensor handles any, under floods, and after SIGTERM until the process has ended. Every "
        "incident that the sensor counted has to be in the log, once. Under load the configuration "
        "is broken half of the time. Every fourth sensor has two workers.",
    )
    chance = random.Random(seed)
    groups = min(GROUPS, max(1, count // 50))
    ends: list[float] = []
    sent = lost = twice = more = early = statuses = reloaded = refused = 0
    with tempfile.TemporaryDirectory() as name, netns.link() as cable:
        folder = Path(name)
        (folder / "log").mkdir()
        settings = configuration(folder / "sensor.toml", cable.port, folder)
        with floods(cable, per_second=VICTIMS_A_SECOND):
            for number in tqdm(range(groups), desc="storms", disable=None):
                log, stats = folder / f"log/alerts-{number}.json", folder / "stats"
                outputs = ("-o", str(log), "--stats", str(stats))
                workers = ("--workers", "2") if number % 4 == 3 else ()
                command = sensor_command(cable, "--config", str(settings), *outputs, *workers)
                with sensor(command, folder, ready=False) as running:
                    until(lambda r=running: handles(r), "a sensor that handles signals")
                    early += storm(running, chance, count // groups // 5)
                    running.wait_until_said("watching")
                    storm(running, chance, 1)
                    before = running.descriptors()
                    sent += storm(running, chance, count // groups, settings)
                    until(lambda path=log: path.stat().st_size, "alerts")
                    time.sleep(0.3)  # what the last signal asked for is done
                    more = max(more, running.descriptors_more(before))
                    began = time.monotonic()
                    running.process.send_signal(signal.SIGTERM)
                    while not running.ended() and time.monotonic() - began < 60:
                        storm(running, chance, 1)
                    ends.append(time.monotonic() - began)
                    statuses += running.process.wait() != 0
                    reloaded += running.said("reloaded: ")
                    refused += running.said("reload failed")
                    lines = lines_of(log)
                    twice += len(lines) - len(set(names(lines)))
                    lost += _counted(stats) - sum(multa(line)["event"] == "start" for line in lines)
    result.at_least("signals while it started", early, groups)
    result.inform("reloads: taken up, refused", f"{reloaded:,}, {refused:,}")
    result.at_least("signals under load", sent, count // 2)
    result.exactly("incidents that were counted and are not in the log", lost, 0)
    result.exactly("lines that are there twice", twice, 0)
    result.at_most("descriptors more", more, 0)
    result.below("ended after SIGTERM", ends, END_S)
    result.exactly("exit status other than 0", statuses, 0)
    return result


def handles(running: Sensor) -> bool:
    """Whether it handles SIGHUP, which ends a process that does not."""
    status = Path(f"/proc/{running.pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGHUP - 1) & 1)


def storm(running: Sensor, chance: random.Random, count: int, settings: Path | None = None) -> int:
    """So many signals, to a process that may end meanwhile; how many were sent.

    Its settings are broken and mended now and then; in the end they are right.
    """
    right = settings.read_bytes() if settings else b""
    for number in range(count):
        if running.ended():
            return number
        if settings and chance.random() < 0.1:
            settings.write_bytes(chance.choice((right, right[: len(right) // 2])))
        # Its own wait is ours: a zombie's id is not another's yet.
        os.kill(running.pid, signal.SIGUSR1 if chance.random() < 0.2 else signal.SIGHUP)
        time.sleep(chance.random() * 0.002)
    if settings:
        settings.write_bytes(right)
    return count


def _counted(stats: Path) -> int:
    return sum(json.loads(stats.read_text())["incidents"].values())
