"""Bundles that are exchanged by SIGHUP under load: nothing is lost, and no alert is mixed."""

import contextlib
import json
import random
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import frames
import netns
from tqdm import tqdm

from faults.installation import configuration
from faults.process import Sensor, lines_of, multa, sensor, sensor_command
from faults.result import Result
from sensor.model import canonical
from sensor.service.models.model_store import shipped_bundle

VERSIONS = ("before", "after")
TASK = "syn_dos"
FLOWS_A_SECOND = 1_000
VICTIM, CLIENTS = "10.64.0.1", 0x0A010000
CROSSING, CROSSING_EVERY = 5, 4
"""Connections that are open while bundles are exchanged, in one exchange of so many: each is an
incident, and the budget of alerts is not what is looked at here."""
SECONDS = 10.0
SLACK_S = 0.3
"""Between a packet's time and that of the message about it: blocks wait for 100 ms."""


@dataclass
class Exchange:
    """One of them, with the bundle that it put in force.

    Attributes:
        version: of the bundle.
        asked, told: wall-clock times of SIGHUP, and of the message that it is in force.
    """

    version: str
    asked: float
    told: float


def main(count: int, seed: int) -> Result:
    """Exchanges bundles.

    Args:
        count: of exchanges.
        seed: decides how long it is between two.
    """
    result = Result(
        "swaps",
        "The shipped bundle is exchanged for itself under another version, and back, by SIGHUP "
        f"after a change of the configuration, under {FLOWS_A_SECOND:,} new connections a second "
        f"to one server, and {CROSSING} that are open across every {CROSSING_EVERY}th exchange. "
        f"For this, the threshold of {TASK} is so low that every connection is a positive: so "
        "each has to be counted by one incident, and the incidents together count the connections "
        "that were sent. *Of the wrong bundle* are incidents with packets from before their "
        "bundle was asked for, or from after the message that it was replaced; for open "
        "connections the bundle in force when they began is the right one.",
    )
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, netns.link() as cable:
        folder = Path(name)
        for version in VERSIONS:
            _bundle(folder / version, version)
        log, stats = folder / "log/alerts.json", folder / "stats"
        log.parent.mkdir()
        settings = folder / "sensor.toml"

        def choose(version: str) -> None:
            configuration(settings, cable.port, folder, str(folder / version), rule=False)

        choose(VERSIONS[0])
        command = sensor_command(cable, "--config", str(settings), "--stats", str(stats))
        crossed: list[tuple[str, str]] = []
        began = time.time()
        with sensor(command, folder) as running, _load(cable) as load:
            before = running.descriptors()
            exchanges = [Exchange(VERSIONS[0], began, began)]
            for number in tqdm(range(1, count + 1), desc="swaps", disable=None):
                time.sleep(0.1 + chance.random() * 0.3)
                server = f"10.65.{number >> 8}.{number & 255}"
                crossing = number % CROSSING_EVERY == 0
                if crossing:
                    crossed.append((server, exchanges[-1].version))
                    _play(cable, server, frames.SYN)
                    time.sleep(SLACK_S)  # a row begins with its first packet's block
                version = VERSIONS[number % 2]
                choose(version)
                exchanges.append(_exchanged(running, version, number))
                if crossing:
                    _play(cable, server, frames.RST | frames.ACK)
            more = running.descriptors_more(before)
            load.stop()
            sent = load.sent + CROSSING * len(crossed)
            time.sleep(SLACK_S)
            status, _ = running.end()
        counted = json.loads(stats.read_text())
        lines = [line for line in lines_of(log) if multa(line).get("task") == TASK]
    exchanges.append(Exchange("", time.time(), time.time()))
    ends = [multa(line) for line in lines if multa(line)["event"] == "end"]
    took = [each.told - each.asked for each in exchanges[1:-1]]
    result.exactly("exchanges", len(took), count)
    result.below("in force after SIGHUP", took, SECONDS)
    result.exactly("connections sent − seen", sent - counted["flows"], 0)
    result.exactly(
        "rows decided − scored", sum(counted["sequences"].values()) - counted["scored"], 0
    )
    in_incidents = sum(each["flows"] for each in ends)
    result.exactly("connections sent − counted by incidents", sent - in_incidents, 0)
    result.inform("connections sent", f"{sent:,}")
    told = sum(counted["alerts"].values()) - counted["alerts_withheld"]
    result.exactly("alerts told − written", told - counted["alerts_written"], 0)
    result.exactly(
        "incidents with lines of two bundles, or not one start and end", _mixed(lines), 0
    )
    result.exactly("incidents of the wrong bundle", _wrong(lines, exchanges, dict(crossed)), 0)
    reloads = sum(each.get("reason") == "reload" for each in ends)
    result.at_least("incidents that ended by an exchange", reloads, count)
    for name in ("kernel_drops", "shed", "alerts_lost", "alerts_withheld"):
        result.exactly(name.replace("_", " "), counted[name], 0)
    result.at_most("descriptors more", more, 0)
    result.exactly("exit status", status, 0)
    return result


def _bundle(folder: Path, version: str) -> None:
    """The shipped bundle under another version, for which every flow is an attack of one task."""
    shutil.copytree(shipped_bundle(), folder)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["version"] = version
    for task in manifest["tasks"]:
        if task["name"] == TASK:
            task["threshold"] = 1e-9
            task["incident"]["open_flows"] = 1
    del manifest["manifest_sha256"]
    manifest["manifest_sha256"] = canonical.sha256(manifest)
    path.write_text(json.dumps(manifest))


def _exchanged(running: Sensor, version: str, number: int) -> Exchange:
    asked = time.time()
    running.process.send_signal(signal.SIGHUP)
    running.wait_until_said("reloaded:", number)
    return Exchange(version, asked, time.time())


class _Load(threading.Thread):
    """Connections that are refused, each from an end of its own, to one server."""

    def __init__(self, cable: netns.Link) -> None:
        super().__init__(daemon=True)
        self._cable, self._over = cable, threading.Event()
        self.sent = 0

    def run(self) -> None:
        there = bytearray(frames.tcp_frame("10.1.0.1", 1, VICTIM, 80, frames.SYN))
        back = bytearray(frames.tcp_frame(VICTIM, 80, "10.1.0.1", 1, frames.RST | frames.ACK))
        with netns.inside(self._cable.near):
            sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            sender.bind((self._cable.port, 0))
        began = time.monotonic()
        with sender:
            while not self._over.is_set():
                wanted = (time.monotonic() - began) * FLOWS_A_SECOND
                while self.sent < wanted:
                    client = struct.pack("!I", CLIENTS + (self.sent & 0xFFFF))
                    port = struct.pack("!H", 1_024 + (self.sent >> 16))
                    there[26:30] = back[30:34] = client
                    there[34:36] = back[36:38] = port
                    sender.send(there)
                    sender.send(back)
                    self.sent += 1
                time.sleep(0.005)

    def stop(self) -> None:
        """Stops between two connections."""
        self._over.set()
        self.join()


@contextlib.contextmanager
def _load(cable: netns.Link) -> Iterator[_Load]:
    load = _Load(cable)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def _play(cable: netns.Link, server: str, flags: int) -> None:
    """A packet of each connection that is open while bundles are exchanged."""
    clients = [f"10.2.0.{number + 1}" for number in range(CROSSING)]
    if flags == frames.SYN:
        contents = [frames.tcp_frame(each, 1_024, server, 80, flags) for each in clients]
    else:
        contents = [frames.tcp_frame(server, 80, each, 1_024, flags) for each in clients]
    netns.play(cable.near, cable.port, contents)


def _mixed(lines: list[dict]) -> int:
    """Incidents whose lines name two bundles, or that do not begin and end once."""
    found: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        ours = multa(line)
        found.setdefault(ours["alert_id"], []).append((ours["event"], ours["model"]["version"]))
    return sum(
        len({version for _, version in each}) > 1
        or [event for event, _ in each].count("start") != 1
        or [event for event, _ in each].count("end") != 1
        for each in found.values()
    )


def _wrong(lines: list[dict], exchanges: list[Exchange], crossed: dict[str, str]) -> int:
    """Incidents of a bundle that was not in force when their rows began."""
    periods = [
        (this.version, this.asked - SLACK_S, following.told + SLACK_S)
        for this, following in pairwise(exchanges)
    ]
    wrong = 0
    for ours in map(multa, lines):
        version = ours["model"]["version"]
        if ours["address"] in crossed:
            wrong += version != crossed[ours["address"]]
            continue
        first, last = _seconds(ours["first_packet"]), _seconds(ours["last_packet"])
        wrong += not any(
            version == in_force and since <= first <= last <= until
            for in_force, since, until in periods
        )
    return wrong


def _seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
