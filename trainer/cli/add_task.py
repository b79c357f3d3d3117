"""``multa-trainer add-task``: a run and a dataset to a run with one task more."""

from pathlib import Path
from typing import get_args

import click

from trainer.add_task import Addition, Frozen
from trainer.add_task import add_task as add_task_to
from trainer.cli.ranges import FiniteRange
from trainer.cli.train import describe
from trainer.datasets.dataset import load
from trainer.datasets.joining import join
from trainer.datasets.splits import without_repeated_flows
from trainer.runs import load as load_run
from trainer.tasks import KNOWN

_DEFAULTS = Addition("")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="RUN")
@click.argument(
    "datasets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="DATASET..."
)
@click.option("--task", type=click.Choice(KNOWN), required=True, help="To add.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the new run, which must not be there or be empty; RUN stays as it is.",
)
@click.option(
    "--validation", multiple=True, metavar="SOURCE", help="Tune on this new source; others: learn."
)
@click.option("--test", multiple=True, metavar="SOURCE", help="Leave this new source out.")
@click.option(
    "--rehearsal",
    type=FiniteRange(0, 1),
    default=_DEFAULTS.rehearsal,
    show_default=True,
    help="Share of the flows of each source of RUN to learn again.",
)
@click.option(
    "--freeze",
    "frozen",
    multiple=True,
    type=click.Choice(get_args(Frozen)),
    help="Keep the shared experts, or the gates and towers of the old tasks, as they are; with "
    "both, no old task can change.",
)
@click.option(
    "--recover",
    is_flag=True,
    help="Then learn for one epoch from all that RUN was trained on, before the old tasks are "
    "judged.",
)
@click.option(
    "--margin",
    type=FiniteRange(0),
    default=_DEFAULTS.margin,
    show_default=True,
    help="By how much the validation AUC of an old task may fall.",
)
@click.option("--epochs", type=click.IntRange(1), help="At most so many; by default those of RUN.")
@click.option(
    "--learning-rate",
    type=FiniteRange(0, min_open=True),
    help="Of the first step; by default that of RUN.",
)
def add_task(
    folder: Path,
    datasets: tuple[Path, ...],
    task: str,
    out: Path,
    validation: tuple[str, ...],
    test: tuple[str, ...],
    rehearsal: float,
    frozen: tuple[Frozen, ...],
    recover: bool,  # noqa: FBT001 -- click's
    margin: float,
    epochs: int | None,
    learning_rate: float | None,
) -> None:
    r"""Adds a task to all networks of RUN: a gate and a tower of its own, on the experts there are.

    A DATASET is a folder that `extract` has made: the one that RUN was trained on, and those with
    labels of the new task. A task that a DATASET does not have is unknown in it. If an old task
    falls by more than --margin, nothing is written and the exit status is 86.

    \b
    Example:
      multa-trainer extract --task scan scans/ --out ds-scan
      multa-trainer add-task run ds ds-scan --task scan --validation scan-b --out run-2
    """
    run = load_run(folder)
    joined = join([load([each]) for each in datasets], [*run.task_names, task])
    dataset, removed = without_repeated_flows(joined, run.learnt_from)
    if removed:
        click.echo(f"{removed} flows occur in an earlier source too and were removed", err=True)
    addition = Addition(
        task, rehearsal, tuple(sorted(set(frozen))), recover, margin, epochs, learning_rate
    )
    given = {"validation": validation, "test": test}
    added, areas = add_task_to(run, dataset, addition, given, out)
    for each in areas:
        click.echo(each.line())
    describe(added)
