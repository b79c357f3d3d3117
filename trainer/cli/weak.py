"""``multa-trainer weak``: labels out of labeling functions, for latency series and flows."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sensor.errors import UsageError
from sensor.model.schema import FeatureSchema
from sensor.streams import visible
from trainer.cli.feedback import read_judged
from trainer.cli.outputs import keep_apart
from trainer.cli.ranges import FiniteRange
from trainer.datasets.dataset import Dataset
from trainer.datasets.dataset import load as load_dataset
from trainer.executors import Workers, executor
from trainer.latency.reading import read_files
from trainer.latency.series import TASKS, LatencySeries
from trainer.latency.store import write_series
from trainer.tasks import KNOWN
from trainer.weak import flow_labels, flows, latency
from trainer.weak.feedback import said_by_operators
from trainer.weak.functions import Columns, LabelingFunction, tasks_of
from trainer.weak.label_model import hard
from trainer.weak.loading import BUILT_IN, load
from trainer.weak.supervision import TaskVotes, require_two_classes, supervise


@dataclass(frozen=True)
class _Options:
    """What both commands take.

    Attributes:
        inputs: files of series, or folders of datasets.
        reference: of the labeling functions; empty for those of the kind of input.
        task: of functions that do not say theirs.
        tasks: those wanted; empty for all.
        balances: known shares of classes.
        feedback: folder of evidence and file of labels.
        jobs, dask: where votes are counted; in this process unless one is given.
    """

    inputs: tuple[Path, ...]
    reference: str
    task: str
    tasks: tuple[str, ...]
    balances: dict[str, tuple[float, ...]]
    feedback: tuple[Path, Path] | None
    jobs: int
    dask: str | None

    @property
    def of_flows(self) -> bool:
        """Whether the inputs are datasets."""
        folders = [path.is_dir() for path in self.inputs]
        if any(folders) and not all(folders):
            raise UsageError("give datasets or files of latency series, not both at once")
        return all(folders)

    def functions(self) -> tuple[LabelingFunction, ...]:
        """The labeling functions that are asked."""
        functions = load(self.reference or ("flows" if self.of_flows else "latency"), self.task)
        known = {task.name: task for task in tasks_of(functions)}
        for name in (*self.tasks, *self.balances):
            if name not in known:
                raise UsageError(f"no labeling function is of {name!r}, only of {', '.join(known)}")
        functions = tuple(f for f in functions if f.task.name in (self.tasks or known))
        if self.feedback is None:
            return functions
        if not self.of_flows:
            raise UsageError("--feedback is about flows; give datasets")
        asked = tasks_of(functions)
        said_of = [task.name for task in asked if task.name in KNOWN]
        judged = read_judged(*self.feedback, said_of, FeatureSchema())
        said = {each.label.task for each in judged}
        more = [said_by_operators(judged, task) for task in asked if task.name in said]
        return (*functions, *more)

    @contextmanager
    def workers(self) -> Iterator[Workers | None]:
        """Those that were asked for."""
        if not self.jobs and self.dask is None:
            yield None
            return
        with executor(self.jobs, self.dask) as workers:
            yield workers


def _balance(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[float, ...]]:
    """``TASK=SHARE,SHARE`` as shares by task."""
    found = {}
    for value in values:
        task, _equals, shares = value.partition("=")
        try:
            found[task] = tuple(float(share) for share in shares.split(","))
        except ValueError:
            raise click.BadParameter(f"{value!r}; write TASK=0.99,0.01") from None
    return found


def _of_both(command: Any) -> Any:
    """The options of both commands."""
    path = click.Path(path_type=Path)
    for option in reversed(
        (
            click.argument("inputs", nargs=-1, required=True, type=path, metavar="INPUT..."),
            click.option(
                "--functions",
                "reference",
                default="",
                metavar="FILE.py",
                help=f"Python file with labeling functions, which is run; or {', '.join(BUILT_IN)} "
                "for those that are here, the default.",
            ),
            click.option(
                "--of-task",
                "task",
                default="",
                metavar="TASK",
                help="What Snorkel's labeling functions in the file vote on.",
            ),
            click.option("--task", "tasks", multiple=True, help="Only this one; can be repeated."),
            click.option(
                "--balance",
                "balances",
                multiple=True,
                callback=_balance,
                metavar="TASK=SHARE,SHARE",
                help="Share of each class of a task, if it is known; else it is estimated.",
            ),
            click.option(
                "--feedback",
                nargs=2,
                type=path,
                metavar="EVIDENCE_DIR LABELS",
                help="What operators have said of alerts votes too (`multa-sensor label`).",
            ),
            click.option(
                "--jobs",
                type=click.IntRange(1),
                default=None,
                help="Processes that vote; by default this one does.",
            ),
            click.option("--dask", metavar="ADDRESS", help="Vote on a Dask cluster."),
        )
    ):
        command = option(command)
    return command


def _options(given: dict[str, Any]) -> _Options:
    return _Options(**{**given, "jobs": given["jobs"] or 0})


@click.group()
def weak() -> None:
    """Label latency series and flows with labeling functions."""


@weak.command(name="report")
@_of_both
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def report_command(*, as_json: bool, **given: Any) -> None:
    """Tell what labeling functions do, and what their label model makes of them.

    An INPUT is a file of latency series, in any form that `latency show` reads, or the folder of
    a dataset. Where it has labels, these are taken for true and votes are compared with them.

    \b
    Examples:
      multa-trainer weak report series.npz
      multa-trainer weak report ds --functions mine.py --task scan
    """  # noqa: D301 -- click's mark for lines to leave alone
    options = _options(given)
    if options.of_flows:
        dataset, every = _supervised_flows(options)
        truths = {name: dataset.labels[:, place] for place, name in enumerate(dataset.tasks)}
    else:
        truths, every = _supervised_series(options)
    document = []
    for votes in every:
        truth = truths.get(votes.task.name)
        known = truth is not None and bool((truth >= 0).any())
        report = votes.report(truth if known else None)
        agreements = votes.agreements(truth) if known and truth is not None else {}
        document.append(
            {
                **votes.model.document(),
                **report.document(),
                "agreement": {name: each.document() for name, each in agreements.items()},
            }
        )
        if as_json:
            continue
        click.echo(
            visible(f"{votes.task.name}: {report.rows} rows, {len(votes.patterns)} patterns")
        )
        click.echo(visible(report.as_text(votes.task.classes)))
        shares = zip(votes.task.classes, votes.model.balance, strict=True)
        balance = ", ".join(f"{name} {share:.4f}" for name, share in shares)
        click.echo(visible(f"label model: {balance}"))
        for name, each in agreements.items():
            click.echo(f"{name}: {each}")
        click.echo()
    if as_json:
        click.echo(json.dumps({"tasks": document}))


@weak.command(name="label")
@_of_both
@click.option(
    "--out",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="File of series, or folder of a dataset, with the labels.",
)
@click.option(
    "--confidence",
    type=FiniteRange(0, 1, max_open=True),
    default=0.9,
    show_default=True,
    help="What the label model must be surer of than this to make it a label; the rest is unknown.",
)
@click.option(
    "--keep", multiple=True, metavar="SOURCE", help="Source of a dataset that keeps its labels."
)
def label_command(*, out: Path, confidence: float, keep: tuple[str, ...], **given: Any) -> None:
    """Make labels out of the votes of labeling functions.

    The result is of the form of the INPUT (see `report`): series with what is labelled in place
    of their truth, or a dataset, with which `train` trains. The label model learns from all
    votes, but never from a label. Sources named with --keep keep theirs, to test with.

    \b
    Examples:
      multa-trainer weak label series.npz -o labelled.npz
      multa-trainer weak label ds -o weak --task syn_dos --keep home-7
      multa-trainer train --dataset weak --test home-7 --out run
    """  # noqa: D301 -- click's mark for lines to leave alone
    options = _options(given)
    keep_apart(out, options.inputs)
    if options.of_flows:
        dataset, every = _supervised_flows(options)
        author = f"labeling functions of {Path(options.reference or 'flows').name}"
        for record, labels in flow_labels.write(out, dataset, every, confidence, keep, author):
            said = ", ".join(
                f"{votes.task.name} {int((labels[:, k] > 0).sum())} and "
                f"{int((labels[:, k] < 0).sum())} unknown"
                for k, votes in enumerate(every)
            )
            kept = " (kept)" if record.name in keep else ""
            click.echo(visible(f"{record.name}: {record.rows} rows; {said}{kept}"), err=True)
        return
    if keep:
        raise UsageError("--keep is about sources of datasets; give datasets")
    _, every = _supervised_series(options)
    write_series(out, _labelled(options, every, confidence))
    for votes in every:
        labels = hard(votes.probabilities(), confidence)
        counts = votes.patterns.counts
        click.echo(
            f"{votes.task.name}: {counts[labels > 0].sum()} of {counts.sum()} measurements, "
            f"{counts[labels < 0].sum()} unknown",
            err=True,
        )


def _supervised_flows(options: _Options) -> tuple[Dataset, tuple[TaskVotes, ...]]:
    functions = options.functions()
    dataset = load_dataset(options.inputs)
    # Windows of rows end where a source does.
    ends = np.searchsorted(dataset.source, np.arange(len(dataset.sources) + 1))
    spans = zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
    tables = (flows.columns(dataset.batch.take(slice(*span))) for span in spans)
    with options.workers() as workers:
        every = supervise(functions, tables, options.balances, workers)
    _tell_silent(functions, every)
    return dataset, every


def _supervised_series(
    options: _Options,
) -> tuple[dict[str, NDArray[np.int8]], tuple[TaskVotes, ...]]:
    """Truth of the measurements by task, and the votes on them."""
    functions = options.functions()
    truths: dict[str, list[NDArray[np.int8]]] = {
        task.name: [] for task in tasks_of(functions) if task.name in TASKS
    }
    with options.workers() as workers, _bar() as bar:

        def tables() -> Iterator[Columns]:
            for series in read_files(options.inputs):
                for task, known in truths.items():
                    known.append(series.known(task))
                bar.update(len(series))
                yield latency.columns(series)

        every = supervise(functions, tables(), options.balances, workers)
    _tell_silent(functions, every)
    return {task: np.concatenate(known) for task, known in truths.items()}, every


def _tell_silent(functions: Sequence[LabelingFunction], every: Sequence[TaskVotes]) -> None:
    """Names the tasks that are left out."""
    for task in tasks_of(functions):
        if task not in [votes.task for votes in every]:
            line = f"task {task.name}: no function votes on any row, so it is left out"
            click.echo(visible(line), err=True)


def _labelled(
    options: _Options, every: Sequence[TaskVotes], confidence: float
) -> Iterator[LatencySeries]:
    """The series again, with labels in place of their truth."""
    require_two_classes(every)
    for votes in every:
        if votes.task.name not in TASKS:
            raise UsageError(
                f"series have labels of {', '.join(TASKS)} alone, not of {votes.task.name}"
            )
    labels = {votes.task.name: hard(votes.probabilities(), confidence) for votes in every}
    numbers = {votes.task.name: votes.patterns.number for votes in every}
    begin = 0
    for series in read_files(options.inputs):
        rows = slice(begin, begin := begin + len(series))
        truth = {task: labels[task][numbers[task][rows]] for task in labels}
        yield LatencySeries(series.name, series.time_ns, series.rtt_ms, truth)


def _bar() -> Any:
    return tqdm(
        desc="voting", unit="", unit_scale=True, leave=False, disable=not sys.stderr.isatty()
    )
