"""What a second bundle costs: the mix, replayed with one bundle and with two, in turn.

Each round runs every variant once, one after the other on the same core; figures are medians over
rounds, and a ratio is the median of those within a round, so a slower hour of the machine touches
all variants alike. Times are processor time, user and system, of a whole process with its children
(`bench/account.py`). Start-up is the same command's time on a capture of one packet.

    python -m bench.bundles --page docs/results/bundles.md
"""

import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from bench.material import ONE, Capture, Material
from bench.measure import ACCOUNT, ROOT

AIM = 1.5
"""Greatest processor time with two bundles, beside that with one."""

NOTES = """## What it is made of

Capture and decoding are shared. Bundles of the same features share their flow table and rows too,
and a second one would cost its inference alone. These two have other rows (16 packets and all later
windows with counts of other flows; the first 60 packets without), so the second one has a flow
table of its own, which finds the same flows of the same packets once more: in the profiles that is
what `table`, `lookup`, `group` and `emit` have more with two. `annotate` keeps what was said of a
flow until its end, and counts how often it was right. The flow log is written only where it is
asked for: a line or two of JSON for each flow that is annotated, some 60 µs.

What was tried, on the mix:

| | outcome |
|---|---|
| features without context | kept: nothing is counted for the second table, which saves its share of `context` |
| rows of fewer than 8 packets, 47 % of all, neither encoded nor computed | kept: some 0.1 s less |
| a network of 2 × 16 units with pooled states in place of 3 × 24 | kept: 5.1 µs instead of 11.9 a row of 60 packets, 3.3 instead of 6.8 of 32, and more classes right |
| 2 × 12 units | 3.8 µs a row of 60 packets, but 87 % instead of 91 % of the classes right after 120 turns: not taken |
| calls of 32 rows of 60 packets instead of 64, as few come at once | no difference (0.30 s for all rows either way): left |
| rows encoded with the room of their own signature instead of the longest | no difference (0.34 and 0.36 s): left |
| one table that finds the flows for both | not tried: the tables of other lengths and policies keep other states of a flow |

Memory: a table of 65,536 flows has room for 60 packets of each, 39 MB where all of it is used.
"""  # noqa: E501

_LIMIT_S = 300


@dataclass(frozen=True)
class Variant:
    """A command line of the sensor.

    Attributes:
        title: in tables.
        options: of `multa-sensor replay`.
    """

    title: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes:
        cpu: seconds, user and system.
        resident: bytes, at most.
        told: its standard error.
    """

    cpu: float
    resident: int
    told: str


Runs = Mapping[tuple[str, str], Sequence[Run]]
"""By variant and capture, a run a round."""


def variants(first: Path, second: Path) -> tuple[Variant, ...]:
    """One bundle, two, and two of which the second one's words are written down."""
    one, two = ("--models", str(first)), ("--models", str(second))
    return (
        Variant(first.name, one),
        Variant(f"{first.name}, {second.name}", (*one, *two)),
        Variant(
            f"{first.name}, {second.name}, with the flow log", (*one, *two, "--flows", os.devnull)
        ),
    )


def once(variant: Variant, capture: Path, core: int, *more: str) -> Run:
    """Runs a variant on a capture.

    Raises:
        ClickException: the command did not end well.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "output")
        command = [sys.executable, "-m", "sensor.cli", "replay", str(capture), *variant.options]
        account = [sys.executable, "-I", "-S", str(ACCOUNT), str(core), str(_LIMIT_S), str(output)]
        done = subprocess.run(
            [*account, *command, "--output", os.devnull, *more],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        report = json.loads(done.stdout)
        told = Path(f"{output}.err").read_text()
    if report["timed_out"] or report["status"]:
        raise click.ClickException(f"{variant.title}: ended with {report['status']}: {told}")
    return Run(report["cpu"], report["resident"], told)


def measure(
    chosen: Sequence[Variant],
    captures: Sequence[Capture],
    rounds: int,
    core: int,
    say: Callable[[str], object],
) -> Runs:
    """Runs every variant on every capture, round by round."""
    found: dict[tuple[str, str], list[Run]] = {}
    for number in range(1, rounds + 1):
        for capture in captures:
            for variant in chosen:
                say(f"round {number} of {rounds}: {variant.title} on {capture.name}")
                run = once(variant, capture.path, core)
                found.setdefault((variant.title, capture.name), []).append(run)
    return found


def ratio(runs: Runs, title: str, base: str, capture: str, start: str) -> tuple[float, float]:
    """How many times the processor time of the base a variant takes.

    Returns:
        With start-up, and without.
    """
    ours, theirs = ([run.cpu for run in runs[name, capture]] for name in (title, base))
    begun = {
        name: statistics.median(run.cpu for run in runs[name, start]) for name in (title, base)
    }
    whole = [a / b for a, b in zip(ours, theirs, strict=True)]
    rest = [(a - begun[title]) / (b - begun[base]) for a, b in zip(ours, theirs, strict=True)]
    return statistics.median(whole), statistics.median(rest)


def page(
    chosen: Sequence[Variant],
    runs: Runs,
    mix: Capture,
    profiles: Mapping[str, str],
    where: str,
) -> str:
    """The page as Markdown.

    Args:
        chosen: the variants; the first is what others stand beside.
        runs: of `measure`, on the mix and on `ONE`.
        mix: the capture.
        profiles: by title, what ``--profile`` tells on the mix.
        where: machine and date, in words.
    """
    base, both = chosen[0].title, chosen[1].title
    rounds = len(runs[base, mix.name])
    with_start, without = ratio(runs, both, base, mix.name, ONE)
    head = f"""# Two bundles in one sensor

{where}; `make verify TARGET=bundles` measures again. The mix of [bench.md](bench.md), \
{mix.packets:,} packets in {mix.flows:,} flows, replayed with one bundle and with two; processor \
time of whole processes, medians of {rounds} rounds in turn on one core. Start-up is the time on a \
capture of one packet; most of it proves each bundle in a process of its own. Ratios are medians \
of those within rounds.

| | aim | measured | |
|---|---|---|---|
| processor time with two bundles beside one, without start-up | ≤ {AIM:g} × | {without:.2f} × | \
{_met(without)} |
| the same with start-up | ≤ {AIM:g} × | {with_start:.2f} × | {_met(with_start)} |

| bundles | CPU, s | least to most | start-up, s | beside one | without start-up | peak memory, MB |
|---|---|---|---|---|---|---|"""
    lines = [head]
    for variant in chosen:
        of = runs[variant.title, mix.name]
        seconds = [run.cpu for run in of]
        start = statistics.median(run.cpu for run in runs[variant.title, ONE])
        times = ratio(runs, variant.title, base, mix.name, ONE)
        lines.append(
            f"| {variant.title} | {statistics.median(seconds):.2f} | {min(seconds):.2f} to "
            f"{max(seconds):.2f} | {start:.2f} | {times[0]:.2f} × | {times[1]:.2f} × | "
            f"{max(run.resident for run in of) / 1e6:.0f} |"
        )
    for title, told in profiles.items():
        lines += ["", f"Where it goes (`--profile`), {title}:", "", "```", told.strip(), "```"]
    return "\n".join(lines) + f"\n\n{NOTES}"


def _met(times: float) -> str:
    return "met" if times <= AIM else "**not met**"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1))
@click.option("--scale", default=1.0, show_default=True, help="Size of the mix.")
@click.option("--core", type=int, help="Core to which all are pinned.  [default: the last]")
@click.option(
    "--first", type=click.Path(path_type=Path), default=ROOT / "models/iot-gateway", help="Bundle."
)
@click.option(
    "--second",
    type=click.Path(path_type=Path),
    default=ROOT / "models/traffic-class",
    help="Bundle that joins it.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "out/bench",
    help="Where captures go (700 MB).  [default: out/bench]",
)
@click.option(
    "--page", "written", type=click.Path(path_type=Path, dir_okay=False), help="Markdown file."
)
def main(
    rounds: int,
    scale: float,
    core: int | None,
    first: Path,
    second: Path,
    work: Path,
    written: Path | None,
) -> None:
    """Measures what a second bundle costs, and prints or writes a page.

    Example: python -m bench.bundles --rounds 3 --scale 0.1
    """
    core = max(os.sched_getaffinity(0)) if core is None else core

    def say(line: str) -> None:
        click.echo(line, err=True)

    material = Material(work, scale, say)
    mix, one = material.get("mix"), material.get(ONE)
    chosen = variants(first, second)
    runs = measure(chosen, (mix, one), rounds, core, say)
    profiles = {each.title: once(each, mix.path, core, "--profile").told for each in chosen[:2]}
    where = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, {os.cpu_count()} cores"
    text = page(chosen, runs, mix, profiles, where)
    if written:
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
