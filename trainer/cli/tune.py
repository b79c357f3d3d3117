"""``multa-trainer tune``: the size of the network, by Algorithm 1 of MULTA."""

import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from sensor.errors import OutputError
from trainer.cli.fitting import of_fit, of_parts
from trainer.cli.ranges import SEED, FiniteRange
from trainer.datasets.dataset import load
from trainer.datasets.splits import split_by_source, without_repeated_flows
from trainer.executors import executor
from trainer.settings import Settings
from trainer.tasks import KNOWN
from trainer.tuning.algorithm1 import Candidate, Found, Goal, Search, most_questions, solve
from trainer.tuning.candidates import Material, Trained
from trainer.tuning.grid import Verdict, grid, verdict
from trainer.tuning.trainings import Trainings

DOCUMENT, PAGE, PICTURE = "tuning.json", "tuning.md", "tuning.png"

_DEFAULTS = Settings()


@click.command()
@click.argument(
    "datasets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DATASET..."
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    type=click.Choice(KNOWN),
    help="Tune for this one; may be given again. By default all of the dataset.",
)
@click.option(
    "--target",
    type=FiniteRange(0, 1, min_open=True),
    default=0.98,
    show_default=True,
    help="AUC that each task should have with an expert of its own.",
)
@click.option(
    "--drop",
    type=FiniteRange(0, 1),
    default=0.01,
    show_default=True,
    help="How much less it may have in the common network.",
)
@click.option(
    "--start",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="First size of an expert.",
)
@click.option(
    "--max-size",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Largest size of an expert.",
)
@of_parts
@click.option(
    "--flows",
    type=click.IntRange(1),
    default=3_000,
    show_default=True,
    help="Use at most so many flows of each part and each combination of labels.",
)
@of_fit(epochs=12, patience=4, batch_size=128)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Of the networks and the flows drawn."
)
@click.option(
    "--time-budget",
    "minutes",
    type=FiniteRange(0, min_open=True),
    metavar="MIN",
    help="Begin no training after so many minutes; the same command goes on later.",
)
@click.option(
    "--grid",
    "step",
    type=click.IntRange(1),
    metavar="STEP",
    help="Then train every STEP-th size with every number of experts too, whatever the time, and "
    "compare.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the results; networks that it has are not trained again.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Networks that are trained side by side; by default one for each processor.",
)
@click.option("--dask", metavar="ADDRESS", help="Train them on a Dask cluster.")
def tune(
    datasets: tuple[Path, ...],
    tasks: tuple[str, ...],
    target: float,
    drop: float,
    start: int,
    max_size: int,
    validation: tuple[str, ...],
    test: tuple[str, ...],
    split_seed: int,
    flows: int,
    tower_units: tuple[int, ...],
    epochs: int,
    patience: int,
    batch_size: int,
    seed: int,
    minutes: float | None,
    step: int | None,
    work: Path,
    jobs: int | None,
    dask: str | None,
) -> None:
    """Searches the smallest network that is good enough (Algorithm 1 of MULTA).

    First the least size of an expert with which each task by itself meets the target, then the
    least number of such experts with which all tasks together do, less the accepted drop. Writes
    tuning.json, tuning.md and tuning.png to WORK, and prints the lines of a recipe.

    \b
    Example:
      multa-trainer tune out/dataset --target 0.98 --time-budget 10 --work out/tuning
    """  # noqa: D301 -- click's mark of a paragraph that is not filled
    begin = time.monotonic()
    dataset, _ = without_repeated_flows(load(datasets))
    goal = Goal(tasks or dataset.tasks, target, drop, start, max_size)
    given = {"validation": validation, "test": test}
    split = split_by_source(dataset, given, (0.2, 0.2), split_seed)
    material = Material.draw(dataset, split, goal.tasks, flows, seed)
    settings = Settings(
        tower_units=tower_units, epochs=epochs, patience=patience, batch_size=batch_size
    )
    made_of = {
        "sources": {record.name: record.identity for record in dataset.sources},
        "split": asdict(split),
        "flows": flows,
        "material": material.identity,
        "settings": asdict(settings),
        "seed": seed,
    }
    candidates = grid(goal, step) if step else ()
    with executor(jobs or 0, dask) as workers, _bar(most_questions(goal)) as bar:

        def told(candidate: Candidate, trained: Trained) -> None:
            bar.update()
            bar.write(_line(candidate, trained), file=sys.stderr)

        left = math.inf if minutes is None else begin + 60 * minutes - time.monotonic()
        with Trainings(material, settings, seed, work, workers, left, told) as trainings:
            found = solve(Search(goal), trainings)
        seconds = time.monotonic() - begin
        judgement = None
        _write(work, found, trainings, seconds, made_of, judgement)
        _say(found, trainings, minutes, tower_units)
        if candidates and found.finished:
            bar.reset(len(candidates))
            with trainings:
                trainings.train_all(candidates)
            judgement = verdict(found, found.steps[-1].wanted, candidates, trainings.results)
            _write(work, found, trainings, seconds, made_of, judgement)
            _judge(judgement)


def _bar(total: int) -> "tqdm[Any]":
    return tqdm(
        total=total, desc="tuning", unit="network", leave=False, disable=not sys.stderr.isatty()
    )


def _line(candidate: Candidate, trained: Trained) -> str:
    tasks = ", ".join(
        f"{task} {area:.4f}" for task, area in zip(candidate.tasks, trained.aucs, strict=True)
    )
    return f"{candidate}: {tasks}"


def _say(
    found: Found, trainings: Trainings, minutes: float | None, tower_units: tuple[int, ...]
) -> None:
    from trainer.tuning.report import settings_lines, summary  # noqa: PLC0415 -- matplotlib

    for line in summary(found, trainings.results, len(trainings.fresh)):
        click.echo(line)
    if found.finished:
        click.echo(f"\n{settings_lines(found, tower_units)}")
    else:
        click.echo(
            f"unfinished: the time budget of {minutes:g} minutes is over; the same command goes "
            "on from here",
            err=True,
        )


def _judge(judgement: Verdict) -> None:
    from trainer.tuning.report import judged  # noqa: PLC0415 -- matplotlib

    for line in judged(judgement):
        click.echo(line)


def _write(
    work: Path,
    found: Found,
    trainings: Trainings,
    seconds: float,
    made_of: dict[str, Any],
    judgement: Verdict | None,
) -> None:
    """Writes document, page and picture.

    Raises:
        OutputError: the folder can't be written.
    """
    from trainer.tuning.page import page  # noqa: PLC0415 -- matplotlib is slow to load
    from trainer.tuning.report import document, draw  # noqa: PLC0415 -- matplotlib is slow to load

    try:
        text = json.dumps(document(found, trainings.results, seconds, made_of, judgement), indent=1)
        (work / DOCUMENT).write_text(text + "\n", encoding="utf-8")
        told = page(found, trainings.results, seconds, made_of, judgement, PICTURE)
        (work / PAGE).write_text(told, encoding="utf-8")
        draw(found, trainings.results, work / PICTURE, grid=judgement is not None)
    except OSError as error:
        raise OutputError(f"{work}: {error.strerror}; name a folder that can be written") from None
