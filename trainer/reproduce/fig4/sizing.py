"""Curve (4) of Fig. 4: LMMoEs whose size Algorithm 1 finds, for the areas of curve (3) as targets.

A search may not look at what is tested. Its accuracies are areas over flows of their own: the 15 %
of each recording of the part train that come after those that are learnt and before those that are
tested, drawn alike. A target is what an LMMoE sized by hand reaches there, on average over the
tasks; the search trains it as one of its own candidates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sensor.flows.sequences import SequenceBatch
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import Patterns, task_labels
from trainer.datasets.splits import require_classes
from trainer.executors import Workers
from trainer.reproduce.courses import SETTINGS, TASKS
from trainer.reproduce.fig4.variants import BY_HAND, EPOCHS, Variant, common
from trainer.reproduce.material import LEARNT, Material, drawn_between
from trainer.tasks import chosen
from trainer.tuning.algorithm1 import Candidate, Found, Goal, Search, solve
from trainer.tuning.candidates import Material as Rows
from trainer.tuning.trainings import Told, Trainings

START, LARGEST = 1, 16
"""Sizes of an expert, first and largest."""

DROP = 0.005
"""Accepted drop of a task in the common network."""

BATCH = 128
"""Examples a step: networks of one task have fewer examples, and need as many steps."""

SEED = 0
"""Of every candidate."""


@dataclass(frozen=True)
class Sized:
    """A search and what it was for.

    Attributes:
        of: the variant sized by hand that gave the target.
        found: by the search.
    """

    of: Variant
    found: Found

    @property
    def variant(self) -> Variant | None:
        """What was found, as a variant; None of a search that has not ended."""
        if not self.found.finished:
            return None
        return common("tuned", self.found.experts, self.found.units)


def rows_to_size_on(dataset: Dataset, parts_of: dict[str, str], material: Material) -> Rows:
    """The flows that are learnt, and flows between them and the tested ones.

    Args:
        dataset: that the material was drawn from.
        parts_of: ``train`` or ``test`` for each source.
        material: the drawn flows.

    Raises:
        LabelError: the flows in between lack one of the classes of a task.
    """
    training = material.dataset.take(material.parts[LEARNT])
    between = dataset.take(drawn_between(dataset, parts_of))
    columns = [dataset.tasks.index(name) for name in material.dataset.tasks]
    both = Dataset(
        dataset.schema,
        material.dataset.tasks,
        dataset.sources,
        SequenceBatch.concatenate([training.batch, between.batch]),
        np.concatenate([training.labels, between.labels[:, columns]]),
        np.concatenate([training.source, between.source]),
        np.concatenate([training.flow, between.flow]),
    )
    labels = task_labels(both, chosen(TASKS))
    first = np.arange(len(both)) < len(training)
    require_classes({"train": first, "validation": ~first}, labels, TASKS)
    return Rows(
        Patterns.of(both),
        labels,
        both.flow,
        both.batch.row,
        both.batch.sequence_index,
        first,
        ~first,
        TASKS,
    )


def size(rows: Rows, work: Path, workers: Workers, told: Told, seconds: float) -> list[Sized]:
    """Searches for each target; candidates that are known are not trained again.

    Args:
        rows: to train and to measure on.
        work: folder of the candidates.
        workers: train.
        told: of every candidate.
        seconds: after which no training begins; with 0, what is kept is read and nothing else.
    """
    settings = replace(
        SETTINGS,
        tower_units=BY_HAND[0].networks[0].tower_units,
        batch_size=BATCH,
        epochs=EPOCHS,
        patience=EPOCHS,
    )
    with Trainings(rows, settings, SEED, work, workers, seconds, told) as trainings:
        models = [_candidate(variant) for variant in BY_HAND]
        if seconds:
            trainings.train_all(models)
        sized = []
        for variant, model in zip(BY_HAND, models, strict=True):
            if (known := trainings.known(model)) is None:
                continue
            goal = Goal(TASKS, float(np.mean(known.aucs)), DROP, START, LARGEST)
            sized.append(Sized(variant, solve(Search(goal), trainings)))
    return sized


def variants(sized: Sequence[Sized]) -> tuple[Variant, ...]:
    """What was found, each size once."""
    found = [each.variant for each in sized]
    return tuple(dict.fromkeys(variant for variant in found if variant))


def _candidate(variant: Variant) -> Candidate:
    (network,) = variant.networks
    return Candidate(network.units, network.experts, network.tasks)
