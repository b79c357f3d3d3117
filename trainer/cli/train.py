"""``multa-trainer train``: a dataset to a run."""

from pathlib import Path
from typing import Any, get_args

import click

from sensor.errors import UsageError
from trainer.cli.fitting import of_fit, of_parts
from trainer.cli.ranges import SEED, FiniteRange
from trainer.datasets.dataset import load
from trainer.datasets.splits import split_by_source, split_by_time, without_repeated_flows
from trainer.runs import Run
from trainer.runs import train as train_run
from trainer.settings import ParadigmName, Settings, Unknown, WeightingName
from trainer.tasks import KNOWN

_DEFAULTS = Settings()


@click.command()
@click.option(
    "--dataset",
    "datasets",
    type=click.Path(path_type=Path),
    required=True,
    multiple=True,
    help="Folder that `extract` has made; may be given again.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the run.",
)
@click.option(
    "--split",
    "kind",
    type=click.Choice(["source", "time"]),
    default="source",
    show_default=True,
    help="Hold out whole sources, or the last flows of each.",
)
@of_parts
@click.option("--task", "tasks", multiple=True, type=click.Choice(KNOWN), help="Learn only these.")
@click.option(
    "--experts",
    type=click.IntRange(1),
    default=_DEFAULTS.experts,
    show_default=True,
    help="LSTM experts of the network.",
)
@click.option(
    "--units",
    type=click.IntRange(1),
    default=_DEFAULTS.units,
    show_default=True,
    help="Units of an expert.",
)
@of_fit()
@click.option(
    "--learning-rate",
    type=FiniteRange(0, min_open=True),
    default=_DEFAULTS.learning_rate,
    show_default=True,
    help="Of the first step.",
)
@click.option(
    "--paradigm",
    type=click.Choice(get_args(ParadigmName)),
    default=_DEFAULTS.paradigm,
    show_default=True,
    help="Learn all tasks together from every row, or in turn from rows of their own.",
)
@click.option(
    "--unknown",
    type=click.Choice(get_args(Unknown)),
    default=_DEFAULTS.unknown,
    show_default=True,
    help="Leave missing training labels out of the loss, or take them as negative (aurora only).",
)
@click.option(
    "--minisets",
    type=click.IntRange(1),
    default=_DEFAULTS.minisets,
    show_default=True,
    help="Turns of each task in an epoch of rainbow.",
)
@click.option(
    "--weighting",
    type=click.Choice(get_args(WeightingName)),
    default=_DEFAULTS.weighting,
    show_default=True,
    help="Weight the tasks' losses equally, by learnt uncertainties, or by how fast they fall.",
)
@click.option(
    "--alone",
    type=FiniteRange(0, 1, max_open=True),
    default=_DEFAULTS.alone,
    show_default=True,
    help="Share of the examples that an epoch shows as if no other flow had begun lately.",
)
@click.option(
    "--seed",
    "seeds",
    type=SEED,
    multiple=True,
    default=(0,),
    show_default=True,
    help="Of the network; may be given again, for a spread.",
)
@click.option(
    "--false-incidents-per-day",
    "per_day",
    type=FiniteRange(0),
    default=1.0,
    show_default=True,
    help="False incidents that a threshold may let pass a day, for each task.",
)
def train(
    datasets: tuple[Path, ...],
    out: Path,
    kind: str,
    validation: tuple[str, ...],
    test: tuple[str, ...],
    split_seed: int,
    tasks: tuple[str, ...],
    seeds: tuple[int, ...],
    per_day: float,
    **settings: Any,
) -> None:
    """Trains an LMMoE for each seed and freezes calibration and thresholds."""
    if kind == "time" and (validation or test):
        raise UsageError("--split time takes no --validation and --test; all sources are in all")
    dataset, removed = without_repeated_flows(load(datasets))
    if removed:
        click.echo(f"{removed} flows occur in an earlier source too and were removed", err=True)
    if kind == "time":
        split = split_by_time(dataset)
    else:
        given = {"validation": validation, "test": test}
        split = split_by_source(dataset, given, (0.2, 0.2), split_seed)
    run = train_run(
        dataset,
        tasks or dataset.tasks,
        Settings(**settings),
        split,
        seeds,
        per_day,
        out,
    )
    describe(run)


def describe(run: Run) -> None:
    """Prints thresholds and losses of a run."""
    for result in run.seeds:
        thresholds = ", ".join(
            f"{task.name} {task.threshold:.4f} (recall {recall:.3f})"
            for task, recall in zip(result.tasks, result.recalls, strict=True)
        )
        click.echo(
            f"seed {result.seed}: best epoch {result.best_epoch} of "
            f"{len(result.validation_losses)}, validation loss {result.validation_loss:.4f}; "
            f"thresholds {thresholds}"
        )
