"""Results of courses: trained side by side, each a file as soon as it is there, none made twice."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from trainer.executors import Workers
from trainer.kept import identity, read_kept, write_kept
from trainer.reproduce.courses import SEEDS, SETTINGS, TASKS, Course
from trainer.reproduce.determinism import determined
from trainer.reproduce.material import Material
from trainer.reproduce.side_by_side import side_by_side
from trainer.reproduce.training import Followed, follow

FORMAT = 1
"""Raised when what a course measures changes."""

FOLDER = "courses"
"""Within the work folder; a file for each course and seed."""

_USED = (
    "experts",
    "units",
    "tower_units",
    "batch_size",
    "learning_rate",
    "settle_after",
    "task_weights",
    "unknown",
    "minisets",
    "weighting",
)
"""Settings that decide a result; epochs and paradigm are the course's."""

Say = Callable[[str], object]


@dataclass(frozen=True)
class Result:
    """A network's figures.

    Attributes:
        course: its name.
        seed: of the network.
        date: on which it was trained.
        followed: the figures.
    """

    course: str
    seed: int
    date: str
    followed: Followed


class Results:
    """The results of courses on some material, in a folder.

    Args:
        material: that is trained and tested on.
        work: folder of the results.
    """

    def __init__(self, material: Material, work: Path) -> None:
        self._material = material
        self._of_material = material.identity
        self._folder = work / FOLDER

    def known(self, courses: Iterable[Course]) -> list[Result]:
        """What is there, by course and seed."""
        each = [self._read(course, seed) for course in courses for seed in SEEDS]
        return [result for result in each if result is not None]

    def make(self, courses: Sequence[Course], workers: Workers, say: Say) -> None:
        """Trains what is not there.

        Whatever ends it, what was trained stays, so the same call goes on where it stopped.

        Raises:
            OutputError: the folder can't be written.
            MultaError: a training failed.
        """
        waiting: list[tuple[Course, int]] = []
        # Seed by seed, so that what is cut short has a figure in every column.
        for seed in SEEDS:
            for course in courses:
                if self._read(course, seed) is None:
                    waiting.append((course, seed))
                else:
                    say(f"{course.name}, seed {seed}: unchanged")

        def begin(each: tuple[Course, int]) -> "Future[Followed]":
            return workers.submit(follow, self._material, each[0], SETTINGS, each[1])

        def keep(each: tuple[Course, int], followed: Followed) -> None:
            course, seed = each
            self._write(course, seed, followed)
            say(f"{course.name}, seed {seed}: trained in {followed.seconds:.0f} s")

        side_by_side(waiting, begin, keep, workers.count)

    def _read(self, course: Course, seed: int) -> Result | None:
        """A result from its file; one of other material or settings, or a damaged one, is none."""
        key, path = self._place(course, seed)
        if (document := read_kept(path, key)) is None:
            return None
        try:
            entries = document["followed"]
            followed = Followed(
                {int(epoch): areas for epoch, areas in entries["areas"].items()},
                int(entries["parameters"]),
                tuple(entries["examples"]),
                float(entries["seconds"]),
            )
            return Result(course.name, seed, str(document["date"]), followed)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _write(self, course: Course, seed: int, followed: Followed) -> None:
        key, path = self._place(course, seed)
        date = f"{datetime.now(timezone.utc):%Y-%m-%d}"
        write_kept(path, key, course=course.name, date=date, followed=asdict(followed))

    def _place(self, course: Course, seed: int) -> tuple[dict[str, Any], Path]:
        """What decides the result, as JSON has it, and the file that is named by it."""
        # By name: a setting that is added elsewhere makes no other network here.
        settings = {name: getattr(SETTINGS, name) for name in _USED}
        key, digest = identity(
            format=FORMAT,
            material=self._of_material,
            tasks=TASKS,
            course=course.document(),
            settings=settings,
            seed=seed,
            **determined(),
        )
        return key, self._folder / f"{course.name}-{seed}-{digest[:12]}.json"
