"""Measures memory and packets a second, each beside its aim and a peer, and writes a table.

All commands run in turn on the same files; the figure of a command is the median over `--runs`
of packets by CPU time (user and system, of the whole process, start-up included), so it does not
depend on how busy the machine is. Peers: a dpkt loop (`peer_dpkt.py`) and, where installed,
``tcpdump -w /dev/null``, which only reads.

    python bench/figures.py --out docs/results/figures.md
"""

import datetime as dt
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Contender:
    """A command, and what its runs took."""

    name: str
    command: list[str]
    aim: str = ""
    seconds: list[float] = field(default_factory=list)
    resident_mib: list[float] = field(default_factory=list)
    output: str = ""


def run(contender: Contender) -> None:
    """Runs a command once."""
    with subprocess.Popen(
        contender.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        contender.output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(contender.command)} exited {process.returncode}")
    contender.seconds.append(usage.ru_utime + usage.ru_stime)
    contender.resident_mib.append(usage.ru_maxrss / 1024)


def contenders(kind: str, capture: Path) -> list[Contender]:
    """What is measured on one capture."""
    sensor = [sys.executable, "-m", "sensor.cli"]
    found = [
        Contender(
            "multa-sensor flows --stats -",
            [*sensor, "flows", str(capture), "--stats", "-"],
            "1,000 kpps" if kind == "mix" else "",
        ),
        Contender(
            "multa-sensor replay (bundle, rule, 65,536 slots)",
            [*sensor, "replay", str(capture), "-o", os.devnull, "--stats", "-"],
            "resident < 100 MB",
        ),
        Contender("dpkt loop", [sys.executable, str(ROOT / "bench/peer_dpkt.py"), str(capture)]),
    ]
    if tcpdump := shutil.which("tcpdump"):
        found.append(
            Contender(
                "tcpdump -w /dev/null (reads only)",
                [tcpdump, "-r", str(capture), "-w", os.devnull],
            )
        )
    return found


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", type=click.Path(path_type=Path), help="Markdown file; default: terminal.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "out")
@click.option("--runs", default=3, show_default=True)
@click.option("--scale", default=1.0, show_default=True, help="Size of the captures.")
def main(out: Path | None, work: Path, runs: int, scale: float) -> None:
    """Measures, and prints or writes a table."""
    measured = (
        f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} "
        f"cores, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}; "
        f"`make verify TARGET=figures`. Medians of {runs} runs in turn; CPU time of whole "
        "processes, start-up included."
    )
    lines = ["# Memory and packets a second", "", measured]
    for kind in ("mix", "syn"):
        capture = work / f"{kind}-{scale:g}.pcap"
        if not capture.exists():
            subprocess.run(
                [sys.executable, ROOT / "bench/captures.py", kind, capture, "--scale", str(scale)],
                check=True,
            )
        entries = contenders(kind, capture)
        for number in range(runs):
            for entry in entries:
                click.echo(f"{kind}: run {number + 1} of {runs}: {entry.name}", err=True)
                run(entry)
        counted = json.loads(entries[0].output)
        lines += [
            "",
            f"## {kind}: {counted['packets']:,} packets, {counted['flows']:,} flows",
            "",
            "| command | kpps | spread | × dpkt loop | peak resident, MB | aim |",
            "|---|---|---|---|---|---|",
        ]
        speeds = [[counted["packets"] / s / 1e3 for s in entry.seconds] for entry in entries]
        peer = statistics.median(speeds[2])
        for entry, speed in zip(entries, speeds, strict=True):
            middle = statistics.median(speed)
            lines.append(
                f"| {entry.name} | {middle:,.0f} | {min(speed):,.0f}–{max(speed):,.0f} | "
                f"{middle / peer:.1f} | {statistics.median(entry.resident_mib) * 1.048576:.0f} | "
                f"{entry.aim} |"
            )
        scored = json.loads(entries[1].output)
        seen = json.loads(entries[2].output)
        note = (
            f"The replay scored {scored['scored']:,} rows. The dpkt loop counts "
            f"{seen['packets']:,} packets in {seen['flows']:,} flows (it has no timeouts and "
            "never evicts)."
        )
        lines += ["", note]
    text = "\n".join(lines) + "\n"
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
