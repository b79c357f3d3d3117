"""Half an hour of mixed traffic: memory and descriptors stay, nothing is lost."""

import json
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import frames
from netns import Link
from tqdm import tqdm

from bench.cable import PORT, Sent, cable
from bench.captures import make
from faults.floods import refused
from faults.installation import configuration
from faults.process import Sensor, lines_of, multa, sensor, sensor_command
from faults.result import Result

RATE = 20_000
SCALE = 0.2
"""Of the mix of `bench.captures`, which is played over and over."""
FLOOD_EVERY_S = 10
GROWTH_KIB = 1_024
PARTS = 6
LOOK_S = 5.0


class Look:
    """What a sensor takes at a time."""

    def __init__(self, at_s: float, running: Sensor) -> None:
        self.at_s = at_s
        self.resident_kib = running.resident_kib()
        self.anonymous_kib = running.resident_kib("RssAnon")
        self.descriptors = running.descriptors()


def main(count: int, seed: int) -> Result:
    """Sends for so many seconds.

    Args:
        count: of seconds.
        seed: of the mix.
    """
    result = Result(
        "soak",
        f"{count / 60:g} minutes of mixed traffic at {RATE:,} frames a second over veth (the mix "
        "of `bench/captures.py` over and over, by `bench/sender.c`), and among it a flood of "
        f"refused connections every {FLOOD_EVERY_S} s, each to a victim of its own. Resident "
        f"memory and descriptors are looked at every {LOOK_S:g} s; *slope* is the least-squares "
        "line through all of them; in the first sixth tables fill up. The shipped bundle and "
        "the counting rule, with evidence and status.",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mix, marked = folder / "mix.pcap", folder / "floods.pcap"
        make("mix", mix, SCALE, seed)
        floods = _write_floods(marked, count)
        log, stats = folder / "log/alerts.json", folder / "stats"
        log.parent.mkdir()
        settings = configuration(folder / "sensor.toml", PORT, folder)
        with cable(folder) as wire:
            link = Link(wire.near, wire.far, PORT)
            command = sensor_command(link, "--config", str(settings), "--stats", str(stats))
            with sensor(command, folder) as running:
                sent: list[Sent] = []
                sender = threading.Thread(
                    target=lambda: sent.append(wire.send(mix, RATE, count, marked))
                )
                sender.start()
                looks: list[Look] = []
                began = time.monotonic()
                bar = tqdm(total=count, desc="soak", unit="s", disable=None)
                while sender.is_alive():
                    sender.join(LOOK_S)
                    looks.append(Look(time.monotonic() - began, running))
                    bar.update(int(looks[-1].at_s) - bar.n)
                used = _cpu_s(running.pid)
                status, _ = running.end()
        counted = json.loads(stats.read_text())
        found = {multa(line).get("address") for line in lines_of(log)}
    parts = [looks[len(looks) * k // PARTS : len(looks) * (k + 1) // PARTS] for k in range(PARTS)]
    settled, late = [look for part in parts[1:] for look in part], looks[len(looks) // 2 :]
    growth = _median(parts[-1], "resident_kib") - _median(parts[1], "resident_kib")
    result.inform("frames sent, a second", f"{sent[0].frames:,}, {sent[0].rate:,.0f}")
    result.exactly("frames that arrived and were not seen", sent[0].arrived - counted["packets"], 0)
    result.exactly("dropped by the kernel", counted["kernel_drops"], 0)
    result.exactly("rows shed", counted["shed"], 0)
    for what in ("resident", "anonymous"):
        medians = [_median(part, f"{what}_kib") / 1024 for part in parts]
        shown = ", ".join(f"{each:.1f}" for each in medians)
        most = max(getattr(look, f"{what}_kib") for look in looks) / 1024
        result.inform(f"{what}, medians of each sixth, and most, MiB", f"{shown}; {most:.1f}")
    for what, some in (("after the first sixth", settled), ("in the second half", late)):
        slopes = [_slope(some, f"{kind}_kib") for kind in ("resident", "anonymous")]
        shown = ", ".join(f"{each:.1f}" for each in slopes)
        result.inform(f"slope {what}, KiB a minute: resident, anonymous", shown)
    result.at_most("resident in the last sixth − in the second, KiB", int(growth), GROWTH_KIB)
    result.exactly(
        "numbers of descriptors that were seen", len({look.descriptors for look in settled}), 1
    )
    result.exactly("floods that were told", sum(each in found for each in floods), len(floods))
    result.exactly("alerts lost", counted["alerts_lost"], 0)
    result.inform(
        "alerts written, withheld", f"{counted['alerts_written']:,}, {counted['alerts_withheld']:,}"
    )
    result.inform("CPU time, s", f"{used:,.1f}")
    result.exactly("exit status", status, 0)
    return result


def _write_floods(path: Path, seconds: int) -> list[str]:
    """Floods at their times after the start; their victims."""
    contents: list[bytes] = []
    times: list[int] = []
    victims = []
    for number in range(max(1, (seconds - 5) // FLOOD_EVERY_S)):
        flood = refused(number)
        begin = (2 + number * FLOOD_EVERY_S) * 10**9
        contents += flood
        times += [begin + k * 1_000_000 for k in range(len(flood))]
        victims.append(f"10.64.{number >> 8}.{number & 255}")
    frames.write_pcap(path, contents, times)
    return victims


def _median(looks: Sequence[Look], what: str) -> float:
    return statistics.median([getattr(look, what) for look in looks] or [0])


def _slope(looks: Sequence[Look], what: str) -> float:
    """Of the least-squares line, KiB a minute."""
    if len(looks) < 2:
        return float("nan")
    times = [look.at_s for look in looks]
    return 60 * statistics.linear_regression(times, [getattr(look, what) for look in looks])[0]


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
