"""The experiments: what is learnt from, what is held out, and what is left out of the features."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sensor.flows.sequences import END_REASONS
from trainer.datasets.dataset import Dataset
from trainer.datasets.splits import PARTS, Split
from trainer.proof.material import Material
from trainer.runs import RUN, Run, train
from trainer.runs import load as load_run
from trainer.settings import Settings

FOLDS = 5
"""Parts into which devices and networks are divided for cross-validation."""

SMALL = Settings(experts=2, units=16, epochs=12, patience=4, tower_units=(16,))
"""Of the experiments that train many networks: two thirds of the shipped size, 12 epochs."""

BRIEF = replace(SMALL, epochs=5, patience=5, batch_size=1024)
"""Of the folds and the features left out, which learn from the whole lab: 5 epochs."""

SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Experiment:
    """One question, and the split that answers it.

    Attributes:
        name: of its folder and its section.
        about: what is learnt from and what is tested, for the head of its table.
        tasks: that are learnt.
        split: by source.
        settings: of the fits.
        context: whether the networks see the counts of new flows.
        early: whether they see the rows that were decided after a second.
        ttl_window: whether they see time to live and TCP window, which the shipped one does not.
    """

    name: str
    about: str
    tasks: tuple[str, ...]
    split: Split
    settings: Settings = SMALL
    context: bool = True
    early: bool = True
    ttl_window: bool = False


def fold_of(group: str) -> int:
    """The fold of a network or device; the same on every machine."""
    return zlib.crc32(group.encode()) % FOLDS


def shipped(material: Material, tasks: tuple[str, ...], settings: Settings) -> Experiment:
    """The shipped bundle's split: the lab alone, tested on the lab's left-out part and all else."""
    tested = material.names(lambda _: True)
    return Experiment(
        "shipped",
        "trained on the recipe's recordings of the lab alone; no public capture was seen",
        tasks,
        Split(
            "source",
            material.recorded("train"),
            material.recorded("validation"),
            (*material.recorded("test"), *tested),
        ),
        settings,
    )


def by_device(material: Material, tasks: tuple[str, ...]) -> list[Experiment]:
    """Cross-validation: in turn, one fold of devices and networks is held out, the others learnt.

    Of those that are learnt from, the fold after the held-out one sets thresholds and calibration.
    """
    each = []
    for fold in range(FOLDS):

        def of(which: int, role: str = "train") -> tuple[str, ...]:
            return material.names(
                lambda capture: capture.source.role == role and fold_of(capture.group) == which
            )

        tuned = (fold + 1) % FOLDS
        learnt = [
            name for other in range(FOLDS) if other not in (fold, tuned) for name in of(other)
        ]
        each.append(
            Experiment(
                f"fold-{fold}",
                f"trained on the lab and on public devices and networks of other folds than {fold}",
                tasks,
                Split(
                    "source",
                    (*material.recorded("train"), *learnt),
                    (*material.recorded("validation"), *of(tuned)),
                    (
                        *material.recorded("test"),
                        *of(fold),
                        *material.names(lambda capture: capture.source.role != "train"),
                    ),
                ),
                BRIEF,
            )
        )
    return each


def ablations(material: Material, tasks: tuple[str, ...]) -> list[Experiment]:
    """Features left out or added, at the same small size: the shipped split, then in-source.

    In-source, networks learn from the first 55 % of the flows of each recording of the lab and are
    tested on its last 30 %.
    """
    full = replace(shipped(material, tasks, BRIEF), about="as shipped, trained small and briefly")
    left_out = [
        replace(full, name="sequence-only", context=False, early=False),
        replace(full, name="with-early", context=False),
        replace(full, name="with-context"),
        replace(full, name="with-ttl-window", ttl_window=True),
    ]
    names = tuple(name for part in PARTS for name in material.recorded(part))
    within = Split("time", names, names, names)
    about = "later flows of the lab's own recordings, which is memorisation"
    return left_out + [
        replace(each, name=f"{each.name}-in-source", about=about, split=within) for each in left_out
    ]


def left_out_groups(material: Material, task: str, groups: Sequence[str]) -> list[Experiment]:
    """In turn, one group of a task's attacks is held out, and the others are learnt.

    Benign sources are divided by fold: 0 is tested on, 1 is tuned on, the others are learnt.
    The group after the held-out one is tuned on.
    """
    benign = {
        fold: material.names(
            lambda capture: capture.source.benign and fold_of(capture.group) == fold  # noqa: B023
        )
        for fold in range(FOLDS)
    }
    learnt = tuple(name for fold in range(2, FOLDS) for name in benign[fold])
    attacks = {
        group: material.names(lambda capture: capture.group == group)  # noqa: B023
        for group in groups
    }
    each = []
    for place, group in enumerate(groups):
        tuned = groups[(place + 1) % len(groups)]
        others = tuple(
            name for other in groups if other not in (group, tuned) for name in attacks[other]
        )
        each.append(
            Experiment(
                f"without-{group}",
                f"{group} left out, tuned on {tuned}; benign captures of other folds than 0",
                (task,),
                Split(
                    "source",
                    (*learnt, *others),
                    (*benign[1], *attacks[tuned]),
                    (*benign[0], *attacks[group]),
                ),
            )
        )
    return each


def dataset_of(experiment: Experiment, material: Material) -> Dataset:
    """The rows that an experiment learns from and is tested on, less what it leaves out.

    An early row is left out where its flow is scored again: a flow of few packets has no other.
    """
    names = (*experiment.split.train, *experiment.split.validation, *experiment.split.test)
    dataset = material.wide if experiment.ttl_window else material.dataset
    rows = dataset.of_sources(names)
    if not experiment.early:
        again = rows.flow[(rows.batch.sequence_index == 0) & (rows.batch.row > 0)]
        early = rows.batch.end_reason == END_REASONS.index("early")
        rows = rows.take(~(early & np.isin(rows.flow, again)))
    if not experiment.context:
        rows = replace(rows, batch=replace(rows.batch, context=np.zeros_like(rows.batch.context)))
    return rows


def run_of(
    experiment: Experiment, dataset: Dataset, folder: Path, seeds: Sequence[int], per_day: float
) -> Run:
    """The experiment's run, trained if it is not there.

    Args:
        experiment: the question.
        dataset: what `dataset_of` made for it.
        folder: of the run.
        seeds: one network each.
        per_day: budget of false incidents.
    """
    if (folder / RUN).exists():
        run = load_run(folder)
        identities = {record.name: record.identity for record in dataset.sources}
        same = run.split == experiment.split and run.settings == experiment.settings
        same = same and run.schema == dataset.schema and run.task_names == experiment.tasks
        same = same and all(identities.get(name) == its for name, its in run.identities.items())
        if same and {result.seed for result in run.seeds} >= set(seeds):
            return run
    return train(
        dataset, experiment.tasks, experiment.settings, experiment.split, seeds, per_day, folder
    )
