"""Answers the questions of a search by training, side by side, and never one candidate twice.

Every result is a file in the work folder as soon as it is there, so a tuning that was interrupted
goes on where it stopped. Workers that would be idle train what the search says it may ask next:
first what comes in any case, then what may turn out not to be needed.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from trainer.executors import Workers
from trainer.kept import identity, make_folder, read_kept, write_kept
from trainer.settings import Settings
from trainer.tuning.algorithm1 import Accuracies, Candidate, Question
from trainer.tuning.candidates import Material, Trained, train_candidate

FORMAT = 1

FOLDER = "candidates"
"""Within the work folder; a file a candidate."""

_OF_CANDIDATE = ("experts", "units", "groups", "feeds")
"""Settings that the candidate decides."""

_FIRST = (
    "tower_units",
    "epochs",
    "patience",
    "batch_size",
    "learning_rate",
    "settle_after",
    "task_weights",
    "paradigm",
    "unknown",
    "minisets",
    "weighting",
)
"""Settings that every result names."""

Told = Callable[[Candidate, Trained], object]
"""Told of every result once, a cached one too."""


class Trainings:
    """The results of candidates, old and new; a context that ends what was begun.

    Args:
        material: to train and to test on.
        settings: of every fit but its size.
        seed: of every network.
        work: folder of the results.
        workers: train.
        seconds: time budget, from now; when it is over, no training begins.
        told: of results.
        clock: seconds.

    Attributes:
        results: what is known so far, of the candidates that were asked about or trained.
        fresh: candidates that were trained here, and not found in the work folder.

    Raises:
        OutputError: the folder can't be written.
    """

    def __init__(
        self,
        material: Material,
        settings: Settings,
        seed: int,
        work: Path,
        workers: Workers,
        seconds: float = math.inf,
        told: Told = lambda _, __: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._material = material
        self._settings = settings
        self._seed = seed
        self._folder = work / FOLDER
        self._workers = workers
        self._told = told
        self._clock = clock
        self._end = clock() + seconds
        self._of_material = material.identity
        self._running: dict[Candidate, Future[Trained]] = {}
        self.results: dict[Candidate, Trained] = {}
        self.fresh: set[Candidate] = set()
        make_folder(self._folder)

    def __enter__(self) -> "Trainings":  # noqa: PYI034 -- typing has Self from 3.11 on
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keeps what is still being trained, unless something went wrong."""
        self._running = {
            candidate: future for candidate, future in self._running.items() if not future.cancel()
        }
        while kind is None and self._running:
            self._gather()

    def __call__(self, question: Question) -> Accuracies | None:
        """Areas under the curve of the candidate's tasks; None when the time budget is over."""
        wanted = question.candidate
        if self._known(wanted):  # so nobody waits, and nothing needs to be known in advance
            return self.results[wanted].aucs
        if wanted not in self._running:
            if self._is_over():
                return None
            self._begin(wanted)
        for candidate in question.perhaps:
            if self._is_busy() or self._is_over():
                break
            if not (self._known(candidate) or candidate in self._running):
                self._begin(candidate)
        while wanted in self._running:
            self._gather()
        return self.results[wanted].aucs

    def known(self, candidate: Candidate) -> Trained | None:
        """The result of a candidate that has one, be it from the folder."""
        return self.results[candidate] if self._known(candidate) else None

    def train_all(self, candidates: Sequence[Candidate]) -> None:
        """Trains candidates that don't depend on each other, whatever the time budget."""
        waiting = [each for each in dict.fromkeys(candidates) if not self._known(each)]
        waiting = [each for each in waiting if each not in self._running]
        for candidate in waiting:
            while self._is_busy():
                self._gather()
            self._begin(candidate)
        while self._running:
            self._gather()

    def _is_over(self) -> bool:
        return self._clock() >= self._end

    def _is_busy(self) -> bool:
        return len(self._running) >= self._workers.count

    def _begin(self, candidate: Candidate) -> None:
        self._running[candidate] = self._workers.submit(
            train_candidate, self._material, candidate, self._settings, self._seed
        )

    def _gather(self) -> None:
        """Waits for a training and keeps its result."""
        wait(self._running.values(), return_when=FIRST_COMPLETED)
        for candidate in [each for each, future in self._running.items() if future.done()]:
            trained = self._running.pop(candidate).result()
            key, path = self._place(candidate)
            write_kept(path, key, trained=asdict(trained))
            self.fresh.add(candidate)
            self._keep(candidate, trained)

    def _keep(self, candidate: Candidate, trained: Trained) -> None:
        self.results[candidate] = trained
        self._told(candidate, trained)

    def _known(self, candidate: Candidate) -> bool:
        """Whether the result is known, be it from the folder; a damaged file is none."""
        if candidate in self.results:
            return True
        key, path = self._place(candidate)
        if (document := read_kept(path, key)) is None:
            return False
        try:
            entries = document["trained"]
            trained = Trained(**{**entries, "aucs": tuple(map(float, entries["aucs"]))})
        except (ValueError, KeyError, TypeError):
            return False
        self._keep(candidate, trained)
        return True

    def _place(self, candidate: Candidate) -> tuple[dict[str, Any], Path]:
        """What decides the result, as JSON has it, and the file that is named by it."""
        default = Settings()
        # A setting that came later counts where it is used, so what was kept before stays valid.
        settings = {
            name: value
            for name, value in asdict(self._settings).items()
            if name in _FIRST or (name not in _OF_CANDIDATE and value != getattr(default, name))
        }
        key, digest = identity(
            format=FORMAT,
            material=self._of_material,
            tasks=candidate.tasks,
            units=candidate.units,
            experts=candidate.experts,
            settings=settings,
            seed=self._seed,
        )
        return key, self._folder / f"{digest[:24]}.json"
