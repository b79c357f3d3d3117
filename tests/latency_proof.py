"""Round-trip times of the sensor beside those of `ping` and of tshark, on the same packets.

    python tests/latency_proof.py --out docs/results/passive-latency.md

Live, over the lab's cable with delay, jitter and loss; and in captures, those of the project and
those of ``--data`` where they are there. Then the alerts that such times raise
(`alerts_of_latency`). As root.
"""

import argparse
import contextlib
import datetime as dt
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from alerts_of_latency import replayed, rounds, section
from delayed_cable import CLIENT, SERVER, Ends, captured, delayed
from initial_rtts import handshakes, round_trips
from numpy.typing import NDArray

from sensor.errors import LinkTypeError
from sensor.latency.measurements import KINDS

ROOT = Path(__file__).parent.parent
SETTINGS = ((0.0, 0.0, 0.0), (5.0, 1.0, 0.0), (20.0, 10.0, 0.01), (150.0, 20.0, 0.05))
"""Delay and jitter one way in ms, and loss."""
PINGS, CONNECTIONS, ASKED = 400, 60, 5

_SERVER = f"""
import socket, threading
listener = socket.create_server(("{SERVER}", 7000), backlog=128)
print("ready", flush=True)
def serve(peer):
    with peer:
        while asked := peer.recv(64):
            peer.sendall(asked)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
_CLIENT = f"""
import socket, time
for _ in range({CONNECTIONS}):
    with socket.create_connection(("{SERVER}", 7000), timeout=60) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range({ASKED}):
            began = time.monotonic_ns()
            peer.sendall(b"x" * 64)
            held = 0
            while held < 64:
                held += len(peer.recv(64))
            print(time.monotonic_ns() - began)
"""


@dataclass(frozen=True)
class Played:
    """What was measured over one cable.

    Attributes:
        setting: delay, jitter, loss.
        errors_us: ``(pings,)`` the sensor's round-trip time less ping's, of answered pings.
        lost: pings without an answer, as ping and as the sensor counts them.
        compared: handshakes, tshark's, the sensor's, equal, ambiguous.
        asked_us, stamped_us: round trips of requests as the program saw them, and those of their
            TCP timestamps.
        parts_us: medians of `syn` and `syn_ack` at the client's end, then at the server's.
    """

    setting: tuple[float, float, float]
    errors_us: NDArray[np.float64]
    lost: tuple[int, int]
    compared: tuple[int, int, int, int]
    asked_us: NDArray[np.float64]
    stamped_us: NDArray[np.float64]
    parts_us: tuple[float, float, float, float]


def play(setting: tuple[float, float, float], pings: int = PINGS) -> Played:
    """Pings and connections over a cable, captured at both of its ends."""
    with tempfile.TemporaryDirectory() as folder, delayed(*setting) as ends:
        near, far = Path(folder, "client.pcap"), Path(folder, "server.pcap")
        with captured(ends, ends.client, near), captured(ends, ends.server, far):
            said = _run(
                ends,
                ["ping", "-D", "-n", "-i", "0.02", "-c", str(pings), "-W", "2", SERVER],
            )
            asked = _connections(ends)
        found, _ = round_trips(near)
        there, _ = round_trips(far)
        compared = handshakes(near)
    told = [float(each) for each in re.findall(r"time=([0-9.]+) ms", said)]
    echoes = found[found["kind"] == KINDS.index("echo")]
    heard = echoes[echoes["answered"]]
    rtts = heard["rtt_ns"] / 1e6
    assert rtts.size == len(told), f"{rtts.size} echoes, {len(told)} answers of ping"
    server = _peer(found, "timestamp", SERVER)
    return Played(
        setting,
        (rtts - np.array(told)) * 1e3,
        (pings - len(told), echoes.size - heard.size),
        (compared.tshark, compared.sensor, compared.equal, compared.ambiguous),
        np.array([int(each) for each in asked.split()]) / 1e3,
        server,
        (
            _median(_peer(found, "syn", SERVER)),
            _median(_peer(found, "syn_ack", CLIENT)),
            _median(_peer(there, "syn", SERVER)),
            _median(_peer(there, "syn_ack", CLIENT)),
        ),
    )


def _connections(ends: Ends) -> str:
    command = ends.command(ends.server, [sys.executable, "-c", _SERVER])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            server.stdout.readline()
            return _run(ends, [sys.executable, "-c", _CLIENT])
        finally:
            server.kill()


def _run(ends: Ends, command: list[str]) -> str:
    done = subprocess.run(
        ends.command(ends.client, command), capture_output=True, text=True, check=False
    )
    return done.stdout


def _peer(found: NDArray[np.void], kind: str, peer: str) -> NDArray[np.float64]:
    low = int.from_bytes(bytes(map(int, peer.split("."))), "big")
    chosen = (found["kind"] == KINDS.index(kind)) & (found["destination_low"] == low)
    times: NDArray[np.float64] = found["rtt_ns"][chosen & found["answered"]] / 1e3
    return times


def _median(times: NDArray[np.float64]) -> float:
    return float(np.median(times)) if times.size else float("nan")


def page(played: list[Played], files: list[tuple[str, int, int, int, int]]) -> str:
    """The results, Markdown."""
    about = {
        "today": dt.datetime.now(dt.timezone.utc).date(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
        "pings": PINGS,
        "connections": CONNECTIONS,
        "asked": ASKED,
    }
    tables = (
        map(_of_pings, played),
        map(_of_handshakes, played),
        map(_of_timestamps, played),
        (f"| {name} | {' | '.join(f'{n:,}' for n in counts)} |" for name, *counts in files),
    )
    parts = _TEXT.format(**about).split("@\n")
    return "".join(
        text + "".join(f"{row}\n" for row in rows)
        for text, rows in zip(parts, (*tables, ()), strict=True)
    )


_TEXT = """# Passive round-trip times beside ping and tshark

{today}, {machine}, Python {python}; `make verify TARGET=latency`. Load average at the end: {load}.
Other jobs delay ping, and the process that is the cable, so they are in the differences below.

Two network namespaces joined by the lab's cable (`trainer/lab/links.py`), which delays and loses
frames. {pings} pings 20 ms apart, and {connections} connections of {asked} requests each. tcpdump
captures at both ends; the sensor reads the files.

## Echo requests: the sensor less ping

At the pinging end. ping rounds times to three digits (by up to 50 µs from 10 ms on, 500 µs from
100 ms on), and it stamps a request before the kernel has it. Each ping that lacked an answer is a
failed measurement of the sensor.

| delay + jitter one way, loss | answered | difference, median µs \
| 95 % of its size | most | lost, ping | failed, sensor |
|---|---|---|---|---|---|---|
@

## Handshakes: `syn` + `syn_ack`, and tshark's `tcp.analysis.initial_rtt`

At the client's end. *Ambiguous* are answers to packets that were sent twice: tshark takes the last
one, the sensor says nothing. The parts are medians: at the client's end the way to the server and
back is in `syn`, at the server's end in `syn_ack`.

| delay + jitter one way, loss | tshark | sensor | equal to the nanosecond | ambiguous \
| client's end: syn, syn_ack, µs | server's end: syn, syn_ack, µs |
|---|---|---|---|---|---|---|
@

## TCP timestamps: through the life of a connection

At the client's end, of segments that the server echoed, beside the time that the asking program saw
from its request to the whole answer. A request that is lost is sent again, which is in the
program's time and not in the path's.

| delay + jitter one way, loss | requests | program, median µs | 95 % | measurements \
| sensor, median µs | 95 % |
|---|---|---|---|---|---|---|
@

## Captures

Handshakes of recorded traffic, a connection that was refused included: those of the project, and
public ones (`DATA=...`). What tshark has more than the sensor are connections with a packet that
was sent twice. Where both have a time and not the same one, the capture holds each packet twice,
some microseconds apart: tshark measures from the last copy of the SYN, the sensor from the first.

| captures | tshark | sensor | equal to the nanosecond | ambiguous |
|---|---|---|---|---|
@
"""


def _of_pings(each: Played) -> str:
    size = np.abs(each.errors_us)
    return (
        f"| {_setting(each)} | {size.size} | {np.median(each.errors_us):.0f} "
        f"| {np.quantile(size, 0.95):.0f} | {size.max():.0f} | {each.lost[0]} | {each.lost[1]} |"
    )


def _of_handshakes(each: Played) -> str:
    parts = [f"{part:,.0f}" for part in each.parts_us]
    counts = " | ".join(map(str, each.compared))
    return f"| {_setting(each)} | {counts} | {', '.join(parts[:2])} | {', '.join(parts[2:])} |"


def _of_timestamps(each: Played) -> str:
    both = [
        f"{times.size} | {np.median(times):,.0f} | {np.quantile(times, 0.95):,.0f}"
        for times in (each.asked_us, each.stamped_us)
    ]
    return f"| {_setting(each)} | {' | '.join(both)} |"


def _setting(played: Played) -> str:
    delay, jitter, loss = played.setting
    return f"{delay:g} + {jitter:g} ms, {100 * loss:g} %"


def compared(name: str, paths: list[Path]) -> tuple[str, int, int, int, int]:
    """Handshakes of several captures, summed up; those of links that are not decoded left out."""
    found = []
    for path in paths:
        with contextlib.suppress(LinkTypeError):
            found.append(handshakes(path))
    names = ("tshark", "sensor", "equal", "ambiguous")
    tshark, sensor, equal, ambiguous = (sum(getattr(each, n) for each in found) for n in names)
    return f"{name} ({len(found)})", tshark, sensor, equal, ambiguous


def main() -> None:
    """Plays, compares, writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="The page.")
    parser.add_argument("--data", type=Path, help="Folder of unpacked public captures.")
    parser.add_argument(
        "--recordings", type=Path, help="Benign recordings: KIND/RECORDING/capture.pcap."
    )
    arguments = parser.parse_args()
    played = [play(setting) for setting in SETTINGS]
    files = [compared("recorded by the lab", sorted((ROOT / "tests" / "captures").glob("*.pcap")))]
    for folder in ("ndpi", "iot-sentinel", "requet"):
        if arguments.data and (arguments.data / folder).is_dir():
            paths = sorted((arguments.data / folder).rglob("*.pcap"))
            files.append(compared(folder, paths))
    own = sorted((ROOT / "tests" / "captures").glob("*.pcap"))
    replays = [replayed("with attacks, of the tests", own)]
    folders = sorted(arguments.recordings.iterdir()) if arguments.recordings else []
    replays += [replayed(each.name, sorted(each.glob("*/capture.pcap"))) for each in folders]
    arguments.out.write_text(page(played, files) + section(rounds(), replays))


if __name__ == "__main__":
    main()
