"""A sensor with the bundle of latency, live on a cable into which trouble is put after a while.

A probe leaves every fifth of a second: `ping`, or a TCP connection. Once the series is quiet for
`WARM` of them, noise, a swell or an outage begins, lasts for some probes and is over; what comes
when is counted in probes, so a slow machine makes it slow and not wrong.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from changing_cable import ChangingCable
from command import ROOT
from delayed_cable import SERVER, Ends, joined
from initial_rtts import round_trips
from netns import Link
from running import started

from sensor.latency.measurements import KINDS

EVERY_S = 0.2
WARM, AFTER = 100, 20
"""Quiet probes before, and after."""
LASTS = {"noise": 40, "swell": 50, "outage": 30, "nothing": 50}
"""Probes from the beginning of each to its end: 8, 10 and 6 s."""
NOISE_MS, NOISE_EVERY, SWELL_MS = 60.0, 5, 50.0
"""What is added to a round trip; every how manieth probe is noise."""
SILENCE_NS = 3_000_000_000
"""After which a probe has failed: docs/semantics.md, 38."""

KIND = {"ping": "echo", "connections": "syn"}
_LISTEN = f"""
import socket
listener = socket.create_server(("{SERVER}", 7000), backlog=128)
print("ready", flush=True)
held = []
while True:
    held.append(listener.accept()[0])  # the other end ends it
    if len(held) > 50:
        held.pop(0).close()
"""
_CONNECT = f"""
import socket, struct, sys, time
every_s = float(sys.argv[1])
held = []
while True:
    held.append(socket.socket())
    # its end is a RST, which nobody answers
    held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    held[-1].setblocking(False)
    held[-1].connect_ex(("{SERVER}", 7000))
    time.sleep(0.8 * every_s)
    if len(held) > 25:
        held.pop(0).close()
    print("asked", flush=True)
    time.sleep(0.2 * every_s)
"""


@dataclass(frozen=True)
class Told:
    """An alert.

    Attributes:
        task, address: what it says, and of whom.
        after: measurements of the series from the beginning on, the one it came with included;
            0: it came before.
        seconds: from the beginning.
        highest_ms: the third highest measurement until then, above the median of all until then.
        level_ms: the median of the last ten, above the same.
    """

    task: str
    address: str
    after: int
    seconds: float
    highest_ms: float
    level_ms: float


@dataclass(frozen=True)
class Round:
    """What was played, and what was said.

    Attributes:
        rtt_ms: without what was put in.
        probe, kind: what measured, and what was put in.
        median_ms, highest_ms: of the quiet measurements.
        told: incidents that were opened, in order.
    """

    rtt_ms: float
    probe: str
    kind: str
    median_ms: float
    highest_ms: float
    told: tuple[Told, ...]


def played(
    rtt_ms: float,
    probe: str,
    kind: str,
    *,
    seed: int = 1,
    warm: int = WARM,
    ready: Callable[[], object] = lambda: None,
) -> Round:
    """One round, with a cable and a sensor of its own.

    Args:
        rtt_ms: of the cable there and back, with 4 % of it as jitter.
        probe: ``ping`` or ``connections``.
        kind: ``noise``, ``swell``, ``outage`` or ``nothing``.
        seed: of jitter.
        warm: quiet probes before.
        ready: called when the sensor watches, before the first probe.
    """
    cable = ChangingCable(rtt_ms, 0.04 * rtt_ms)
    with tempfile.TemporaryDirectory() as folder, joined(cable.as_cable(), seed) as ends:
        for namespace in (ends.client, ends.server):
            # what the kernel sends of its own would take the delay that is meant for a probe
            quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done"
            subprocess.run(ends.command(namespace, ["sh", "-c", quiet]), check=True)
        log, record = Path(folder, "alerts.json"), Path(folder, "record.pcap")
        models = ("-m", str(ROOT / "models" / "latency"), "--no-rule")
        link = Link(ends.server, ends.client, ends.port)
        with started(link, *models, "-o", str(log), "--record", str(record)) as sensor:
            ready()
            with probes(ends, probe) as sent:
                _pass(sent, warm)
                began_ns = time.time_ns()
                _put_in(cable, kind, sent)
                cable.calm()
                _pass(sent, AFTER)
            status = sensor.end()
        assert status == 0, sensor.messages
        return _judged(rtt_ms, probe, kind, began_ns, log, record)


def _put_in(cable: ChangingCable, kind: str, sent: Iterator[str]) -> None:
    if kind == "swell":
        cable.swell(SWELL_MS)
    elif kind == "outage":
        cable.cut()
    for number in range(LASTS[kind]):
        if kind == "noise" and number % NOISE_EVERY == 0:
            cable.hold_one(NOISE_MS)
        _pass(sent, 1)
    if kind == "outage":
        _pass(sent, round(SILENCE_NS / 1e9 / EVERY_S) - AFTER)


def _pass(sent: Iterator[str], count: int) -> None:
    for _ in range(count):
        next(sent)


@contextlib.contextmanager
def probes(ends: Ends, probe: str, every_s: float = EVERY_S) -> Iterator[Iterator[str]]:
    """A line for each probe, when nothing of it is on its way any more."""
    if probe == "ping":
        # -O: a line for those that were not answered, too
        with _lines(ends, ends.client, ["ping", "-n", "-O", "-i", str(every_s), SERVER]) as sent:
            yield (line for line in sent if "icmp_seq=" in line)
        return
    with _lines(ends, ends.server, [sys.executable, "-c", _LISTEN]) as listening:
        next(listening)
        with _lines(ends, ends.client, [sys.executable, "-c", _CONNECT, str(every_s)]) as sent:
            yield sent


@contextlib.contextmanager
def _lines(ends: Ends, namespace: str, command: list[str]) -> Iterator[Iterator[str]]:
    process = subprocess.Popen(ends.command(namespace, command), stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout
            yield iter(process.stdout)
        finally:
            process.kill()


def _judged(rtt_ms: float, probe: str, kind: str, began_ns: int, log: Path, record: Path) -> Round:
    found, _ = round_trips(record)
    server = int.from_bytes(bytes(map(int, SERVER.split("."))), "big")
    own = found["kind"] == KINDS.index(KIND[probe])
    found = found[own & (found["destination_low"] == server)]
    sent_ns = found["sent_ns"].astype(np.int64)
    decided_ns = sent_ns + np.where(found["answered"], found["rtt_ns"], SILENCE_NS)
    before = found["rtt_ns"][found["answered"] & (sent_ns < began_ns)] / 1e6
    told = []
    for line in log.read_text().splitlines():
        alert = json.loads(line)
        own_part = alert["alert"]["metadata"]["multa"]
        if own_part["event"] != "start":
            continue
        at_ns = time_ns(alert["timestamp"])
        until = found["rtt_ns"][found["answered"] & (decided_ns <= at_ns)] / 1e6
        told.append(
            Told(
                own_part["task"],
                own_part["address"],
                int(((sent_ns >= began_ns) & (decided_ns <= at_ns)).sum()),
                (at_ns - began_ns) / 1e9,
                float(np.sort(until)[-3] - np.median(until)),
                float(np.median(until[-10:]) - np.median(until)),
            )
        )
    return Round(rtt_ms, probe, kind, float(np.median(before)), float(before.max()), tuple(told))


def time_ns(stamp: str) -> int:
    """Of an alert's time, to the end of its microsecond."""
    moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z")
    whole = moment.replace(microsecond=0).timestamp()
    return (round(whole) * 1_000_000 + moment.microsecond + 1) * 1000
