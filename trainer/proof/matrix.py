"""Train-source × test-source: what is learnt from one origin's attacks is worth on another's."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.baselines.trees import Trees
from trainer.datasets.examples import LabelledRows, Patterns, task_labels
from trainer.evaluation import flow_scores, without_nan
from trainer.metrics import roc_auc
from trainer.proof.experiments import fold_of
from trainer.proof.material import Material
from trainer.tasks import chosen

SEED = 0


def matrix(material: Material, task_name: str, groups: Sequence[str]) -> dict[str, Any]:
    """Areas under the ROC curve over flows, by gradient-boosted trees.

    Trees learn from the even flows of one group's attacks and the benign captures of folds 1 to 4,
    and are tested on the odd flows of each group's attacks among the benign captures of fold 0.
    So the diagonal is in-source for attacks, and benign devices are always other ones.

    Args:
        material: with the captures.
        task_name: of the attacks.
        groups: whose sources hold attacks of the task.

    Returns:
        ``task``, ``groups``, ``attack_flows`` of each, and ``auc`` with a row for each group that
        was learnt from.
    """
    benign = material.benign()
    learnt = [name for name in benign if fold_of(material.group(name))]
    held_back = [name for name in benign if not fold_of(material.group(name))]
    members = {
        group: [
            record.name
            for record in material.dataset.sources
            if material.group(record.name) == group
        ]
        for group in groups
    }
    names = [*benign, *(name for of_group in members.values() for name in of_group)]
    dataset = material.dataset.of_sources(dict.fromkeys(names))
    tasks = chosen([task_name])
    patterns, labels = Patterns.of(dataset), task_labels(dataset, tasks)
    every = [record.name for record in dataset.sources]

    def rows(wanted: Sequence[str]) -> NDArray[np.bool_]:
        return np.isin(dataset.source, [every.index(name) for name in wanted])

    attack, odd = labels[:, 0] == 1, dataset.flow % 2 == 1
    areas = []
    for group in groups:
        training = rows(learnt) | (rows(members[group]) & attack & ~odd)
        trees = Trees(
            LabelledRows(patterns, labels, dataset.flow, training, tasks).examples(), SEED
        )
        scores = trees.score(patterns.encoded)[patterns.number, 0]
        row = []
        for other in groups:
            part = rows(held_back) | (rows(members[other]) & attack & odd)
            flows = flow_scores(
                dataset.take(part), patterns.number[part], tasks[0], labels[part, 0], scores[part]
            )
            row.append(roc_auc(flows.labels, flows.scores))
        areas.append(row)
    counts = [int(np.unique(dataset.flow[rows(members[group]) & attack]).size) for group in groups]
    result: dict[str, Any] = without_nan(
        {"task": task_name, "groups": list(groups), "attack_flows": counts, "auc": areas}
    )
    return result
