"""For the sceptic: gradient-boosted trees and the counting rule, on the flows that are drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.baselines.rule import TASKS as RULE_TASKS
from trainer.baselines.rule import rule_scores
from trainer.baselines.trees import Trees
from trainer.datasets.examples import LabelledRows, Patterns
from trainer.kept import identity, read_kept, write_kept
from trainer.reproduce.courses import TASKS
from trainer.reproduce.fig4.networks import FOLDER
from trainer.reproduce.material import IN_SOURCE, LEARNT, LEFT_OUT, Material
from trainer.reproduce.training import Areas, measured
from trainer.tasks import chosen

FORMAT = 1

SEED = 0
"""Of the trees, which draw nothing from it as they are used here."""


@dataclass(frozen=True)
class Sceptic:
    """Areas by part.

    Attributes:
        trees: of `TASKS`.
        rule: of those tasks that the rule knows, in the order of `rule_tasks`.
    """

    trees: Areas
    rule: Areas


def rule_tasks() -> tuple[str, ...]:
    """Those of `TASKS` about which the counting rule says something."""
    return tuple(task for task in TASKS if task in RULE_TASKS)


def grown(material: Material) -> Trees:
    """Trees of the flows that networks learn from."""
    patterns = Patterns.of(material.dataset)
    flow, rows = material.dataset.flow, material.parts[LEARNT]
    training = LabelledRows(patterns, material.truth, flow, rows, chosen(TASKS))
    return Trees(training.examples(), SEED)


def measure(material: Material) -> Sceptic:
    """Trains the trees and tests both; a minute."""
    patterns = Patterns.of(material.dataset)
    tested = material.parts[IN_SOURCE] | material.parts[LEFT_OUT]
    distinct = np.unique(patterns.number[tested])
    scores = np.zeros((len(patterns.encoded), len(TASKS)), np.float32)
    scores[distinct] = grown(material).score(patterns.encoded.take(distinct))
    # Rows of equal encoded context have the same count to within the grid, not exactly: so the
    # rule is measured row by row.
    each_row = Patterns(patterns.encoded, np.arange(len(material.dataset)))
    names = rule_tasks()
    counted = np.repeat(rule_scores(material.dataset.batch)[:, None], len(names), axis=1)
    return Sceptic(
        measured(material, patterns, scores), measured(material, each_row, counted, names)
    )


def known(material: Material, work: Path) -> Sceptic | None:
    """What is kept."""
    key, path = _place(material, work)
    try:
        document = read_kept(path, key)
        return Sceptic(document["trees"], document["rule"]) if document else None
    except (KeyError, TypeError):
        return None


def keep(material: Material, work: Path, found: Sceptic) -> None:
    """Writes what `measure` has found.

    Raises:
        OutputError: the folder can't be written.
    """
    key, path = _place(material, work)
    write_kept(path, key, trees=found.trees, rule=found.rule)


def _place(material: Material, work: Path) -> tuple[dict[str, Any], Path]:
    key, digest = identity(format=FORMAT, material=material.identity, tasks=TASKS, seed=SEED)
    return key, work / FOLDER / f"sceptic-{digest[:12]}.json"
