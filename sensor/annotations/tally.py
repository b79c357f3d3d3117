"""How often a categorical task said what, and what was true, where the flow's end tells that.

Counted are flows that have ended, each once with what was said of it last: in all, and by hour of
packet time. Memory does not depend on what comes, and a replay counts as a live run does.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.annotations.predictions import ABSTAINED, NOT_COUNTED
from sensor.model.schema import AnnotationSpec
from sensor.model.score_counts import HOUR_NS

HOURS = 24
"""Hours that are kept."""

UNKNOWN = 255
"""Stands for the true class where the flow's end does not tell it."""

Confusion = NDArray[np.int64]
"""``(classes + 1, truths + 1)`` flows: what was said, last that it abstained, by what was true,
last that this is not known. Of a task that is not measured there are no truths but the unknown."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a confusion matrix comes to.

    Attributes:
        flows: that were looked at; in ``told`` a class was named, in ``abstained`` none.
        judged: flows with a class named and the true one known …
        right: … and the same.
        commonest: those of them that are of the true class that most of them are of: as many would
            be right if that were always said.
    """

    flows: int
    told: int
    abstained: int
    judged: int
    right: int
    commonest: int

    @classmethod
    def of(cls, confusion: Confusion) -> "Verdict":
        """The verdict of a matrix."""
        judged = confusion[:-1, :-1]
        flows, told = int(confusion.sum()), int(confusion[:-1].sum())
        return cls(
            flows=flows,
            told=told,
            abstained=flows - told,
            judged=int(judged.sum()),
            right=int(np.trace(judged)),
            commonest=int(judged.sum(axis=0).max(initial=0)),
        )

    @property
    def accuracy(self) -> float | None:
        """Share of the judged flows that were told right; None without any."""
        return self.right / self.judged if self.judged else None

    @property
    def majority(self) -> float | None:
        """Share of the judged flows that are of the commonest class; None without any."""
        return self.commonest / self.judged if self.judged else None


@dataclass(frozen=True, slots=True)
class Lately:
    """The last hours of packet time, as many as it takes for enough flows.

    Attributes:
        start_ns: begin of the first of them since 1970.
        confusion: of all of them.
    """

    start_ns: int
    confusion: Confusion


class Tally:
    """Counts the flows of one categorical task.

    One thread adds; another may read meanwhile.

    Attributes:
        confusion: of all flows so far.
    """

    def __init__(self, annotation: AnnotationSpec) -> None:
        """Starts without flows."""
        classes = len(annotation.classes)
        self.confusion: Confusion = np.zeros(
            (classes + 1, 1 + (classes if annotation.measured else 0)), np.int64
        )
        self._hours: deque[tuple[int, Confusion]] = deque(maxlen=HOURS)

    def add(
        self,
        ended_ns: NDArray[np.int64],
        told: NDArray[np.uint8],
        true: NDArray[np.uint8],
    ) -> None:
        """Counts the next flows that have ended.

        Args:
            ended_ns: ``(f,)`` when, ascending.
            told: ``(f,)`` class, `ABSTAINED` or `NOT_COUNTED`.
            true: ``(f,)`` class or `UNKNOWN`.
        """
        counted = told != NOT_COUNTED
        if not counted.any():
            return
        said, truths = self.confusion.shape
        hours = ended_ns[counted] // HOUR_NS
        row = np.where(told == ABSTAINED, said - 1, told)[counted]
        column = np.where(true == UNKNOWN, truths - 1, true)[counted]
        place = row.astype(np.intp) * truths + column
        for hour in dict.fromkeys(hours.tolist()):
            found = np.bincount(place[hours == hour], minlength=said * truths)
            found = found.reshape(self.confusion.shape)
            if not self._hours or self._hours[-1][0] != hour * HOUR_NS:
                self._hours.append((hour * HOUR_NS, np.zeros_like(self.confusion)))
            running = self._hours[-1][1]
            running += found
            self.confusion += found

    def lately(self, enough: Callable[[Confusion], bool]) -> Lately | None:
        """The fewest last hours that hold enough; None if all that are kept do not.

        Hours that lie more than `HOURS` before the latest one, or after it (the clock was set
        back), are not among them.
        """
        # Copied at once: another thread may be counting.
        hours = list(self._hours)
        if not hours:
            return None
        latest = hours[-1][0]
        total = np.zeros_like(self.confusion)
        for start_ns, confusion in reversed(hours):
            if not latest - HOURS * HOUR_NS < start_ns <= latest:
                return None
            total = total + confusion
            if enough(total):
                return Lately(start_ns, total)
        return None
