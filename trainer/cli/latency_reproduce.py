"""``multa-trainer reproduce latency``: the latency paper's Table 1 and its poster, made again."""

import contextlib
import json
from pathlib import Path

import click

from sensor.errors import OutputError, UsageError
from trainer.cli import outputs
from trainer.executors import executor
from trainer.latency.reproduce import poster, real, timing
from trainer.latency.reproduce.page import Found, page, raw
from trainer.latency.reproduce.results import Results
from trainer.latency.reproduce.trial import Trial, table_1

STEPS = ("table1", "time", "poster", "real", "pictures")

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("latency")
@click.argument("steps", nargs=-1, type=click.Choice(STEPS), metavar="[STEP]...")
@click.option(
    "--atlas",
    type=FOLDER,
    help="Folder real_trace_labelled of github.com/WenqinSHAO/rtt; without it, poster and real "
    "can't be made.",
)
@click.option("--flent", multiple=True, type=FILE, help="Data file of flent; may be given again.")
@click.option(
    "--snorkel",
    type=FILE,
    default=Path(".venv-snorkel/bin/python"),
    show_default=True,
    help="Python of an environment with Snorkel (`make .venv-snorkel/.complete`); where it is not "
    "there, what needs it is left out.",
)
@click.option(
    "--runs", type=click.IntRange(1, 100), default=10, show_default=True, help="Of the generator."
)
@click.option(
    "--size",
    "sizes",
    multiple=True,
    type=click.Choice([str(size) for size in poster.SIZES]),
    default=[str(size) for size in poster.SIZES],
    show_default=True,
    help="Measurements of the poster's comparison; may be given again.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/latency"),
    show_default=True,
    help="Folder for results; what is there is not made again.",
)
@outputs.page
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trials side by side."
)
@click.option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster, for the poster.")
def latency(
    steps: tuple[str, ...],
    atlas: Path | None,
    flent: tuple[Path, ...],
    snorkel: Path,
    runs: int,
    sizes: tuple[str, ...],
    work: Path,
    out: Path | None,
    jobs: int,
    dask: str | None,
) -> None:
    """Learns noise, outages and swells from labeling functions, each a STEP.

    The steps are table1, time, poster, real and pictures; without a STEP, all are done, which takes
    two hours on two cores. Results are kept in WORK, so an interrupted call goes on where it
    stopped; the page says what has not been run. Time is measured best on an idle machine.

    Example: multa-trainer reproduce latency table1 --runs 2 --out latency.md
    """

    def say(line: str) -> None:
        click.echo(line, err=True)

    chosen = steps or STEPS
    bases = ("generated",) if atlas is None else ("generated", "atlas")
    python = snorkel if snorkel.exists() else None
    trials = table_1(runs, bases)
    results = Results(work, atlas, python)
    with contextlib.ExitStack() as last:
        if out is not None:
            last.callback(lambda: _write(out, results, trials, bases, work))
        with executor(jobs) as workers:
            if "table1" in chosen:
                results.make(trials, workers, say)
            if "time" in chosen:
                timing.make(work, python)
            if "real" in chosen and (steps or atlas is not None):
                real.make(work, _required(atlas, "real"), flent, workers)
            if "pictures" in chosen:
                workers.submit(_draw, work).result()
        if "poster" in chosen and (steps or atlas is not None):
            folder = _required(atlas, "poster").absolute()
            with executor(jobs, dask) as workers:
                poster.make(
                    work, [int(size) for size in sizes], folder, workers, say, dask=bool(dask)
                )


def _required(atlas: Path | None, step: str) -> Path:
    if atlas is None:
        raise UsageError(f"{step} needs real series; name their folder with --atlas")
    return atlas


def _draw(work: Path) -> None:
    """In a worker: the pictures of the first run, into WORK."""
    from trainer.latency.reproduce.drawn import draw  # noqa: PLC0415 -- TensorFlow is slow to load

    draw(work)


def _write(
    out: Path, results: Results, trials: list[Trial], bases: tuple[str, ...], work: Path
) -> None:
    """Writes the page, its pictures and its numbers, whatever ended the steps."""
    pictures = {}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for title, name in PICTURES.items():
            if (work / name).exists():
                picture = out.parent / f"{out.stem}-{name}"
                picture.write_bytes((work / name).read_bytes())
                pictures[title] = picture.name
        found = Found(
            results.known(trials),
            bases,
            len(trials),
            results.dates(trials),
            timing.known(work),
            poster.known(work),
            real.known(work),
            pictures,
        )
        out.write_text(page(found), encoding="utf-8")
        numbers = json.dumps(raw(found)) + "\n"
        out.with_suffix(".json").write_text(numbers, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}; name a file that can be written") from None


PICTURES = {
    "Like the paper's Fig. 1: a base, and with noise, outages and swells": "fig1.png",
    "Like its Fig. 3: what is true and what is said of the last 3,000 measurements": "fig3.png",
}
"""Files in WORK by what they show."""
