"""Carries a training out, and measures it on the tested flows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from sensor.errors import UsageError
from trainer.traffic import forest
from trainer.traffic.alterations import altered
from trainer.traffic.inputs import CLASS, TASKS, Inputs, convolved, first, recurrent
from trainer.traffic.learning import Learner, Share, steps_of
from trainer.traffic.material import TEST, TRAINING, VALIDATION, Material
from trainer.traffic.networks import cnn, cnn_rnn, lmmoe
from trainer.traffic.training import BATCH, EPOCHS, LABELLED, Outcome, Training

_SELF = TASKS[:CLASS]

_NETWORKS: dict[str, tuple[Callable[[int, Mapping[str, int]], keras.Model], Any]] = {
    "cnn": (cnn, convolved),
    "cnn_alone": (cnn, convolved),
    "transfer": (cnn, convolved),
    "cnn_rnn": (cnn_rnn, recurrent),
    "lmmoe": (lmmoe, recurrent),
}

_BODIES: dict[tuple[str, Training], list[NDArray[np.float32]]] = {}
"""What `transfer` learnt last before its head was replaced, which all label counts begin with."""


def carry_out(material: Material, training: Training) -> Outcome:
    """Trains and measures.

    Raises:
        LabelError: there are fewer labels than classes.
        UsageError: an approach learns other tasks than it can.
    """
    begin = time.perf_counter()
    labels = material.labels(training.division)
    tested = np.flatnonzero(material.part == (TEST if training.tested else VALIDATION))
    if training.approach == "forest":
        told, parameters = _forest(material, training, labels), 0
    else:
        told, parameters = _network(material, training, labels, tested)
    confusion = {}
    for task in training.tasks:
        column = TASKS.index(task)
        size = material.sizes(training.division)[column]
        truth = labels[tested, column]
        counts = np.zeros((size, size), np.int64)
        known = truth >= 0
        np.add.at(counts, (truth[known], told[task][known]), 1)
        confusion[task] = counts.tolist()
    return Outcome(confusion, time.perf_counter() - begin, parameters)


def _pool(material: Material, training: Training, task: str) -> NDArray[np.intp]:
    """Training flows from which a task learns."""
    if task == TASKS[CLASS]:
        return material.labelled(training.labels, training.seed)
    return np.flatnonzero((material.part == TRAINING) & material.whole)


def _forest(
    material: Material, training: Training, labels: NDArray[np.int32]
) -> dict[str, NDArray[np.int64]]:
    table = forest.statistics(first(material.rows, training.packets))
    tested = np.flatnonzero(material.part == (TEST if training.tested else VALIDATION))
    return {
        task: forest.predicted(
            table,
            labels[:, TASKS.index(task)],
            _pool(material, training, task),
            training.seed,
            int(training.candidate.setting),
        )[tested]
        for task in training.tasks
    }


def _network(
    material: Material, training: Training, labels: NDArray[np.int32], tested: NDArray[np.intp]
) -> tuple[dict[str, NDArray[np.int64]], int]:
    """What a network says of the tested flows by task, and its weights."""
    several = training.approach in ("cnn", "lmmoe")
    if several != (len(training.tasks) > 1):
        raise UsageError(
            f"{training.approach} learns {'several tasks' if several else 'one task'} at once"
        )
    of_head = dict(zip(TASKS, material.sizes(training.division), strict=True))
    heads = tuple((task, of_head[task]) for task in training.tasks)
    inputs: Inputs = _NETWORKS[training.approach][1](material.rows, training.packets)
    values = None
    if training.approach == "transfer":
        known = tuple((task, of_head[task]) for task in _SELF)
        before = replace(training, tasks=_SELF, labels=0)
        if (key := (material.identity, before)) not in _BODIES:
            learner = _taught(material, before, labels, inputs, known, None)
            _BODIES.clear()
            _BODIES[key] = learner.model.get_weights()
        values = _BODIES[key]
    learner = _taught(material, training, labels, inputs, heads, values)
    scores = learner.scores({name: column[tested] for name, column in inputs.items()})
    told = {task: scores[task].argmax(axis=1) for task in training.tasks}
    return told, int(learner.model.count_params())


def _taught(
    material: Material,
    training: Training,
    labels: NDArray[np.int32],
    inputs: Inputs,
    heads: tuple[tuple[str, int], ...],
    body: list[NDArray[np.float32]] | None,
) -> Learner:
    """A network that has learnt these heads, from weights of its body or from scratch."""
    tasks = tuple(task for task, _ in heads)
    learner = _learner(training.approach, training.packets, heads)
    keras.utils.set_random_seed(training.seed)
    network, _ = _NETWORKS[training.approach]
    values = network(training.packets, dict(heads)).get_weights()
    if body is not None:  # all but kernel and bias of each head, which stand last
        values = [*body[: -2 * len(_SELF)], *values[-2:]]
    own = tuple(task for task in tasks if task in _SELF)
    shares = []
    if own:
        shares.append(Share(own, _pool(material, training, own[0]), BATCH))
    if len(own) < len(tasks):
        rows = _pool(material, training, TASKS[CLASS])
        shares.append(Share(TASKS[CLASS:], rows, LABELLED))
    weights = dict.fromkeys(tasks, 1.0)
    if len(shares) > 1:
        # The paper's sum is over all flows, to which those with a label add their share.
        known = len(shares[1].rows) / len(shares[0].rows)
        weights[TASKS[CLASS]] = training.candidate.weight * known
    learner.begin(values, weights)
    steps = max(steps_of(len(share.rows), share.size, EPOCHS) for share in shares)
    columns = [TASKS.index(task) for task in tasks]
    rate = training.candidate.setting
    altering = partial(altered, behind=_NETWORKS[training.approach][1] is convolved)
    learner.teach(inputs, labels[:, columns], shares, steps, rate, training.seed, altering)
    return learner


@lru_cache(maxsize=32)
def _learner(approach: str, packets: int, heads: tuple[tuple[str, int], ...]) -> Learner:
    """A network of a shape: tracing it anew for every training would take as long as learning."""
    network, _ = _NETWORKS[approach]
    weights = dict.fromkeys((task for task, _ in heads), 1.0)
    return Learner(network(packets, dict(heads)), weights, compiled=network is lmmoe)
