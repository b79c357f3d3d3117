"""Packets a second, memory and inference of the sensor, beside other tools: ``python -m bench``.

Results are kept after every run in a JSON file beside the page; the page and its plot are drawn
from that file, so Ctrl-C leaves what was measured, and ``--resume`` goes on.
"""

import os
import platform
from pathlib import Path

import click

from bench.contenders import FORMS, MIX, OURS, PEERS, SYN
from bench.material import Material
from bench.measure import ROOT, Bench, Results, install, plan
from bench.page import draw

CAPTURES = (MIX, SYN, "syn-million", *FORMS)


def _chosen(given: str, names: list[str], what: str) -> list[str]:
    """Names that were asked for, in the order of all names; nothing means all.

    Raises:
        UsageError: there is no such name.
    """
    wanted = [name for name in given.split(",") if name]
    if unknown := [name for name in wanted if name not in names]:
        raise click.UsageError(f"no {what} {', '.join(unknown)}; there are: {', '.join(names)}")
    return [name for name in names if not wanted or name in wanted]


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), ""
    )
    return (
        f"{platform.machine()}{f' ({model})' if model else ''}, {os.cpu_count()} cores, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", default="", help="Contenders, with commas; `ours` are all of the sensor's.")
@click.option("--captures", default="", help="Captures, with commas.")
@click.option("--runs", default=3, show_default=True, help="Runs of each contender.")
@click.option("--scale", default=1.0, show_default=True, help="Size of the captures.")
@click.option("--core", type=int, help="Core to which all are pinned.  [default: the last]")
@click.option("--resume", is_flag=True, help="Keep what was measured, and do what is missing.")
@click.option("--draw", "only_draw", is_flag=True, help="Measure nothing; draw the page again.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    default=ROOT / "out/bench/bench.md",
    help="Where the page goes, with .json and .png beside it.  [default: out/bench/bench.md]",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT / "out/bench",
    help="Where captures and peers go (3 GB).  [default: out/bench]",
)
def main(
    only: str,
    captures: str,
    runs: int,
    scale: float,
    core: int | None,
    page: Path,
    work: Path,
    *,
    resume: bool,
    only_draw: bool,
) -> None:
    """Measures the sensor and its peers, and writes a page.

    What is chosen with --only and --captures is measured anew; the results of all else stay.
    """
    ours = [contender.name for contender in OURS]
    only = ",".join(",".join(ours) if name == "ours" else name for name in only.split(","))
    everyone = [*OURS, *PEERS]
    names = _chosen(only, [contender.name for contender in everyone], "contender")
    chosen = [contender for contender in everyone if contender.name in names]
    read = _chosen(captures, list(CAPTURES), "capture")
    if core is None:
        core = max(os.sched_getaffinity(0))

    def say(line: str) -> None:
        click.echo(line, err=True)

    fresh = Results(page.with_suffix(".json"), scale, core, _machine())
    results = Results.read(fresh.path) if fresh.path.exists() else fresh
    if not only_draw:
        if results.place != fresh.place:
            say("the results there are of another scale, core or machine: they are left out")
            results = fresh
        work.mkdir(parents=True, exist_ok=True)
        places = install(chosen, work, results, say)
        bench = Bench(results, Material(work, scale, say), work, say)
        try:
            bench.run(plan(chosen, read), places, runs, resume=resume)
        except KeyboardInterrupt:
            say("interrupted; --resume goes on from here")
    draw(results, page)
    click.echo(page.read_text())


if __name__ == "__main__":
    main()
