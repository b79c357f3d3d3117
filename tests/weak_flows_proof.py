"""Attacks learnt from labeling functions alone, beside the same attacks learnt from truth.

    python tests/weak_flows_proof.py --dataset out/dataset --out docs/results/weak-flows.md

Both sides learn from the same recordings with the same settings and seeds, and both choose
calibration, thresholds and the epoch that is kept on the same others: one by their true labels,
the other by labels that its functions have voted for. Only the recordings of `TEST`, from which
nothing was learnt or chosen, are looked at with their truth on both sides. Runs are kept in
``--work``; what is there already and unchanged is not made again.
"""

import argparse
import os
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset, load
from trainer.datasets.examples import Patterns, task_labels
from trainer.datasets.splits import Split, without_repeated_flows
from trainer.decisions import spanned_seconds
from trainer.evaluation import TaskFigures, as_markdown, figures, table
from trainer.metrics import rows_that_count
from trainer.runs import RUN, Run, identities, train, versions
from trainer.runs import load as load_run
from trainer.settings import Settings
from trainer.tasks import chosen
from trainer.weak import flow_labels
from trainer.weak.applying import applied
from trainer.weak.flows import columns
from trainer.weak.functions import Columns
from trainer.weak.loading import load as load_functions
from trainer.weak.supervision import TaskVotes, supervise

TASKS = ("syn_dos", "ssdp_flood", "scan")
"""Those for which there are labeling functions."""

TEST = (
    *("mixed-other-101", "mixed-other-102", "mixed-other-103"),
    *("left-out-2101", "left-out-2102", "left-out-2103", "left-out-2104"),
)
"""Devices, stacks, links and tools in them occur in no other, but for two more of mixed-other."""

VALIDATION = (
    *("mixed-1401", "mixed-1402", "floods-1501", "floods-1502"),
    *("benign-1701", "people-1204", "assault-1105"),
)

CONFIDENCE = 0.9
TRUTH, VOTES, FUNCTIONS = "from truth", "from votes", "functions alone"

ROC_AUC, AVERAGE_PRECISION, RECALL = 0.002, 0.01, 0.03
"""By how much votes may be worse than truth, the medians of all seeds compared."""


@dataclass(frozen=True)
class Made:
    """What was measured.

    Attributes:
        models: by name, the figures of each seed on the tested recordings.
        quality: what the labels are worth, one line a task.
        tested: the recordings, with their truth.
        runs: of both sides.
    """

    models: dict[str, Sequence[Sequence[TaskFigures]]]
    quality: list[str]
    tested: Dataset
    runs: dict[str, Run]


def told(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def tables(dataset: Dataset) -> list[Columns]:
    """Columns of each source that has rows."""
    places = np.unique(dataset.source)
    return [columns(dataset.batch.take(dataset.source == place)) for place in places]


def labelled(folder: Path, dataset: Dataset, every: Sequence[TaskVotes]) -> Dataset:
    """The dataset with the labels of functions; its rows are those of the sources that it has."""
    shutil.rmtree(folder, ignore_errors=True)
    names = [dataset.sources[place] for place in np.unique(dataset.source)]
    places = np.unique(dataset.source, return_inverse=True)[1].astype(np.int32)
    alone = Dataset(
        dataset.schema,
        dataset.tasks,
        tuple(names),
        dataset.batch,
        dataset.labels,
        places.reshape(-1),
        dataset.flow,
    )
    flow_labels.write(folder, alone, every, CONFIDENCE)
    return load([folder])


def run_of(
    folder: Path, dataset: Dataset, settings: Settings, split: Split, seeds: Sequence[int]
) -> Run:
    """A run, which is made unless it is there."""
    if (folder / RUN).exists():
        run = load_run(folder)
        same = asdict(run.settings) == asdict(settings) and run.split == split
        same = same and run.identities == identities(dataset, split)
        if same and [result.seed for result in run.seeds] == [*seeds]:
            told(f"{folder.name}: unchanged")
            return run
    told(f"{folder.name}: training {len(seeds)} networks")
    return train(dataset, TASKS, settings, split, seeds, 1.0, folder)


def of_run(run: Run, tested: Dataset, patterns: Patterns) -> list[list[TaskFigures]]:
    """Figures of each seed at its own thresholds."""
    return [
        figures(
            tested,
            patterns.number,
            result.tasks,
            run.scores(result, patterns.encoded)[patterns.number],
        )
        for result in run.seeds
    ]


def of_functions(
    every: Sequence[TaskVotes], tested: Dataset, patterns: Patterns
) -> list[list[TaskFigures]]:
    """What the label model says of the tested recordings, from the votes of its functions.

    They see addresses, ports and the rows before and after, which no network does.
    """
    scores = []
    for of_task in every:
        votes = np.concatenate([*applied(of_task.functions, tables(tested))])
        scores.append(of_task.model.probabilities(votes)[:, 1])
    return [figures(tested, patterns.number, chosen(TASKS), np.stack(scores, axis=1))]


def deciding(dataset: Dataset, task: TaskSpec) -> NDArray[np.intp]:
    """The row of each flow that decides about it: its last one at which the task looks."""
    rows = np.flatnonzero(rows_that_count(dataset.batch.sequence_index, task.policy))
    _, first = np.unique(dataset.flow[rows[::-1]], return_index=True)
    return rows[::-1][first]


def quality(weak: Dataset, truth: Dataset, every: Sequence[TaskVotes]) -> list[str]:
    """What the labels of the functions are worth, flow by flow."""
    known = task_labels(truth, chosen(TASKS))
    lines = []
    for column, (task, votes) in enumerate(zip(chosen(TASKS), every, strict=True)):
        rows = deciding(truth, task)
        label, true = weak.labels[rows, weak.tasks.index(task.name)], known[rows, column]
        attacks, benign = int((true == 1).sum()), int((true == 0).sum())
        found, false = int((label[true == 1] == 1).sum()), int((label[true == 0] == 1).sum())
        unknown = int((label[true >= 0] < 0).sum())
        lines.append(
            f"| {task.name} | {len(votes.functions)} | {attacks:,} of {attacks + benign:,} | "
            f"{found / attacks:.4f} | {found / (found + false):.4f} | "
            f"{unknown / (attacks + benign):.4f} |"
        )
    return lines


def measured(options: argparse.Namespace) -> Made:
    dataset, _ = without_repeated_flows(load([options.dataset]))
    tested = dataset.of_sources(TEST)
    others = [record.name for record in dataset.sources if record.name not in TEST]
    learning = dataset.of_sources(others)
    training = tuple(name for name in others if name not in VALIDATION)
    split = Split("source", training, VALIDATION, ())
    told("asking the labeling functions")
    functions = [each for each in load_functions("flows") if each.task.name in TASKS]
    every = supervise(functions, tables(learning))
    weak = labelled(options.work / "dataset", learning, every)
    settings = Settings(experts=2, units=16, epochs=options.epochs)
    seeds = range(options.seeds)
    runs = {
        name: run_of(options.work / folder, of_side, settings, split, seeds)
        for name, folder, of_side in (
            (TRUTH, "run-truth", learning),
            (VOTES, "run-votes", weak),
        )
    }
    told("testing")
    patterns = Patterns.of(tested)
    models = {name: of_run(run, tested, patterns) for name, run in runs.items()}
    models[FUNCTIONS] = of_functions(every, tested, patterns)
    return Made(models, quality(weak, learning, every), tested, runs)


def claims(models: dict[str, Sequence[Sequence[TaskFigures]]]) -> list[tuple[str, str, bool]]:
    """Of each claim what was measured, and whether it holds."""

    def of(name: str, column: int) -> list[TaskFigures]:
        return [seed[column] for seed in models[name]]

    lines = []
    for what, figure, margin in (
        ("ROC-AUC", "roc_auc", ROC_AUC),
        ("average precision", "average_precision", AVERAGE_PRECISION),
        ("recall of flows", "recall", RECALL),
    ):
        behind = {
            task: float(
                np.median([getattr(each, figure) for each in of(TRUTH, column)])
                - np.median([getattr(each, figure) for each in of(VOTES, column)])
            )
            for column, task in enumerate(TASKS)
        }
        lines.append(
            (
                f"{what} from votes is lower by no more than {margin} than from truth, each task",
                ", ".join(f"{task} {-value:+.4f}" for task, value in behind.items()),
                max(behind.values()) <= margin,
            )
        )
    found, there, false = [], [], []
    for column, _ in enumerate(TASKS):
        each = [entry.incidents for entry in of(VOTES, column)]
        found.append(min(entry.found for entry in each))
        there.append(each[0].attacks)
        false.append(max(entry.false for entry in each))
    lines.append(
        (
            "Each seed finds every incident from votes alone",
            ", ".join(
                f"{task} {least} of {all_}"
                for task, least, all_ in zip(TASKS, found, there, strict=True)
            ),
            found == there,
        )
    )
    lines.append(
        (
            "and no seed raises a false one",
            ", ".join(f"{task} {most}" for task, most in zip(TASKS, false, strict=True)),
            not any(false),
        )
    )
    return lines


def page(made: Made, options: argparse.Namespace, minutes: float) -> tuple[str, list[str]]:
    """The page, and the claims that do not hold."""
    judged = claims(made.models)
    run = made.runs[VOTES]
    software = ", ".join(f"{name} {version}" for name, version in versions().items())
    thresholds = "; ".join(
        f"{name}: "
        + ", ".join(
            f"{task} {' '.join(f'{seed.tasks[column].threshold:.2f}' for seed in of.seeds)}"
            for column, task in enumerate(TASKS)
        )
        for name, of in made.runs.items()
    )
    parts = [
        "# Attacks learnt from votes, beside attacks learnt from truth",
        (
            "Made by `make verify TARGET=weak-flows` on "
            f"{datetime.now(timezone.utc):%Y-%m-%d} in {minutes:.0f} minutes: {software}, "
            f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, which did other things "
            "too."
        ),
        (
            f"Both sides: {len(run.split.train)} recordings of the lab to train and "
            f"{len(VALIDATION)} to tune, {options.seeds} seeds, 2 experts of 16 units, at most "
            f"{options.epochs} epochs. Tested are {len(TEST)} others ({', '.join(TEST)}; "
            f"{spanned_seconds(made.tested) / 60:.0f} minutes, {len(made.tested):,} rows), with "
            "their true labels, by each network at the thresholds that its own validation labels "
            "gave: truth on the one side, votes on the other. No labeling function and no number "
            "in one was chosen by a look at them. Of several seeds the median is shown with the "
            "least and the greatest."
        ),
        "| claim | measured | holds |\n|---|---|---|\n"
        + "\n".join(
            f"| {what} | {value} | {'yes' if holds else '**no**'} |"
            for what, value, holds in judged
        ),
        "## Tested recordings\n" + as_markdown(table(made.models)),
        (
            f'"{FUNCTIONS[0].upper()}{FUNCTIONS[1:]}" is what the label model says of the tested '
            "recordings, above 0.5: its functions look at addresses, ports and the rows before and "
            "after, so nobody can ask them live. Thresholds of the seeds, calibrated: "
            f"{thresholds}."
        ),
        (
            "## Labels\n"
            "What the functions' labels are worth on the recordings to train and to tune, flow by "
            f"flow: a label where the label model is at least {CONFIDENCE} sure.\n\n"
            "| task | functions | attacks | of them found | right of those found | unknown |\n"
            "|---|---|---|---|---|---|\n" + "\n".join(made.quality)
        ),
        (
            "The functions were written by people who know how the lab plays attacks, and looked "
            "at with the recordings to train and to tune; that flatters them. Their numbers are "
            "Zeek's and of the UPnP Device Architecture where these have any."
        ),
    ]
    return "\n\n".join(parts) + "\n", [what for what, _, holds in judged if not holds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("out/weak-flows"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    begun = time.monotonic()
    options.work.mkdir(parents=True, exist_ok=True)
    made = measured(options)
    text, failed = page(made, options, (time.monotonic() - begun) / 60)
    options.out.write_text(text, encoding="utf-8")
    for what in failed:
        told(f"does not hold: {what}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
