"""Alerts of the bundle of latency: put in live, and over recordings without any trouble.

The section *Alerts* of docs/results/passive-latency.md; `latency_proof` writes the page.
"""

import datetime as dt
import functools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import injected_latency
import numpy as np
from command import ROOT
from initial_rtts import round_trips
from injected_latency import (
    AFTER,
    EVERY_S,
    LASTS,
    NOISE_EVERY,
    NOISE_MS,
    SWELL_MS,
    WARM,
    Round,
    time_ns,
)

from sensor.latency.measurements import KINDS

TASKS = ("noise", "outage", "swell")
TEST = ", test"
"""Ends the names of kinds of benign recordings of which nothing was learnt."""
RTTS_MS = (5.0, 20.0, 80.0)
PROBES = (("ping", 3), ("connections", 2))
"""What measures, and how many rounds of all kinds."""
BUNDLE = ROOT / "models" / "latency"
AT_ONCE = len(RTTS_MS) * len(LASTS)
"""Rounds are nearly idle: these go on side by side, and their sensors start together."""

_watching: Any = None


@dataclass(frozen=True)
class Replayed:
    """What the bundle says of captures.

    Attributes:
        name: of their kind.
        captures, seconds, measurements: how much there was; measurements are rows.
        opened: incidents by task.
        risen: swells in which the last ten measurements of a series of the peer had a median of at
            least 1.5 times that of all before.
        kinds: of the measurements that opened noise and swells.
    """

    name: str
    captures: int
    seconds: float
    measurements: int
    opened: Counter[str]
    risen: int
    kinds: Counter[str]


def rounds() -> list[Round]:
    """All that is put in, in batches of `AT_ONCE`."""
    jobs = [
        (rtt_ms, probe, kind, seed)
        for probe, count in PROBES
        for seed in range(1, count + 1)
        for rtt_ms in RTTS_MS
        for kind in LASTS
    ]
    # a process of its own for each, as the process that is the cable is forked
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(AT_ONCE)
    with ProcessPoolExecutor(AT_ONCE, context, _remember, (together,)) as processes:
        return list(processes.map(_round, jobs))


def _remember(together: Any) -> None:
    global _watching  # noqa: PLW0603 (a process of a pool can be given it in no other way)
    _watching = together


def _round(job: tuple[float, str, str, int]) -> Round:
    rtt_ms, probe, kind, seed = job
    wait = functools.partial(_watching.wait, 120)
    return injected_latency.played(rtt_ms, probe, kind, seed=seed, ready=wait)


def replayed(name: str, paths: Sequence[Path]) -> Replayed:
    """Replays captures one by one, each from an empty table."""
    seconds, rows, risen = 0.0, 0, 0
    opened: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            log, counted = Path(folder, "alerts.json"), Path(folder, "stats.json")
            outputs = ("-o", str(log), "--stats", str(counted))
            command = [sys.executable, "-m", "sensor.cli", "replay", str(path)]
            subprocess.run(
                [*command, "-m", str(BUNDLE), "--no-rule", *outputs], check=True, cwd=ROOT
            )
            stats = json.loads(counted.read_text())
            alerts = [json.loads(line) for line in log.read_text().splitlines()]
        seconds += (time_ns(stats["last_packet"]) - time_ns(stats["first_packet"])) / 1e9
        rows += stats["scored"]
        found, _ = round_trips(path)
        for alert in alerts:
            own = alert["alert"]["metadata"]["multa"]
            if own["event"] == "start":
                opened[own["task"]] += 1
                if own["task"] != "outage":
                    before = _before(found, own["address"], time_ns(alert["timestamp"]))
                    kinds[KINDS[before["kind"][-1]]] += 1
                    risen += own["task"] == "swell" and _risen(before)
    return Replayed(name, len(paths), seconds, rows, opened, risen, kinds)


def _before(found: Any, address: str, at_ns: int) -> Any:
    """Answered measurements with a peer up to a moment, in order."""
    number = int(ip_address(address))
    own = found[(found["destination_low"] == number % 2**64) & found["answered"]]
    own = own[own["destination_high"] == number >> 64]
    return own[own["sent_ns"] + own["rtt_ns"] <= at_ns]


def _risen(own: Any) -> bool:
    """Whether a series of a peer is 1.5 times as high as before."""
    for kind in np.unique(own["kind"]):
        for port in np.unique(own["destination_port"]):
            rtts = own["rtt_ns"][(own["kind"] == kind) & (own["destination_port"] == port)]
            if rtts.size > 10 and np.median(rtts[-10:]) >= 1.5 * np.median(rtts[:-10]):
                return True
    return False


def section(played: Sequence[Round], replays: Sequence[Replayed]) -> str:
    """The section, Markdown."""
    parts = _TEXT.format(
        today=dt.datetime.now(dt.timezone.utc).date(),
        load=f"{os.getloadavg()[0]:.1f}",
        at_once=AT_ONCE,
        every=EVERY_S,
        warm=WARM,
        after=AFTER,
        noise=NOISE_MS,
        noise_every=NOISE_EVERY,
        swell=SWELL_MS,
        lasts=", ".join(f"{kind} {count}" for kind, count in LASTS.items()),
        verdict=verdict(replays),
    ).split("@\n")
    tables = (_by_kind(played), map(_of_round, played), map(_of_replay, replays))
    return "".join(
        text + "".join(f"{row}\n" for row in rows)
        for text, rows in zip(parts, (*tables, ()), strict=True)
    )


def verdict(replays: Sequence[Replayed]) -> str:
    """What came of the aim: none over benign recordings that nothing was learnt from."""
    tested = [each for each in replays if each.name.endswith(TEST)]
    if not tested:
        return "No benign recordings were given (`RECORDINGS=...`), so the aim was not tried."
    opened = sum((each.opened for each in tested), Counter[str]())
    captures, seconds = (sum(getattr(each, n) for each in tested) for n in ("captures", "seconds"))
    told = ", ".join(f"{task} {opened[task]}" for task in TASKS if opened[task]) or "none"
    return (
        f"The aim is no alert over benign recordings that nothing was learnt from: {told} in "
        f"{captures} of them, {seconds / 60:.0f} minutes, "
        f"{sum(each.measurements for each in tested):,} rows."
    )


_TEXT = """
## Alerts: put in live

{today}, load average at the end {load}. A live `multa-sensor run` with `models/latency` at the
pinging end, and no rule. A probe leaves every {every} s, as a ping or as a TCP connection. After
{warm} quiet probes trouble is put into the cable; {after} quiet probes follow. It lasts for so many
probes: {lasts}. *Noise* is one frame in {noise_every} probes that takes
{noise:g} ms longer; in a *swell* all take {swell:g} ms longer; in an *outage* all are lost;
*nothing* is the same with nothing put in. Each round has a sensor and a cable of its own, with 4 %
of the round-trip time as jitter. {at_once} run at once on this machine, whose other jobs hold up
single frames by milliseconds: that is in the measurements too, so what is called *other* alerts
may be true of them. The second table says what they were.

*After* are measurements from the beginning on, with the one that the alert came with. An alert
of the right task that came before its trouble was put in counts as missed and as other.

| probe | put in | rounds | raised | after, median | most | seconds, median | most \
| other alerts (task: number) |
|---|---|---|---|---|---|---|---|---|
@

Each round. Of alerts: task, measurements after the beginning, seconds; in brackets, of what was
not put in, the third highest measurement until then and the level of the last ten, both above the
median, in ms.

| round trip, ms | probe | put in | quiet: median, highest, ms | alerts |
|---|---|---|---|---|
@

## Alerts: recordings

Captures replayed with the same bundle; incidents opened. Nothing was learnt from those of *test*.
*Learnt from* are those whose series the network was taught with, and *validation* decided when to
stop, and thresholds. Of *risen* swells a series of the peer was at least 1.5 times as high in its
last ten measurements as before. *Opened by* are the kinds of the measurements that noise and swells
opened with.

| captures | length, min | rows | noise | outage | swell | of these risen \
| opened by | alerts an hour |
|---|---|---|---|---|---|---|---|---|
@

{verdict} The outages of captures with attacks are of hosts under a SYN flood (the victims of
`syn_dos` in `demo` and `seven-tasks`), whose half-open connections do fail. In recordings of a lab
whose machine was busy all peers rise at once, by a hundred milliseconds: such swells are of the
machine, and are told. Train on quiet series of your own network before you let these alerts wake
anybody.
"""


def _right(each: Round) -> int | None:
    """Place of the first alert of what was put in, after it was."""
    for place, told in enumerate(each.told):
        if told.task == each.kind and told.after:
            return place
    return None


def _by_kind(played: Sequence[Round]) -> list[str]:
    rows = []
    for probe, _ in PROBES:
        for kind in LASTS:
            own = [each for each in played if (each.probe, each.kind) == (probe, kind)]
            places = [_right(each) for each in own]
            right = [
                each.told[place]
                for each, place in zip(own, places, strict=True)
                if place is not None
            ]
            other = Counter(
                told.task
                for each, right_one in zip(own, places, strict=True)
                for place, told in enumerate(each.told)
                if place != right_one
            )
            after = [told.after for told in right]
            seconds = [told.seconds for told in right]
            times = "– | – | – | –"
            if right:
                middle = f"{np.median(after):g}", f"{np.median(seconds):.1f}"
                times = f"{middle[0]} | {max(after)} | {middle[1]} | {max(seconds):.1f}"
            raised = f"{len(right)}" if kind != "nothing" else "–"
            others = ", ".join(f"{task}: {count}" for task, count in sorted(other.items()))
            rows.append(
                f"| {probe} | {kind} | {len(own)} | {raised} | {times} | {others or 'none'} |"
            )
    return rows


def _of_round(each: Round) -> str:
    right = _right(each)
    said = []
    for place, told in enumerate(each.told):
        text = f"{told.task} {told.after}, {told.seconds:.1f} s"
        if place != right:
            text += f" ({told.address}: {told.highest_ms:.1f}, {told.level_ms:.1f})"
        said.append(text)
    return (
        f"| {each.rtt_ms:g} | {each.probe} | {each.kind} "
        f"| {each.median_ms:.1f}, {each.highest_ms:.1f} | {'; '.join(said) or 'none'} |"
    )


def _of_replay(each: Replayed) -> str:
    opened = [each.opened[task] for task in TASKS]
    kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(each.kinds.items()))
    hourly = sum(opened) / each.seconds * 3600
    return (
        f"| {each.name} ({each.captures}) | {each.seconds / 60:.1f} | {each.measurements:,} "
        f"| {' | '.join(map(str, opened))} | {each.risen} | {kinds or 'none'} | {hourly:.1f} |"
    )
