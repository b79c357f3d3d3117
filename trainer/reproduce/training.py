"""Follows a course: trains a network as it says, and measures it on the way."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sensor.model.encoding import Encoded
from trainer.datasets.examples import Examples, LabelledRows, Patterns
from trainer.evaluation import flow_scores
from trainer.executors import begin_network, in_own_process
from trainer.metrics import roc_auc
from trainer.reproduce.courses import TASKS, Course
from trainer.reproduce.material import IN_SOURCE, LEFT_OUT, Material
from trainer.settings import Settings
from trainer.tasks import chosen

if TYPE_CHECKING:
    import keras

Areas = dict[str, list[float]]
"""ROC-AUC over the drawn flows of each tested part, in the order of `TASKS`."""


@dataclass(frozen=True)
class Followed:
    """What became of a network.

    Attributes:
        areas: after each measured epoch of the course.
        parameters: weights of the network.
        examples: distinct labelled patterns of each phase, when it began.
        seconds: that it took, measuring included.
    """

    areas: dict[int, Areas]
    parameters: int
    examples: tuple[int, ...]
    seconds: float


def follow(material: Material, course: Course, settings: Settings, seed: int) -> Followed:
    """Trains a network; runs in a worker.

    Within a phase it learns as `trainer.fit.fit` does, but every phase goes to its end and its
    last epoch counts: the paper's table has epochs, not best ones.

    Args:
        material: to train and to test on.
        course: the way.
        settings: all else; its epochs, patience and paradigm are not used.
        seed: of the network and of the order of examples.
    """
    if threading.current_thread() is not threading.main_thread():
        return in_own_process(follow, material, course, settings, seed)
    # TensorFlow takes seconds to load, and only workers need it.
    from trainer.export import keras_scores  # noqa: PLC0415
    from trainer.models.lmmoe import build  # noqa: PLC0415

    begin = time.perf_counter()
    begin_network(seed)
    tasks = chosen(TASKS)
    material = material.without(course.without)
    schema = material.dataset.schema
    model = build(schema, TASKS, settings.experts, settings.units, settings.tower_units)
    settings = replace(settings, paradigm=course.paradigm)
    patterns = Patterns.of(material.dataset)

    areas: dict[int, Areas] = {}
    sizes = []
    done = 0
    for number, phase in enumerate(course.phases):
        training = LabelledRows(
            patterns,
            material.labels(phase.layout, phase.known),
            material.dataset.flow,
            material.learnt(course, number),
            tasks,
        )
        examples = training.examples()
        sizes.append(len(examples))
        for _ in learn(model, training, examples, settings, seed, phase.epochs):
            done += 1
            if done in course.measured:
                scores = keras_scores(model, patterns.encoded, TASKS)
                areas[done] = measured(material, patterns, scores)
    seconds = time.perf_counter() - begin
    return Followed(areas, int(model.count_params()), tuple(sizes), seconds)


def learn(
    model: "keras.Model",
    training: LabelledRows,
    examples: Examples,
    settings: Settings,
    seed: int,
    epochs: int,
) -> Iterator[None]:
    """Trains a network for some epochs, each of them when the next item is asked for.

    Args:
        model: of the tasks of the rows.
        training: the rows.
        examples: that are made of them.
        settings: all else but the epochs.
        seed: of the order of the examples.
        epochs: over which the learning rate falls.
    """
    from trainer.export import keras_scores  # noqa: PLC0415
    from trainer.fit import paradigm_of  # noqa: PLC0415

    names = [task.name for task in training.tasks]

    def score(encoded: Encoded) -> NDArray[np.float32]:
        return keras_scores(model, encoded, names)

    paradigm = paradigm_of(model, names, settings, seed, examples, epochs)
    for epoch in range(epochs):
        if epoch >= settings.settle_after:
            examples = training.settled_examples(score)
        paradigm.epoch(examples)
        yield


def measured(
    material: Material,
    patterns: Patterns,
    scores: NDArray[np.floating],
    names: Sequence[str] = TASKS,
) -> Areas:
    """Areas of tasks in all tested parts.

    Args:
        material: the rows.
        patterns: of these rows.
        scores: ``(patterns, tasks)``.
        names: of the tasks.
    """
    areas: Areas = {}
    truth = material.truth[:, [TASKS.index(name) for name in names]]
    for part in (IN_SOURCE, LEFT_OUT):
        rows = material.parts[part]
        tested = material.dataset.take(rows)
        number = patterns.number[rows]
        flows = (
            flow_scores(tested, number, task, truth[rows, column], scores[number, column])
            for column, task in enumerate(chosen(names))
        )
        areas[part] = [roc_auc(each.labels, each.scores) for each in flows]
    return areas
