"""The poster's comparison: series by the million, piece by piece, here or on a cluster.

A piece is one generated series. A worker generates it, lets the functions vote, and hands back
distinct patterns of votes with their counts, and a sample of windows; the votes of the whole table
are never in one place. The label models learn from the patterns of all training parts, the network
from sampled measurements, and both are asked about every measurement of the test parts.
"""

import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.executors import Workers, begin_network
from trainer.kept import identity, read_kept, write_kept
from trainer.latency.figures import Counts
from trainer.latency.labelling import LIKELY, Labelling, columns_of, functions
from trainer.latency.lesson import LESSON
from trainer.latency.offline import REACH, SCHEMA, Centred
from trainer.latency.reproduce.material import Voted, generated
from trainer.latency.series import TASKS
from trainer.reproduce.side_by_side import side_by_side
from trainer.weak.applying import Votes
from trainer.weak.patterns import Patterns

FORMAT = 2
"""Raised when what is measured changes."""

SIZES = {75_000: 15_000, 24_500_000: 250_000}
"""Measurements of the poster's two data sets, and of a piece of each."""

SAMPLED = 15_000
"""Measurements that the network learns from, at most, and a third as many to validate on."""

TOGETHER = 10
"""Series that are tested with one tracing of the network, which takes as long as some of them."""

FIRST = 10_000
"""Seed of the first piece."""

Counted = tuple[Votes, NDArray[np.int64]]
"""Patterns of votes, with a count or counts of each."""


@dataclass(frozen=True, eq=False)
class Piece:
    """What a worker found in one series.

    Attributes:
        training: by task, patterns of votes and their counts in the training part.
        test: by task, patterns, and how many of their rows in the test part are 0 and 1.
        inputs: of sampled measurements of training and validation parts.
        votes: ``(sampled, functions)`` on them, for each of both.
        seconds: that the functions took.
        peak_bytes: most memory that the worker ever held.
    """

    training: dict[str, Counted]
    test: dict[str, Counted]
    inputs: tuple[Centred, Centred]
    votes: tuple[Votes, Votes]
    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Poster:
    """What became of one size.

    Attributes:
        measurements: in all.
        pieces: series.
        workers: where it was done.
        seconds: by what was done, on the clock: ``votes`` (with generating), ``label models``,
            ``network`` and ``test`` (with generating again).
        voting: seconds of all workers together in labeling functions.
        sampled: measurements that the network learnt from.
        epochs: of it.
        peak_bytes: most memory of this process, and of its largest worker.
        label_model, network: by task, over all test parts.
        processor: seconds of the processor that votes, label models and network took together;
            None where that was not measured.
    """

    measurements: int
    pieces: int
    workers: str
    seconds: dict[str, float]
    voting: float
    sampled: int
    epochs: int
    peak_bytes: tuple[int, int]
    label_model: dict[str, Counts]
    network: dict[str, Counts]
    processor: float | None = None

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Poster":
        """From what `asdict` made."""
        counts = {
            name: {task: Counts(**each) for task, each in document[name].items()}
            for name in ("label_model", "network")
        }
        return cls(**{**document, **counts, "peak_bytes": tuple(document["peak_bytes"])})


def known(work: Path) -> list[Poster]:
    """Comparisons that are there, smallest first, here before on a cluster."""
    found = []
    for size in SIZES:
        for dask in (False, True):
            key, path = _place(work, size, dask=dask)
            if (document := read_kept(path, key)) is not None:
                found.append(Poster.of(document["poster"]))
    return found


def make(
    work: Path,
    sizes: Sequence[int],
    atlas: Path,
    workers: Workers,
    say: Callable[[str], object],
    *,
    dask: bool,
) -> None:
    """Makes comparisons that are not there.

    Raises:
        MultaError: the bases can't be read, a worker failed, or the folder can't be written.
    """
    for size in sizes:
        key, path = _place(work, size, dask=dask)
        if read_kept(path, key) is None:
            where = f"{'Dask' if dask else 'processes'}, {workers.count}"
            poster = compare(size, atlas, workers, where, say)
            write_kept(path, key, poster=asdict(poster))


def compare(
    measurements: int, atlas: Path, workers: Workers, where: str, say: Callable[[str], object]
) -> Poster:
    """Labels, learns and tests a size.

    Args:
        measurements: one of `SIZES`.
        atlas: folder of the hand-marked series, whose development half are the bases.
        workers: label and test.
        where: says what they are.
        say: is told what is done.

    Raises:
        MultaError: the bases can't be read, or a worker failed.
    """
    length = SIZES[measurements]
    numbers = range(measurements // length)
    each = -(-SAMPLED // len(numbers))
    seconds: dict[str, float] = {}

    def clocked(what: str, begin: float) -> None:
        seconds[what] = time.perf_counter() - begin
        say(f"{measurements:,} measurements: {what} in {seconds[what]:.0f} s")

    begin = time.perf_counter()
    pieces: list[Piece] = _every(
        numbers, lambda i: workers.submit(_voted, FIRST + i, length, atlas, each), workers.count
    )
    clocked("votes", begin)
    begin = time.perf_counter()
    labelling = Labelling.of(functions(), _merged(pieces))
    clocked("label models", begin)
    begin = time.perf_counter()
    inputs = [Centred.concatenate([piece.inputs[part] for piece in pieces]) for part in (0, 1)]
    labels = [
        labelling.of_votes(np.concatenate([piece.votes[part] for piece in pieces]))
        for part in (0, 1)
    ]
    weights, epochs, processor = workers.submit(_network, inputs, labels).result()
    clocked("network", begin)
    begin = time.perf_counter()
    tested = _every(
        range(0, len(numbers), TOGETHER),
        lambda i: workers.submit(
            _tested, [FIRST + n for n in numbers[i : i + TOGETHER]], length, atlas, weights
        ),
        workers.count,
    )
    clocked("test", begin)
    return Poster(
        measurements,
        len(numbers),
        where,
        seconds,
        sum(piece.seconds for piece in pieces),
        len(inputs[0]),
        epochs,
        (
            _peak_bytes(),
            max(*(piece.peak_bytes for piece in pieces), *(peak for _, peak in tested)),
        ),
        {task: _by_patterns(labelling, task, pieces) for task in TASKS},
        {task: Counts.total([found[task] for found, _ in tested]) for task in TASKS},
        sum(piece.seconds for piece in pieces) + sum(labelling.seconds.values()) + processor,
    )


def _every(numbers: Sequence[int], begin: Callable[[int], "Future[Any]"], count: int) -> list[Any]:
    """Outcomes in the order of the numbers."""
    found: dict[int, Any] = {}
    side_by_side(numbers, begin, found.__setitem__, count)
    return [found[number] for number in numbers]


def _voted(seed: int, length: int, atlas: Path, sampled: int) -> Piece:
    """In a worker: votes on a series, and a sample of it."""
    voted = Voted.of(generated(seed, length, atlas))
    parts = voted.parts
    training, test = {}, {}
    for task in TASKS:
        columns = columns_of(voted.functions, task)
        patterns = Patterns.of([voted.votes[parts.training]], columns)
        training[task] = patterns.votes, patterns.counts
        patterns = Patterns.of([voted.votes[parts.test]], columns)
        truth = patterns.truths(voted.series.known(task)[parts.test], 2)
        test[task] = patterns.votes, truth
    rng = np.random.default_rng([seed, 1])
    inputs = Centred.of(voted.series)
    chosen = [
        np.sort(rng.choice(part, min(count, len(part)), replace=False))
        for part, count in ((parts.training, sampled), (parts.validation, -(-sampled // 3)))
    ]
    return Piece(
        training,
        test,
        (inputs.take(chosen[0]), inputs.take(chosen[1])),
        (voted.votes[chosen[0]], voted.votes[chosen[1]]),
        voted.seconds,
        _peak_bytes(),
    )


def _merged(pieces: Sequence[Piece]) -> dict[str, Patterns]:
    """The patterns of all training parts, by task; of rows, nothing is kept."""
    found = {}
    for task in TASKS:
        votes = np.concatenate([piece.training[task][0] for piece in pieces])
        counts = np.concatenate([piece.training[task][1] for piece in pieces])
        patterns = Patterns.of([votes])
        total = np.bincount(patterns.number, counts, len(patterns)).astype(np.int64)
        found[task] = Patterns(patterns.votes, total, np.zeros(0, np.int32))
    return found


def _by_patterns(labelling: Labelling, task: str, pieces: Sequence[Piece]) -> Counts:
    """What the label model alone says of the test parts."""
    found = []
    for piece in pieces:
        votes, truth = piece.test[task]
        said = labelling.of_patterns(task, votes) >= LIKELY
        yes, no = truth[said].sum(axis=0), truth[~said].sum(axis=0)
        found.append(Counts(int(yes[1]), int(yes[0]), int(no[1]), int(no[0])))
    return Counts.total(found)


def _network(
    inputs: Sequence[Centred], labels: Sequence[NDArray[np.float32]]
) -> tuple[list[NDArray[np.float32]], int, float]:
    """In a worker: weights of a network that has learnt the sample, its epochs and its cost."""
    from trainer.latency.learning import Examples, alike, teach  # noqa: PLC0415 -- TensorFlow is slow

    begin_network(FIRST)
    training, validation = (
        Examples(rows, wanted) for rows, wanted in zip(inputs, labels, strict=True)
    )
    begin = time.process_time()
    learnt = teach(TASKS, LESSON, FIRST, training, validation, alike(training.labels))
    return learnt.model.get_weights(), len(learnt.losses), time.process_time() - begin


def _tested(
    seeds: Sequence[int], length: int, atlas: Path, weights: list[NDArray[np.float32]]
) -> tuple[dict[str, Counts], int]:
    """In a worker: what the network says of test parts of series, and the peak of memory."""
    from trainer.latency.learning import scores  # noqa: PLC0415 -- TensorFlow is slow
    from trainer.models.lmmoe import build  # noqa: PLC0415

    begin_network(FIRST)
    model = build(SCHEMA, TASKS, LESSON.experts, LESSON.units, LESSON.tower_units)
    model.set_weights(weights)
    test = length * 4 // 5
    before = min(REACH, test)
    inputs, truth = [], []
    for seed in seeds:
        series = generated(seed, length, atlas).take(slice(test - before, None))
        inputs.append(Centred.of(series).take(np.arange(before, len(series))))
        truth.append(np.stack([series.known(task)[before:] for task in TASKS], axis=1))
    said, true = scores(model, Centred.concatenate(inputs)) >= LIKELY, np.concatenate(truth)
    counts = {task: Counts.of(said[:, i], true[:, i]) for i, task in enumerate(TASKS)}
    return counts, _peak_bytes()


def _peak_bytes() -> int:
    """Most memory that this process ever held (Linux counts it in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(work: Path, measurements: int, *, dask: bool) -> tuple[dict[str, Any], Path]:
    key, digest = identity(
        format=FORMAT,
        measurements=measurements,
        length=SIZES[measurements],
        sampled=SAMPLED,
        lesson=asdict(LESSON),
        dask=dask,
    )
    return key, work / f"poster-{measurements}-{digest[:12]}.json"
