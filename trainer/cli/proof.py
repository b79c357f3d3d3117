"""``multa-trainer proof``: what detection is worth outside the laboratory, on public captures."""

import contextlib
from datetime import datetime, timezone
from pathlib import Path

import click

from sensor.errors import OutputError
from trainer.executors import executor
from trainer.proof.material import gather
from trainer.proof.page import PICTURE, page, reliability_bins
from trainer.proof.steps import STEPS, Bench, current_results, run_steps
from trainer.uncertainty import DRAWS


@click.command()
@click.argument("steps", nargs=-1, type=click.Choice(list(STEPS)), metavar="[STEP]...")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder into which the public archives were unpacked.",
)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/recordings"),
    show_default=True,
    help="Of the recipe iot-gateway.",
)
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False),
    help="The recipe's run, to be judged; without it, one is trained.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/detection"),
    show_default=True,
    help="Folder for dataset, runs and results; what is there is not made again.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Page to write (Markdown); pictures and the page of evasion are written beside it.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Captures that are read side by side; by default one for each processor.",
)
def proof(
    steps: tuple[str, ...],
    data: Path,
    recordings: Path,
    run: Path | None,
    work: Path,
    out: Path | None,
    jobs: int | None,
) -> None:
    """Measures detection on captures of other networks, step by step; hours without --run.

    Without a STEP, all are done. Each keeps its result in WORK, so an interrupted proof goes on
    where it stopped; the page says what has not been run.
    """
    with executor(jobs or 0) as pool:
        material = gather(data, recordings, work, pool)
    bench = Bench(material, work, run, lambda line: click.echo(line, err=True))
    with contextlib.ExitStack() as last:
        if out is not None:
            last.callback(_write, out, bench)
        run_steps(bench, steps or tuple(STEPS))


def _write(out: Path, bench: Bench) -> None:
    """Writes the page and its picture, whatever ended the steps."""
    from trainer.evasion import page as of_evasion  # noqa: PLC0415 -- matplotlib is slow to load
    from trainer.plots import plot_reliability  # noqa: PLC0415

    date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page(bench, date, DRAWS), encoding="utf-8")
        results = current_results(bench)
        if bins := reliability_bins(results):
            plot_reliability(bins, out.parent / PICTURE)
        if found := results.get("evasion"):
            (out.parent / of_evasion.PAGE).write_text(
                of_evasion.page(found, results.get("augmentation"), found["date"]), encoding="utf-8"
            )
            of_evasion.plot(found, out.parent / of_evasion.PICTURE)
    except OSError as error:
        raise OutputError(f"{out}: {error.strerror}; name a file that can be written") from None
