"""Live over veth: loss and time to alert of the whole chain, and peers: ``python -m bench.live``.

A C sender (`sender.c`) plays a mix or a SYN flood from one network namespace into another, at a
rate or as fast as it goes, and among it attacks whose completing packets are known: TLS
renegotiations of the shipped tests, each to a victim of its own. The time to alert is from the
kernel's time stamp of the packet that completed the deciding sequence (the alert's `timestamp`)
to the arrival of the alert's line at a reader of the sensor's standard output.

Needs root, iproute2, ethtool and a C compiler. Takes four minutes.
"""

import contextlib
import datetime as dt
import json
import os
import platform
import signal
import struct
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import click
import dpkt
import numpy as np

from bench import captures
from bench.cable import PORT, Cable, Sent, cable, take_precedence
from bench.install import Here, NotInstalledError, Pip, Place

ROOT = Path(__file__).resolve().parent.parent
ATTACK = ROOT / "tests/captures/renegotiation-after-40.pcap"
TASK = "ssl_renegotiation"
ATTACK_S = 1.1
"""Of the capture: its fourth connection is recognised after 1.03 s."""
ATTACKS_EVERY_S = 0.06
LEAD_S = 0.5
VICTIMS = "10.200."
"""The mix has none of these addresses."""

RATES = (10_000, 100_000, 0)
STOPPED_RATE, STOPPED_S = 50_000, 2.0
PEERS: dict[str, Here | Pip] = {
    "dpkt": Here(),
    "scapy": Pip(("scapy",)),
    "pyshark": Pip(("pyshark",)),
}
PEER_RATES = (10_000, 0)
PEER_S = 3.0
SCALES = {"mix": 0.3, "syn": 1.0}

OURS_NOTE = """\
*Lost* is the share of the frames sent that the chain did not see. Attacks are TLS renegotiations,
each of four connections to a victim of its own. Played faster than it was made, the mix has false
alerts of the same kind; they are timed too. The time is from the kernel's stamp of the packet that
completed the deciding sequence to the arrival of the alert's line at the reader of a pipe; a ring
block waits for at most 100 ms to be full. Where fewer attacks were told than were played, their
packets were among the lost, or the limit of alerts (1,000 at once) withheld them."""

PEERS_NOTE = f"""\
*dpkt* is a receive loop with a socket buffer of 16 MiB and dpkt for every frame; *scapy* is
`sniff`, *pyshark* is `LiveCapture`. Each looks at the five-tuple and nothing more; what it has
handled two seconds after the end of {PEER_S:g} s counts."""


@dataclass
class Watched:
    """What the sensor did with what was sent.

    Attributes:
        traffic: ``mix`` or ``syn``.
        asked: frames a second, 0 for as many as can.
        workers: processes that it ran in.
        sent: by the sender.
        counted: its statistics.
        cpu_s: CPU time of all its processes, start-up included.
        attacks: incidents that were played whole.
        told: those of them whose start was told.
        delays_ms: of all starts that a packet decided.
    """

    traffic: str
    asked: int
    workers: int
    sent: Sent
    counted: dict[str, Any]
    cpu_s: float
    attacks: int
    told: int = 0
    delays_ms: list[float] = field(default_factory=list)

    @property
    def lost(self) -> float:
        """Share of the frames that the sender sent and the chain did not see."""
        seen: int = self.counted["packets"]
        return 1 - seen / self.sent.frames


@dataclass
class Handled:
    """What a peer did with what was sent."""

    name: str
    traffic: str
    sent: Sent
    packets: int


def write_attacks(path: Path, seconds: float) -> int:
    """Attacks every few milliseconds, each from and to addresses of its own; returns how many."""
    with ATTACK.open("rb") as file:
        records = [(float(when), frame) for when, frame in dpkt.pcap.Reader(file)]
    begin, first = records[0]
    records = [(when - begin, frame) for when, frame in records if when - begin <= ATTACK_S]
    client = first[26:30]  # the source of an IPv4 packet behind Ethernet
    count = int((seconds - LEAD_S - ATTACK_S - 0.2) / ATTACKS_EVERY_S)
    played = []
    for number in range(count):
        ours = struct.pack("!I", 0x0AC90100 + number) + struct.pack("!I", 0x0AC80100 + number)
        back = ours[4:] + ours[:4]
        for when, frame in records:
            ends = ours if frame[26:30] == client else back
            changed = frame[:26] + ends + frame[34:]
            played.append((LEAD_S + number * ATTACKS_EVERY_S + when, changed))
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for when, frame in sorted(played):
            writer.writepkt(frame, when)
    return count


class EndedError(Exception):
    """The sensor ended with a failure; the message is what it said."""


class Lines(threading.Thread):
    """Reads lines of a pipe, each with the time at which it came."""

    def __init__(self, pipe: IO[str]) -> None:
        super().__init__(daemon=True)
        self.lines: list[tuple[int, str]] = []
        self._pipe = pipe
        self.start()

    def run(self) -> None:
        """To the end of the pipe."""
        for line in self._pipe:
            self.lines.append((time.time_ns(), line))


def watch(
    link: Cable,
    work: Path,
    traffic: str,
    rate: int,
    seconds: float,
    workers: int = 1,
    *,
    stopped: bool = False,
) -> Watched:
    """Runs the sensor with the shipped bundle while the sender sends; it may be stopped then.

    Raises:
        EndedError: the sensor did not end as it was asked to.
    """
    marked, stats = work / "attacks.pcap", work / "stats.json"
    attacks = 0 if stopped else write_attacks(marked, seconds)
    command = [sys.executable, "-m", "sensor.cli", "run", "-i", PORT, "-o", "-"]
    command += ["--stats", str(stats), *(["--workers", str(workers)] if workers > 1 else [])]
    process = link.start(command, ROOT)
    assert process.stdout
    assert process.stderr
    for line in process.stderr:
        if "watching" in line:
            break
    said, alerts = Lines(process.stderr), Lines(process.stdout)
    if stopped:
        process.send_signal(signal.SIGSTOP)
    sent = link.send(work / f"{traffic}.pcap", rate, seconds, marked if attacks else None)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    alerts.join()
    said.join()
    if process.returncode:
        raise EndedError(" ".join(line.strip() for _, line in said.lines))
    counted = json.loads(stats.read_text())
    cpu_s = usage.ru_utime + usage.ru_stime
    timed = delays(alerts.lines)
    told = sum(address.startswith(VICTIMS) for address, _ in timed)
    delays_ms = [delay for _, delay in timed]
    return Watched(traffic, rate, workers, sent, counted, cpu_s, attacks, told, delays_ms)


def delays(lines: list[tuple[int, str]]) -> list[tuple[str, float]]:
    """Addresses, and milliseconds from the deciding packet to the line that tells a start."""
    found = []
    for arrived_ns, line in lines:
        record = json.loads(line)
        told = record["alert"]["metadata"]["multa"]
        if told.get("task") == TASK and (told["event"], told["end_reason"]) == ("start", "full"):
            decided = dt.datetime.strptime(record["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z")
            delay = arrived_ns / 1e6 - decided.timestamp() * 1e3
            found.append((told["address"], delay))
    return found


def handle(link: Cable, work: Path, name: str, place: Place, traffic: str, rate: int) -> Handled:
    """Runs a peer while the sender sends, and two seconds longer."""
    script = str(ROOT / "bench/receivers.py")
    environment = [f"{key}={value}" for key, value in place.environment]
    process = link.start(["env", *environment, place.python or sys.executable, script, name, PORT])
    assert process.stdout
    process.stdout.readline()
    time.sleep(1.5)
    sent = link.send(work / f"{traffic}.pcap", rate, PEER_S)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    told = process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)  # pyshark's tshark and dumpcap too
    process.communicate()
    return Handled(name, traffic, sent, int(told))


def page(
    options: str,
    load: float,
    ours: list[Watched],
    failures: list[str],
    stopped: list[Watched],
    peers: list[Handled],
    without: list[str],
) -> str:
    """The page."""
    lines = [
        "# Live: loss and time to alert",
        "",
        (
            f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} "
            f"cores, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}; "
            f"`python -m bench.live {options}`. Sender, kernel and receiver share the "
            "cores; the sender is a C program between two network namespaces over veth, so the "
            "kernel's part of receiving is done by the sender's core. Load average at the start: "
            f"{load:.1f}; with more than 0.5 there were other jobs, which with "
            "--precedence had what was left of the cores."
        ),
        "",
        "## The whole chain, with the shipped bundle and the counting rule",
        "",
        (
            "| traffic | workers | asked, kpps | sent, kpps | frames | lost (aim 0) | dropped by "
            "the kernel | rows shed | attacks told | alerts withheld | alerts timed | median, ms | "
            "p99, ms (aim < 200) | CPU, s |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in ours:
        found = len(run.delays_ms)
        quantiles = np.quantile(run.delays_ms, (0.5, 0.99)).tolist() if found else ()
        middle, most = (f"{delay:.0f}" for delay in quantiles) if found else ("–", "–")
        asked = f"{run.asked / 1e3:g}" if run.asked else "most"
        lines.append(
            f"| {run.traffic} | {run.workers} | {asked} | {run.sent.rate / 1e3:,.1f} | "
            f"{run.sent.frames:,} | {_share(run.lost)} | {run.counted['kernel_drops']:,} | "
            f"{run.counted['shed']:,} of {sum(run.counted['sequences'].values()):,} | "
            f"{run.told} of {run.attacks} | {run.counted['alerts_withheld']:,} | {found} | "
            f"{middle} | {most} | {run.cpu_s:.1f} |"
        )
    lines += [
        "",
        OURS_NOTE,
        *(f"\nEnded with a failure: {failure}." for failure in failures),
        "",
        "## A reader that is stopped",
        "",
        (
            f"The sensor is stopped (SIGSTOP) while {STOPPED_S:g} s of traffic come at "
            f"{STOPPED_RATE:,} frames a second, with its default ring; then it goes on."
        ),
        "",
        "| traffic | frames | lost (aim 0) | dropped by the kernel |",
        "|---|---|---|---|",
        *(
            f"| {run.traffic} | {run.sent.frames:,} | {_share(run.lost)} | "
            f"{run.counted['kernel_drops']:,} |"
            for run in stopped
        ),
        "",
        "## Others, on the same traffic without the attacks",
        "",
        "| receiver | traffic | sent, kpps | frames | handled | lost |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.name} | {each.traffic} | {each.sent.rate / 1e3:,.1f} | {each.sent.frames:,} | "
        f"{each.packets:,} | {_share(1 - each.packets / each.sent.frames)} |"
        for each in peers
    ]
    lines += [
        "",
        PEERS_NOTE,
        *without,
    ]
    return "\n".join(lines) + "\n"


def _share(lost: float) -> str:
    if lost == 0:
        return "0"
    return f"{100 * lost:.{0 if lost >= 0.1 else 2}f} %" if lost >= 1e-4 else "< 0.01 %"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path), help="Markdown file; default: terminal.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "out/bench/live")
@click.option("--seconds", default=8.0, show_default=True, help="Of each run of the sensor.")
@click.option("--peers/--no-peers", default=True, show_default=True)
@click.option("--precedence", is_flag=True, help="Takes the cores before the machine's other jobs.")
def main(out: Path | None, work: Path, seconds: float, *, peers: bool, precedence: bool) -> None:
    """Measures, and prints or writes a page."""
    load = os.getloadavg()[0]
    ours, stopped, others = [], [], []
    failures: list[str] = []
    without: list[str] = []

    def say(line: str) -> None:
        click.echo(line, err=True)

    if precedence:
        with contextlib.suppress(PermissionError):  # of a job that a shell controls
            os.setsid()
        take_precedence("self")
    with cable(work, precedence=precedence) as link:
        for traffic, scale in SCALES.items():
            if not (path := work / f"{traffic}.pcap").exists():
                captures.make(traffic, path, scale)
        plans = [(traffic, rate, 1) for traffic in SCALES for rate in RATES]
        plans += [(traffic, 0, 2) for traffic in SCALES]
        for traffic, rate, workers in plans:
            try:
                ours.append(watch(link, work, traffic, rate, seconds, workers))
            except EndedError as error:
                failures.append(f"{traffic}, {workers} workers, {rate or 'most'}: {error}")
                say(failures[-1])
                continue
            say(f"{traffic}, {ours[-1].sent.rate:,.0f}/s: {100 * ours[-1].lost:.3g} % lost")
        for traffic in SCALES:
            stopped.append(watch(link, work, traffic, STOPPED_RATE, STOPPED_S, stopped=True))
            say(f"{traffic}, stopped: {stopped[-1].counted['kernel_drops']} dropped")
        for name, package in PEERS.items() if peers else ():
            try:
                place = package.install(work.parent)
            except NotInstalledError as error:
                without += ["", f"{name}: not measured ({error})."]
                continue
            for traffic in SCALES:
                for rate in PEER_RATES:
                    others.append(handle(link, work, name, place, traffic, rate))
                    say(f"{name}, {traffic}: {others[-1].packets:,} of {others[-1].sent.frames:,}")
    options = f"--seconds {seconds:g}{' --precedence' if precedence else ''}"
    text = page(options, load, ours, failures, stopped, others, without)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
