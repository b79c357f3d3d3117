"""Training time, all of it on one machine in one run, one thing after the other.

(a) As the latency paper times it: its single-task side is Snorkel's applier and Snorkel's label
model for one task after the other; the multi-task side here is everything from measurements to a
network of three tasks. (b) One network of three tasks against three networks, with the same
sizes, epochs and stopping.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.executors import begin_network, in_own_process
from trainer.kept import identity, read_kept, write_kept
from trainer.latency import snorkel_side
from trainer.latency.lesson import LESSON, Lesson
from trainer.latency.reproduce.material import Voted, generated
from trainer.latency.reproduce.trial import FIRST_RUN, MEASUREMENTS
from trainer.latency.series import TASKS

FORMAT = 1
"""Raised when what is timed changes."""

REPEATS = 2
"""Runs that are timed; tables have their medians."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one run.

    Attributes:
        applier, label_model: Snorkel's, by task; empty where Snorkel is not there.
        votes: our functions, all tasks.
        our_label_models: by task.
        together: one network of three tasks; without early stopping, as all of these.
        apart: a network a task, of the same size.
        single: a network a task, with one expert instead of two.
        causal_together, causal_apart: the same as the first two, on what the sensor sees.
    """

    applier: dict[str, float]
    label_model: dict[str, float]
    votes: float
    our_label_models: dict[str, float]
    together: float
    apart: dict[str, float]
    single: dict[str, float]
    causal_together: float
    causal_apart: dict[str, float]

    @property
    def paper(self) -> float:
        """Single-task side as the latency paper times it; NaN without Snorkel."""
        both = (*self.applier.values(), *self.label_model.values())
        return sum(both) if both else float("nan")

    @property
    def ours(self) -> float:
        """Multi-task side: votes, label models and the network."""
        return self.labelled + self.together

    @property
    def labelled(self) -> float:
        """Votes and label models of ours, which are our single-task side by themselves."""
        return self.votes + sum(self.our_label_models.values())


CAUSAL = Lesson(epochs=5)
"""Of what the sensor sees fewer epochs are timed; the ratio does not depend on them."""


def known(work: Path) -> list[Timing]:
    """Timings that are there."""
    key, path = _place(work)
    document = read_kept(path, key)
    return [] if document is None else [Timing(**each) for each in document["timings"]]


def make(work: Path, snorkel: Path | None) -> None:
    """Times what has not been timed, in processes of their own.

    Raises:
        MultaError: Snorkel or a process failed, or the folder can't be written.
    """
    key, path = _place(work)
    if known(work):
        return
    timings = [in_own_process(timed, FIRST_RUN + run, snorkel) for run in range(REPEATS)]
    write_kept(path, key, timings=[asdict(timing) for timing in timings])


def timed(run: int, snorkel: Path | None) -> Timing:
    """Times one run."""
    from trainer.latency.learning import Examples, teach  # noqa: PLC0415 -- TensorFlow is slow
    from trainer.latency.reproduce.approaches import ALONE, looking  # noqa: PLC0415

    series = generated(run, MEASUREMENTS)
    theirs: dict[str, list[float]] = {"applier": [], "label_model": []}
    if snorkel is not None:
        theirs = snorkel_side.single_task(snorkel, series.rtt_ms)
    voted = Voted.of(series)
    labelling = voted.labelling()
    labels = labelling.of_votes(voted.votes)

    def seconds(tasks: Sequence[str], lesson: Lesson, *, causal: bool) -> float:
        look = looking(voted, causal=causal)
        columns = [TASKS.index(task) for task in tasks]
        parts = (voted.parts.training, voted.parts.validation)
        training, validation = (
            Examples(look(places), labels[places]).of_tasks(columns) for places in parts
        )
        begin_network(run)
        return teach(tasks, lesson, run, training, validation).seconds

    whole = _to_the_end(LESSON)
    small = _to_the_end(LESSON, experts=1)
    causal = _to_the_end(CAUSAL)
    seconds(TASKS[:1], _to_the_end(Lesson(epochs=1)), causal=False)  # what is loaded only once
    return Timing(
        dict(zip(TASKS, theirs["applier"], strict=False)),
        dict(zip(TASKS, theirs["label_model"], strict=False)),
        voted.seconds,
        labelling.seconds,
        seconds(TASKS, whole, causal=False),
        {tasks[0]: seconds(tasks, whole, causal=False) for tasks in ALONE},
        {tasks[0]: seconds(tasks, small, causal=False) for tasks in ALONE},
        seconds(TASKS, causal, causal=True),
        {tasks[0]: seconds(tasks, causal, causal=True) for tasks in ALONE},
    )


def middle(values: Sequence[float]) -> float:
    """Median; NaN of none."""
    return float(np.median(values)) if values else float("nan")


def _to_the_end(lesson: Lesson, experts: int = LESSON.experts) -> Lesson:
    """The lesson without early stopping, so that all have the same epochs."""
    return replace(lesson, experts=experts, patience=lesson.epochs)


def _place(work: Path) -> tuple[dict[str, Any], Path]:
    key, digest = identity(
        format=FORMAT, lesson=asdict(LESSON), causal=asdict(CAUSAL), measurements=MEASUREMENTS
    )
    return key, work / f"timing-{digest[:12]}.json"
