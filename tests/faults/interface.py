"""Interfaces that go down and up, or are deleted and made anew, under a running sensor."""

import contextlib
import itertools
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import netns
from running import until
from tqdm import tqdm

from faults.floods import refused
from faults.process import LOOK_S, Sensor, sensor, sensor_command
from faults.result import Result

RESUME_S = 5.0
LATER_S = 0.04
"""The counters are asked for this often while the first packet is waited for."""


def main(count: int, seed: int) -> Result:
    """Takes interfaces away: of one process, of two interfaces, of two workers, behind a tap.

    Args:
        count: rounds for one interface and one process; the others get a quarter each.
        seed: decides which rounds are hasty.
    """
    result = Result(
        "interface",
        "The interface goes down and comes up in odd rounds, and is deleted and made anew (with "
        "the same index or another) in even ones. Half of the rounds wait until the sensor has "
        "said that it is blind; the others bring it back at once. *Resumed* is from the end of "
        "the command that brings it up to the counters' first new packet, frames being sent all "
        "the time. Besides: the same with two interfaces, of which one goes, with `--workers 2`, "
        "and with a tap and a sensor without any capability, in a network of its own. The counting "
        "rule alone.",
    )
    few = max(1, count // 4)
    for name, rounds, ports, options in (
        ("one interface", count, ("port0",), ()),
        ("two interfaces", few, ("port0", "port1"), ()),
        ("two workers", few, ("port0",), ("--workers", "2")),
        ("behind a tap", few, ("port0",), ()),
    ):
        with tempfile.TemporaryDirectory() as folder, netns.link() as cable:
            for port in ports[1:]:
                make(cable, port)
            command = sensor_command(cable, "--no-models", "-o", "/dev/null", *options, ports=ports)
            tapped = _tap(cable, Path(folder)) if name == "behind a tap" else nullcontext(command)
            with tapped as command, sensor(command, Path(folder)) as running:
                _measure(result, name, rounds, ports, cable, running, random.Random(seed))
    return result


def _measure(
    result: Result,
    name: str,
    rounds: int,
    ports: Sequence[str],
    cable: netns.Link,
    running: Sensor,
    chance: random.Random,
) -> None:
    resumed: list[float] = []
    before = running.descriptors()
    for number in tqdm(range(rounds), desc=f"interface, {name}", disable=None):
        port = chance.choice(ports)
        hasty = chance.random() < 0.5
        if not hasty:
            # What it has not yet said to be back it will not say to be blind.
            until(lambda: not still_blind(running, ports), "the interface to be back")
        blind, back = running.said("blind until"), running.said(f"{port} is back")
        _take_away(cable, port, deleted=number % 2 == 1)
        if not hasty:
            running.wait_until_said("blind until", blind + 1)
        packets = running.statistics()["packets"]
        _bring_back(cable, port, deleted=number % 2 == 1, chance=chance)
        resumed.append(_until_counted(running, cable, port, packets))
        if not hasty:
            running.wait_until_said(f"{port} is back", back + 1)
    until(lambda: not still_blind(running, ports), "the last interface to be back")
    result.exactly(f"{name}: rounds in which it went on", len(resumed), rounds)
    result.below(f"{name}: resumed", resumed, RESUME_S)
    result.exactly(f"{name}: restarts", int(running.ended()), 0)
    result.at_most(f"{name}: descriptors more", running.descriptors_more(before), 0)
    said, back = running.said("blind until"), running.said("is back")
    # "Is down" may follow "is gone" before it is back: two ways to be blind.
    result.inform(f"{name}: said to be blind, and back", f"{said}, {back}")
    result.exactly(f"{name}: blind at the end", len(still_blind(running, ports)), 0)
    result.exactly(f"{name}: exit status", running.end()[0], 0)


@contextlib.contextmanager
def _tap(cable: netns.Link, folder: Path) -> Iterator[list[str]]:
    """A tap at the far end; the command of a sensor elsewhere that gets its sockets from there."""
    path = folder / "tap.sock"
    python = [sys.executable, "-m", "sensor.cli"]
    tap = cable.start(cable.far, [*python, "tap", "--socket", str(path)])
    try:
        until(path.exists, "the tap's socket")
        nothing = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
        run = ["run", "-i", cable.port, "--tap", str(path), "--no-models", "-o", "/dev/null"]
        yield ["unshare", "--net", *nothing, *python, *run]
    finally:
        tap.terminate()
        tap.communicate()


def still_blind(running: Sensor, ports: Sequence[str]) -> list[str]:
    """The interfaces of which the sensor has said last that it sees nothing."""
    last = {
        port: line
        for line in running.messages()
        for port in ports
        if f"interface {port} is" in line
    }
    return [port for port, line in last.items() if "is back" not in line]


def make(cable: netns.Link, port: str, index: int | None = None) -> None:
    """Makes a pair of interfaces between the namespaces, and brings both ends up."""
    peer = ["type", "veth", "peer", "name", port, "netns", cable.near]
    number = ["index", str(index)] if index else []
    _ip(cable.far, "link", "add", port, *number, *peer)
    _ip(cable.near, "link", "set", port, "up")
    _ip(cable.far, "link", "set", port, "up")


_indices = itertools.count(1_000)


def _take_away(cable: netns.Link, port: str, *, deleted: bool) -> None:
    if deleted:
        _ip(cable.far, "link", "delete", port)
    else:
        _ip(cable.far, "link", "set", port, "down")


def _bring_back(cable: netns.Link, port: str, *, deleted: bool, chance: random.Random) -> None:
    if not deleted:
        _ip(cable.far, "link", "set", port, "up")
    elif chance.random() < 0.5:
        make(cable, port, next(_indices))
    else:
        make(cable, port)


def _until_counted(running: Sensor, cable: netns.Link, port: str, before: int) -> float:
    """Sends until the sensor has counted something new; the seconds until then."""
    began = asked = time.monotonic()
    for number in itertools.count():
        passed = time.monotonic() - began
        if passed > 2 * RESUME_S:
            return float("inf")
        try:
            netns.play(cable.near, port, refused(number, 1))
        except OSError:
            time.sleep(LOOK_S)  # its carrier is not there yet
            continue
        if time.monotonic() - asked >= LATER_S:
            asked = time.monotonic()
            if running.statistics()["packets"] > before:
                return asked - began
        time.sleep(LOOK_S)
    raise AssertionError


def _ip(namespace: str, *arguments: str) -> None:
    subprocess.run(["ip", "-n", namespace, *arguments], check=True)
