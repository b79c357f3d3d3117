"""Series that are trained and tested on, and the votes on them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.latency.bases import cleaned
from trainer.latency.figures import Counts
from trainer.latency.generator import generate
from trainer.latency.labelling import Labelling, functions, patterns_of
from trainer.latency.marked import read_half
from trainer.latency.parts import spans
from trainer.latency.series import TASKS, LatencySeries
from trainer.weak.applying import Votes, apply
from trainer.weak.functions import LabelingFunction
from trainer.weak.latency import columns

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Parts:
    """Places of measurements: 60 % training, 20 % validation, 20 % test, in order of time.

    As the latency paper divides them (section 3.1).
    """

    training: Places
    validation: Places
    test: Places

    @classmethod
    def of(cls, length: int) -> "Parts":
        """Of a series."""
        places = np.arange(length)
        return cls(*(places[span] for span in spans(length).values()))


@dataclass(frozen=True, eq=False)
class Voted:
    """A series with the votes on it.

    Attributes:
        series: whose truth is known.
        parts: of its measurements.
        functions: that voted.
        votes: ``(m, functions)``.
        seconds: that voting took.
    """

    series: LatencySeries
    parts: Parts
    functions: tuple[LabelingFunction, ...]
    votes: Votes
    seconds: float

    @classmethod
    def of(cls, series: LatencySeries) -> "Voted":
        """Lets all functions vote."""
        every = functions()
        begin = time.perf_counter()
        votes = apply(every, columns(series))
        seconds = time.perf_counter() - begin
        return cls(series, Parts.of(len(series)), every, votes, seconds)

    def labelling(self) -> Labelling:
        """Label models, learnt from the votes on the training part."""
        votes = self.votes[self.parts.training]
        return Labelling.of(self.functions, patterns_of(self.functions, votes))

    def counts(self, said: NDArray[np.bool_], places: Places) -> dict[str, Counts]:
        """What was said of some measurements ``(places, tasks)`` beside the truth, by task."""
        return {
            task: Counts.of(said[:, column], self.series.known(task)[places])
            for column, task in enumerate(TASKS)
        }


def generated(seed: int, length: int, atlas: Path | None = None) -> LatencySeries:
    """A series of the generator.

    Args:
        seed: decides everything that is drawn.
        length: measurements.
        atlas: folder of the hand-marked series, of whose development half one is the base, in
            turn by seed; without it, the base is generated.

    Raises:
        MultaError: the hand-marked series can't be read.
    """
    bases: Sequence[LatencySeries] = ()
    if atlas is not None:
        every = _bases(atlas)
        bases = (every[seed % len(every)],)
    return next(generate(length, length, seed, bases))


@lru_cache(maxsize=1)
def _bases(atlas: Path) -> list[LatencySeries]:
    return [cleaned(marked.series) for marked in read_half(atlas, "development")]
