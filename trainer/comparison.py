"""The network beside gradient-boosted trees and the counting rule, on the same held-out rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import BundleError, LabelError, MissingInputError
from sensor.model.encoding import Encoded
from sensor.model.inference import calibrate as calibrated_scores
from sensor.model.schema import TaskSpec
from trainer.baselines.rule import TASKS as RULE_TASKS
from trainer.baselines.rule import rule_scores
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import LabelledRows, Patterns, task_labels
from trainer.datasets.splits import PARTS, share_seen
from trainer.decisions import decide, spanned_seconds
from trainer.evaluation import TaskFigures, figures, flow_scores, summary
from trainer.metrics import FlowScores
from trainer.runs import Run, raw_scores
from trainer.tasks import chosen

NETWORK, TREES, RULE = "lmmoe", "trees", "rule"


@dataclass(frozen=True)
class Comparison:
    """Figures of all models.

    Attributes:
        kind: of the run's split: by ``source`` or by ``time``.
        sources: names of those tested.
        hours: packet time that they span.
        seen: by task, share of the tested flows whose deciding pattern occurs in training; NaN
            where training rows are not at hand.
        models: by name, for every seed the figures of its tasks.
        flows: by task, flow scores of the run's best seed, for plots.
        thresholds: by task, those of the run's best seed.
    """

    kind: str
    sources: tuple[str, ...]
    hours: float
    seen: dict[str, float]
    models: Mapping[str, Sequence[Sequence[TaskFigures]]]
    flows: dict[str, FlowScores]
    thresholds: dict[str, float]

    def document(self) -> dict[str, Any]:
        """The comparison as JSON has it."""
        return {
            "split": self.kind,
            "sources": list(self.sources),
            "hours": round(self.hours, 4),
            "share_of_patterns_seen_in_training": {
                task: None if np.isnan(share) else share for task, share in self.seen.items()
            },
            "models": {
                name: [[entry.document() for entry in seed] for seed in seeds]
                for name, seeds in self.models.items()
            },
        }

    def headline(self) -> str:
        """One line about what was tested."""
        seen = ", ".join(f"{task} {summary([share])}" for task, share in self.seen.items())
        what = "left-out sources" if self.kind == "source" else "later flows of the same sources"
        return (
            f"{what}: {', '.join(self.sources)} ({self.hours:.2f} h); "
            f"share of flows whose pattern occurs in training: {seen}"
        )


@dataclass(frozen=True)
class Scored:
    """What one model makes of the tested rows.

    Attributes:
        tasks: with calibration and frozen thresholds.
        scores: ``(tested rows, tasks)`` calibrated.
    """

    tasks: tuple[TaskSpec, ...]
    scores: NDArray[np.floating]


@dataclass(frozen=True)
class Held:
    """The rows on which a run is tested, with what all models make of them.

    Attributes:
        dataset: the tested rows.
        numbers: ``(tested rows,)`` of their patterns.
        trained: numbers of the training rows' patterns.
        models: by name, for every seed.
    """

    dataset: Dataset
    numbers: NDArray[np.int64]
    trained: NDArray[np.int64]
    models: Mapping[str, Sequence[Scored]]

    def of_sources(self, names: Sequence[str]) -> "Held":
        """The rows of some of the tested sources.

        Raises:
            MissingInputError: there is no such source.
        """
        self.dataset.of_sources(names)
        known = [record.name for record in self.dataset.sources]
        rows = np.isin(self.dataset.source, [known.index(name) for name in names])
        models = {
            name: [replace(each, scores=each.scores[rows]) for each in seeds]
            for name, seeds in self.models.items()
        }
        return replace(
            self, dataset=self.dataset.take(rows), numbers=self.numbers[rows], models=models
        )


def compare(run: Run, dataset: Dataset, sources: Sequence[str] = ()) -> Comparison:
    """Tests a run on what it was neither fitted nor tuned to.

    Arguments and errors are those of `held_out`.
    """
    return comparison(run, held_out(run, dataset, sources))


def comparison(run: Run, held: Held) -> Comparison:
    """Figures of all models on held-out rows."""
    tested, numbers = held.dataset, held.numbers
    models = {
        name: [figures(tested, numbers, each.tasks, each.scores) for each in seeds]
        for name, seeds in held.models.items()
    }
    best = held.models[NETWORK][[result.seed for result in run.seeds].index(run.best.seed)]
    labels = task_labels(tested, best.tasks)
    flows = {
        task.name: flow_scores(tested, numbers, task, labels[:, i], best.scores[:, i])
        for i, task in enumerate(best.tasks)
    }
    return Comparison(
        run.split.kind,
        tuple(tested.sources[int(index)].name for index in np.unique(tested.source)),
        spanned_seconds(tested) / 3600,
        {
            name: share_seen(entry.patterns, held.trained) if held.trained.size else float("nan")
            for name, entry in flows.items()
        },
        models,
        flows,
        {task.name: task.threshold for task in best.tasks},
    )


def held_out(run: Run, dataset: Dataset, sources: Sequence[str] = ()) -> Held:
    """Scores, by all models, what a run was neither fitted nor tuned to.

    Args:
        run: with frozen thresholds.
        dataset: tested are the rows of the split's test part and of sources that the run does not
            know; where training rows are there too, trees are trained on them.
        sources: test only these.

    Raises:
        BundleError: the dataset's features are not the run's.
        LabelError: a source has changed since the run, or is one of the run's by another name.
        MissingInputError: nothing is left to test.
    """
    _check_sources(run, dataset)
    parts = run.split.rows(dataset)
    known = {name for part in PARTS for name in getattr(run.split, part)}
    foreign = [record.name not in known for record in dataset.sources]
    tested = parts["test"] | np.array(foreign)[dataset.source]
    if sources:
        names = [record.name for record in dataset.sources]
        dataset.of_sources(sources)
        tested &= np.isin(dataset.source, [names.index(name) for name in sources])
    if not tested.any():
        raise MissingInputError(
            f"{run.folder}: the dataset has no row that the run was not fitted or tuned to; add "
            "recordings or name test sources when training"
        )
    patterns = Patterns.of(dataset)
    numbers = patterns.number[tested]
    models: dict[str, list[Scored]] = {
        NETWORK: [
            Scored(result.tasks, run.scores(result, patterns.encoded)[numbers])
            for result in run.seeds
        ]
    }
    if parts["train"].any() and parts["validation"].any():
        models[TREES] = [_trees(run, dataset, patterns, parts, tested)]
    held = dataset.take(tested)
    if set(run.task_names) & set(RULE_TASKS):
        models[RULE] = [_rule(run, held)]
    return Held(held, numbers, patterns.number[parts["train"]], models)


def _trees(
    run: Run,
    dataset: Dataset,
    patterns: Patterns,
    parts: dict[str, NDArray[np.bool_]],
    tested: NDArray[np.bool_],
) -> Scored:
    from trainer.baselines.trees import Trees  # noqa: PLC0415 -- scikit-learn is slow to load

    tasks = chosen(run.task_names)
    labels = task_labels(dataset, tasks)
    training = LabelledRows(patterns, labels, dataset.flow, parts["train"], tasks)
    trees = Trees(training.settled_examples(_network(run)), run.best.seed)
    raw = trees.score(patterns.encoded)[patterns.number]
    tuned = parts["validation"]
    decided = decide(dataset.take(tuned), patterns.number[tuned], tasks, raw[tuned], run.allowed)
    return Scored(decided, calibrated_scores(decided, raw[tested]))


def _network(run: Run) -> Callable[[Encoded], NDArray[np.float32]]:
    """Raw scores of the best seed, by which trees are spared the same rows as the network was."""
    tflite = run.tflite(run.best.seed)
    return lambda encoded: raw_scores(tflite, encoded, run.task_names)


def _rule(run: Run, tested: Dataset) -> Scored:
    tasks = tuple(
        replace(task, threshold=0.5) for task in chosen(run.task_names) if task.name in RULE_TASKS
    )
    return Scored(tasks, np.repeat(rule_scores(tested.batch)[:, None], len(tasks), axis=1))


def _check_sources(run: Run, dataset: Dataset) -> None:
    """Makes sure that the dataset is one that the run can be held against."""
    if dataset.schema.fingerprint() != run.schema.fingerprint():
        raise BundleError(
            f"{run.folder}: its feature fingerprint is {run.schema.fingerprint()[:16]}…, the "
            f"dataset's {dataset.schema.fingerprint()[:16]}…; extract and train with one schema"
        )
    captures = {identity.partition(":")[0]: name for name, identity in run.identities.items()}
    for record in dataset.sources:
        if run.identities.get(record.name, record.identity) != record.identity:
            raise LabelError(
                f"{run.folder}: source {record.name} has changed since the run; train again"
            )
        known = captures.get(record.capture_sha256, record.name)
        if record.name not in run.identities and known in run.learnt_from:
            raise LabelError(
                f"{run.folder}: source {record.name} is the capture of {known}, from which the run "
                "has learnt; leave it out"
            )
