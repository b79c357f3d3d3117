"""Training time, all of it on one machine in one run, one thing after the other.

Seconds are those of the processor, of all threads together: they are the same on a busy machine.

(a) As the latency paper times it: its single-task side is Snorkel's applier and Snorkel's label
model for one task after the other; the multi-task side here is everything from measurements to a
network of three tasks. (b) One network of three tasks against three networks, with the same
sizes, epochs and stopping.
"""

import time
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

FORMAT = 3
"""Raised when what is timed changes."""

REPEATS = 2
"""Runs that are timed; tables have their medians."""


@dataclass(frozen=True)
class Timing:
    """Seconds of one run.

    Attributes:
        applier, label_model: Snorkel's, by task; empty where Snorkel is not there.
        votes: our functions, all tasks.
        our_label_models: all tasks.
        stopped: one network of three tasks, with early stopping as in Table 1.
        together: the same without early stopping, as all that follow.
        apart: a network a task, of the same size.
        single: a network a task, with one expert instead of two.
        causal_together, causal_apart: the same as the first two, on what the sensor sees.
    """

    applier: dict[str, float]
    label_model: dict[str, float]
    votes: float
    our_label_models: float
    stopped: float
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
        return self.labelled + self.stopped

    @property
    def labelled(self) -> float:
        """Votes and label models of ours, which are our single-task side by themselves."""
        return self.votes + self.our_label_models


CAUSAL = Lesson(epochs=5)
"""Of what the sensor sees fewer epochs are timed; the ratio does not depend on them."""


def known(work: Path) -> list[Timing]:
    """Timings that are there."""
    found = []
    for run in range(REPEATS):
        key, path = _place(work, run)
        if (document := read_kept(path, key)) is not None:
            found.append(Timing(**document["timing"]))
    return found


def make(work: Path, snorkel: Path | None) -> None:
    """Times what has not been timed, in processes of their own.

    Raises:
        MultaError: Snorkel or a process failed, or the folder can't be written.
    """
    for run in range(REPEATS):
        key, path = _place(work, run)
        if read_kept(path, key) is None:
            timing = in_own_process(timed, FIRST_RUN + run, snorkel)
            write_kept(path, key, timing=asdict(timing))


def timed(run: int, snorkel: Path | None) -> Timing:
    """Times one run."""
    from trainer.latency.learning import Examples, alike, teach  # noqa: PLC0415 -- TensorFlow is slow
    from trainer.latency.reproduce.approaches import ALONE, looking  # noqa: PLC0415

    series = generated(run, MEASUREMENTS)
    theirs: dict[str, list[float]] = {"applier": [], "label_model": []}
    if snorkel is not None:
        theirs = snorkel_side.single_task(snorkel, series.rtt_ms)
    begin = time.process_time()
    voted = Voted.of(series)
    voted_at = time.process_time()
    labels = voted.labelling().of_votes(voted.votes)
    labelled = time.process_time()

    def seconds(tasks: Sequence[str], lesson: Lesson, *, causal: bool) -> float:
        look = looking(voted, causal=causal)
        columns = [TASKS.index(task) for task in tasks]
        parts = (voted.parts.training, voted.parts.validation)
        training, validation = (
            Examples(look(places), labels[places]).of_tasks(columns) for places in parts
        )
        begin_network(run)
        at_first = time.process_time()
        teach(tasks, lesson, run, training, validation, alike(training.labels))
        return time.process_time() - at_first

    whole = _to_the_end(LESSON)
    small = _to_the_end(LESSON, experts=1)
    causal = _to_the_end(CAUSAL)
    seconds(TASKS[:1], Lesson(epochs=1), causal=False)  # what is loaded only once
    return Timing(
        dict(zip(TASKS, theirs["applier"], strict=False)),
        dict(zip(TASKS, theirs["label_model"], strict=False)),
        voted_at - begin,
        labelled - voted_at,
        seconds(TASKS, LESSON, causal=False),
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


def _place(work: Path, run: int) -> tuple[dict[str, Any], Path]:
    key, digest = identity(
        format=FORMAT,
        run=run,
        lesson=asdict(LESSON),
        causal=asdict(CAUSAL),
        measurements=MEASUREMENTS,
    )
    return key, work / f"timing-{run}-{digest[:12]}.json"
