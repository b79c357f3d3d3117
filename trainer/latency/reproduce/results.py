"""Outcomes of trials: each a file as soon as it is there, none made twice."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from trainer.executors import Workers
from trainer.kept import identity, read_kept, write_kept
from trainer.latency.reproduce.trial import OF_SNORKEL, Outcome, Trial
from trainer.latency.series import TASKS
from trainer.reproduce.side_by_side import side_by_side

FORMAT = 2
"""Raised when what a trial measures changes."""

Say = Callable[[str], object]


class Results:
    """Outcomes in a folder.

    Args:
        work: folder of all results.
        atlas: folder of the hand-marked series, for trials on their bases.
        snorkel: Python of Snorkel's environment; without it, Snorkel's approaches are left out.
    """

    def __init__(self, work: Path, atlas: Path | None, snorkel: Path | None) -> None:
        self._folder, self._atlas, self._snorkel = work / "table1", atlas, snorkel

    def known(self, trials: Iterable[Trial]) -> dict[Trial, Outcome]:
        """What is there."""
        each = ((trial, self._read(trial)) for trial in trials)
        return {trial: read[0] for trial, read in each if read is not None}

    def dates(self, trials: Iterable[Trial]) -> list[str]:
        """Days on which these were made, sorted."""
        reads = [self._read(trial) for trial in trials]
        return sorted({read[1] for read in reads if read is not None})

    def make(self, trials: Sequence[Trial], workers: Workers, say: Say) -> None:
        """Carries out what is not there; whatever ends it, what was done stays.

        Raises:
            OutputError: the folder can't be written.
            MultaError: a trial failed.
        """
        waiting = [trial for trial in trials if self._read(trial) is None]
        if self._snorkel is None:
            without = [trial for trial in waiting if trial.approach not in OF_SNORKEL]
            if len(without) < len(waiting):
                say("Snorkel's approaches are left out; name its environment with --snorkel")
            waiting = without

        def begin(trial: Trial) -> "Future[Outcome]":
            return workers.submit(_carry_out, trial, self._atlas, self._snorkel)

        def keep(trial: Trial, outcome: Outcome) -> None:
            key, path = self._place(trial)
            date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
            write_kept(path, key, date=date, outcome=outcome.document())
            figures = ", ".join(f"{task} F1 {outcome.counts[task].f1:.3f}" for task in TASKS)
            seconds = sum(outcome.seconds.values())
            say(f"{trial.base}, run {trial.run}, {trial.approach}: {figures} ({seconds:.0f} s)")

        side_by_side(waiting, begin, keep, workers.count)

    def _read(self, trial: Trial) -> tuple[Outcome, str] | None:
        """An outcome and its day; one of another version, or a damaged one, is none."""
        key, path = self._place(trial)
        if (document := read_kept(path, key)) is None:
            return None
        try:
            return Outcome.of(document["outcome"]), str(document["date"])
        except (KeyError, TypeError):
            return None

    def _place(self, trial: Trial) -> tuple[dict[str, Any], Path]:
        key, digest = identity(format=FORMAT, trial=trial.document())
        return key, self._folder / f"{trial.approach}-{trial.run}-{digest[:12]}.json"


def _carry_out(trial: Trial, atlas: Path | None, snorkel: Path | None) -> Outcome:
    """In a worker: TensorFlow takes seconds to load, and only workers need it."""
    from trainer.executors import begin_network  # noqa: PLC0415
    from trainer.latency.reproduce.approaches import carry_out  # noqa: PLC0415

    begin_network(trial.run)
    return carry_out(trial, atlas, snorkel)
