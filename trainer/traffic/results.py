"""Results of trainings: each a file as soon as it is there, none made twice."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from trainer.executors import Workers
from trainer.kept import identity, read_kept, write_kept
from trainer.reproduce.side_by_side import side_by_side
from trainer.traffic.inputs import CLASS, TASKS
from trainer.traffic.material import Material
from trainer.traffic.schedule import Candidates, tuning
from trainer.traffic.training import Outcome, Training

FORMAT = 2
"""Raised when what a training measures changes."""

Say = Callable[[str], object]


class Results:
    """The results on some material, in a folder.

    Args:
        material: that is trained and tested on.
        work: folder of the results.
    """

    def __init__(self, material: Material, work: Path) -> None:
        self._material = material
        self._folder = work / material.name

    def known(self, trainings: Iterable[Training]) -> dict[Training, Outcome]:
        """What is there."""
        each = ((training, self._read(training)) for training in dict.fromkeys(trainings))
        return {training: read[0] for training, read in each if read is not None}

    def dates(self, trainings: Iterable[Training]) -> list[str]:
        """Days on which these were trained, sorted."""
        reads = [self._read(training) for training in dict.fromkeys(trainings)]
        return sorted({read[1] for read in reads if read is not None})

    def make(self, trainings: Sequence[Training], workers: Workers, say: Say) -> None:
        """Trains what is not there; whatever ends it, what was trained stays.

        Raises:
            OutputError: the folder can't be written.
            MultaError: a training failed.
        """
        waiting = [each for each in dict.fromkeys(trainings) if self._read(each) is None]

        def begin(training: Training) -> "Future[Outcome]":
            return workers.submit(_carry_out, self._material, training)

        def keep(training: Training, outcome: Outcome) -> None:
            key, path = self._place(training)
            date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
            write_kept(path, key, date=date, outcome=asdict(outcome))
            figures = ", ".join(f"{task} {outcome.accuracy(task):.3f}" for task in training.tasks)
            say(
                f"{self._material.name}: {training.approach}, {training.labels or 'all'} labels, "
                f"seed {training.seed}: {figures} ({outcome.seconds:.0f} s)"
            )

        side_by_side(waiting, begin, keep, workers.count)

    def candidates(self) -> Candidates:
        """The candidate of each approach that told most of the validation part right.

        The class counts, without classes bandwidth and duration; of equal ones the first. The
        middle one stands in where none has been measured.
        """
        chosen = {}
        for approach, trainings in tuning(self._material).items():
            known = self.known(trainings)
            best = max(known, key=lambda each: merit(known[each]), default=trainings[1])
            chosen[approach] = best.candidate
        return chosen

    def _read(self, training: Training) -> tuple[Outcome, str] | None:
        """A result and its day; one of other material, or a damaged one, is none."""
        key, path = self._place(training)
        if (document := read_kept(path, key)) is None:
            return None
        try:
            return Outcome(**document["outcome"]), str(document["date"])
        except (KeyError, TypeError):
            return None

    def _place(self, training: Training) -> tuple[dict[str, Any], Path]:
        key, digest = identity(
            format=FORMAT, material=self._material.identity, training=training.document()
        )
        name = f"{training.approach}-{training.labels}-{training.seed}-{digest[:12]}.json"
        return key, self._folder / name


def _carry_out(material: Material, training: Training) -> Outcome:
    """In a worker: TensorFlow takes seconds to load, and only workers need it."""
    from trainer.traffic.approaches import carry_out  # noqa: PLC0415

    return carry_out(material, training)


def merit(outcome: Outcome) -> float:
    """What candidates are compared by."""
    tasks = [task for task in outcome.confusion if task == TASKS[CLASS]] or [*outcome.confusion]
    return sum(map(outcome.accuracy, tasks))
