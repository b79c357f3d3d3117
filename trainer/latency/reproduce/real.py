"""Series that nobody generated: hand-marked ones of RIPE Atlas that were held out, and flent's.

What answers has learnt from generated series on bases of the development half alone, and so have
the label models. A change point is found where the verdict on swells changes; a failed ping is
found where an outage is said.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import SeriesError
from trainer.executors import Workers, begin_network
from trainer.kept import identity, read_kept, write_kept
from trainer.latency.change_points import SHAO_TOLERANCE, Tally, changes, tally, total
from trainer.latency.figures import Counts
from trainer.latency.labelling import LIKELY, Labelling, functions, patterns_of
from trainer.latency.lesson import LESSON
from trainer.latency.marked import read_half
from trainer.latency.offline import Centred
from trainer.latency.reading import read_file
from trainer.latency.reproduce.material import Voted, generated
from trainer.latency.series import TASKS, LatencySeries
from trainer.weak.applying import apply
from trainer.weak.latency import columns

FORMAT = 2
"""Raised when what is measured changes."""

LEARNT, LENGTH, FIRST = 20, 15_000, 20_000
"""Generated series that are learnt from, measurements of each, and the seed of the first."""

SAMPLED = 1_000
"""Measurements of each training part that the network learns from."""

TOLERANCES = (SHAO_TOLERANCE, 10)
"""Measurements that a found change point may be away from the marked one."""

SHORTEST = 15
"""Answered measurements of a verdict on swells, at least: shorter ones are joined to what is
around them."""

REACH = 24
"""Answered measurements by which a change is moved at most, to where two levels fit best. A verdict
of labels that smooth comes some measurements late or early. This and `SHORTEST` were chosen on the
development half."""

LEAST = 500
"""Measurements of a series of flent that is looked at."""

MODELS = ("label model", "network")

Verdict = NDArray[np.bool_]


@dataclass(frozen=True)
class Real:
    """What was found.

    Attributes:
        series, measurements: that were held out.
        tallies: of change points, by model and then by tolerance.
        failed: outages against failed pings, by model.
        shares: by flent's file, of its measurements that each model calls noise, outage and swell.
    """

    series: int
    measurements: int
    tallies: Mapping[str, Mapping[int, Tally]]
    failed: Mapping[str, Counts]
    shares: Mapping[str, Mapping[str, Sequence[float]]]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Real":
        """From what `document` made."""
        tallies = {
            model: {int(tolerance): Tally(**each) for tolerance, each in found.items()}
            for model, found in document["tallies"].items()
        }
        failed = {model: Counts(**each) for model, each in document["failed"].items()}
        return cls(**{**document, "tallies": tallies, "failed": failed})


def known(work: Path) -> Real | None:
    """What is there."""
    key, path = _place(work)
    document = read_kept(path, key)
    return None if document is None else Real.of(document["real"])


def make(work: Path, atlas: Path, flent: Sequence[Path], workers: Workers) -> None:
    """Measures what has not been measured.

    Raises:
        MultaError: series can't be read, or the folder can't be written.
    """
    if known(work) is None:
        key, path = _place(work)
        write_kept(path, key, real=workers.submit(measured, atlas, flent).result().document())


def measured(atlas: Path, flent: Sequence[Path]) -> Real:
    """In a worker: learns from generated series and tells what it finds in others."""
    from trainer.latency.learning import Examples, alike, scores, teach  # noqa: PLC0415 -- slow to load

    begin_network(FIRST)
    voted = [Voted.of(generated(FIRST + i, LENGTH, atlas)) for i in range(LEARNT)]
    every = functions()
    votes = np.concatenate([each.votes[each.parts.training] for each in voted])
    labelling = Labelling.of(every, patterns_of(every, votes))
    rng = np.random.default_rng(FIRST)
    parts = []
    for part, count in (("training", SAMPLED), ("validation", SAMPLED // 3)):
        chosen = [
            np.sort(rng.choice(getattr(each.parts, part), count, replace=False)) for each in voted
        ]
        inputs = [
            Centred.of(each.series).take(places) for each, places in zip(voted, chosen, strict=True)
        ]
        labels = [
            labelling.of_votes(each.votes[places])
            for each, places in zip(voted, chosen, strict=True)
        ]
        parts.append(Examples(Centred.concatenate(inputs), np.concatenate(labels)))
    training, validation = parts
    network = teach(TASKS, LESSON, FIRST, training, validation, alike(training.labels)).model

    def verdicts(series: LatencySeries) -> dict[str, Verdict]:
        likely = labelling.of_votes(apply(every, columns(series)))
        return {
            MODELS[0]: likely >= LIKELY,
            MODELS[1]: scores(network, Centred.of(series)) >= LIKELY,
        }

    marked = read_half(atlas, "held_out")
    tallies: dict[str, dict[int, list[Tally]]] = {
        model: {tolerance: [] for tolerance in TOLERANCES} for model in MODELS
    }
    failed: dict[str, list[Counts]] = {model: [] for model in MODELS}
    for each in marked:
        for model, said in verdicts(each.series).items():
            failed[model].append(Counts.of(said[:, 1], (~each.series.answered).astype(np.int8)))
            found = change_points(said[:, 2], each.series)
            for tolerance, its in tallies[model].items():
                its.append(tally(each.change_points, found, tolerance))
    shares = {
        series.name: {model: said.mean(axis=0).tolist() for model, said in verdicts(series).items()}
        for series in _with_pings(flent)
    }
    return Real(
        len(marked),
        sum(len(each.series) for each in marked),
        {model: {t: total(its) for t, its in of.items()} for model, of in tallies.items()},
        {model: Counts.total(its) for model, its in failed.items()},
        shares,
    )


def change_points(swell: Verdict, series: LatencySeries) -> NDArray[np.intp]:
    """Places where the level changes, by a verdict on swells.

    Args:
        swell: ``(m,)`` verdicts on a series.
        series: what was not answered in it has no level.

    Returns:
        Ascending.
    """
    rows = np.flatnonzero(series.answered)
    state = swell[rows].copy()
    edges = np.concatenate([[0], changes(state), [len(state)]])
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if begin and end - begin < SHORTEST:
            state[begin:end] = state[begin - 1]
    rtt = series.rtt_ms[rows]
    moved = [_between_levels(rtt, place) for place in changes(state).tolist()]
    return rows[np.unique(np.array(moved, np.intp))]


def _between_levels(rtt: NDArray[np.float64], place: int) -> int:
    """The place within reach at which two levels fit best, by distances from their medians."""
    begin, end = max(0, place - 2 * REACH), min(len(rtt), place + 2 * REACH)
    costs = {
        at: _distances(rtt[begin:at]) + _distances(rtt[at:end])
        for at in range(max(begin + 1, place - REACH), min(end - 1, place + REACH) + 1)
    }
    return min(costs, key=costs.__getitem__, default=place)


def _distances(rtt: NDArray[np.float64]) -> float:
    return float(np.abs(rtt - np.median(rtt)).sum())


def _with_pings(paths: Sequence[Path]) -> Iterator[LatencySeries]:
    """Series that are long enough to tell; flent's tests without pings have none."""
    for path in paths:
        with contextlib.suppress(SeriesError):
            yield from (series for series in read_file(path) if len(series) >= LEAST)


def _place(work: Path) -> tuple[dict[str, Any], Path]:
    key, digest = identity(
        format=FORMAT,
        series=[LEARNT, LENGTH, FIRST, SAMPLED],
        lesson=asdict(LESSON),
        tolerances=TOLERANCES,
        changes=[SHORTEST, REACH],
    )
    return key, work / f"real-{digest[:12]}.json"
