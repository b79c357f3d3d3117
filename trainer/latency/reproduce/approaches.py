"""Carries an approach out on one run of the generator."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.latency import snorkel_side
from trainer.latency.labelling import LIKELY, Labels, columns_of
from trainer.latency.learning import Examples, Rows, alike, scores, teach
from trainer.latency.lesson import LESSON
from trainer.latency.offline import Centred
from trainer.latency.reproduce.material import Places, Voted, generated
from trainer.latency.reproduce.trial import MEASUREMENTS, Outcome, Trial
from trainer.latency.series import TASKS
from trainer.latency.windows import SCHEMA, Windows

Said = NDArray[np.bool_]
"""``(tested, tasks)``."""

TOGETHER = (TASKS,)
ALONE = tuple((task,) for task in TASKS)
"""Tasks of one network for all, and of a network for each."""


def carry_out(trial: Trial, atlas: Path | None, snorkel: Path | None) -> Outcome:
    """Trains and measures.

    Args:
        trial: what.
        atlas: folder of the hand-marked series, for trials on their bases.
        snorkel: Python of Snorkel's environment, for the approaches that need it.

    Raises:
        MultaError: the bases can't be read, or Snorkel failed.
    """
    base = atlas if trial.base == "atlas" else None
    voted = Voted.of(generated(trial.run, MEASUREMENTS, base))
    test, seconds = voted.parts.test, {"votes": voted.seconds}
    if trial.approach == "snorkel_label_model":
        assert snorkel is not None
        said, seconds["label model"] = _snorkel_label_model(voted, snorkel, trial.run)
        return Outcome(voted.counts(said, test), seconds)
    begin = time.perf_counter()
    labels = voted.labelling().of_votes(voted.votes)
    seconds["label model"] = time.perf_counter() - begin
    epochs: tuple[int, ...] = ()
    if trial.approach == "majority":
        most = np.nanmean(labels[voted.parts.training], axis=0) >= LIKELY
        said = np.tile(most, (len(test), 1))
    elif trial.approach == "label_model":
        said = labels[test] >= LIKELY
    elif trial.approach == "snorkel_multitask":
        assert snorkel is not None
        said, seconds["learning"] = _snorkel_multitask(voted, labels, snorkel, trial.run)
    else:
        said, seconds["learning"], epochs = _networks(voted, labels, trial)
    return Outcome(voted.counts(said, test), seconds, epochs)


def _networks(voted: Voted, labels: Labels, trial: Trial) -> tuple[Said, float, tuple[int, ...]]:
    """What networks say of the test part, their seconds and their epochs."""
    if trial.approach == "lmmoe_hard":
        labels = np.where(np.isnan(labels), np.nan, labels >= LIKELY).astype(np.float32)
    look = looking(voted, causal=trial.approach == "lmmoe_causal")
    training, validation = (
        Examples(look(places), labels[places])
        for places in (voted.parts.training, voted.parts.validation)
    )
    tested = look(voted.parts.test)
    said = np.empty((len(tested), len(TASKS)), np.bool_)
    seconds, epochs = 0.0, []
    for tasks in ALONE if trial.approach == "networks" else TOGETHER:
        places = [TASKS.index(task) for task in tasks]
        weights = alike(training.labels) if trial.approach == "lmmoe_alike" else None
        given = training.of_tasks(places), validation.of_tasks(places)
        network = teach(tasks, LESSON, trial.run, *given, weights)
        said[:, places] = scores(network.model, tested) >= LIKELY
        seconds += network.seconds
        epochs.append(len(network.losses))
    return said, seconds, tuple(epochs)


def looking(voted: Voted, *, causal: bool) -> Callable[[Places], Rows]:
    """Gives what a network sees of some measurements: the last 64, or both sides."""
    return Windows(SCHEMA, voted.series).encoded if causal else Centred.of(voted.series).take


def _snorkel_label_model(voted: Voted, snorkel: Path, seed: int) -> tuple[Said, float]:
    parts, said, seconds = voted.parts, [], 0.0
    for task in TASKS:
        votes = voted.votes[:, columns_of(voted.functions, task)]
        likely, each = snorkel_side.label_model(
            snorkel, votes[parts.training], votes[parts.test], seed
        )
        said.append(likely >= LIKELY)
        seconds += each
    return np.stack(said, axis=1), seconds


def _snorkel_multitask(
    voted: Voted, labels: Labels, snorkel: Path, seed: int
) -> tuple[Said, float]:
    """It sees what our networks see, all of it side by side, and our label model's labels."""
    parts, inputs = voted.parts, Centred.of(voted.series)
    hard = np.where(np.isnan(labels), -1, labels >= LIKELY).astype(np.int8)
    places = {"training": parts.training, "validation": parts.validation, "asked": parts.test}
    rows = {name: inputs.take(of).flat() for name, of in places.items()}
    known: dict[str, NDArray[np.int8]] = {
        name: hard[places[name]] for name in ("training", "validation")
    }
    return snorkel_side.multitask(snorkel, rows, known, LESSON, seed)
