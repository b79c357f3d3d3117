"""From labeling functions to a bundle: what is learnt from, thresholds, and export.

Learnt from are generated series, labelled by the label model, and series of paths on which nothing
is to be alerted: *quiet* ones, such as `multa-sensor latency` prints of a day at home. Whatever
their measurements look like, they are examples of no. Every second quiet series is kept out of
training: no alert may open in those, and that is where thresholds come from. Truth of generated
series is looked at in the end only, for the model card.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import UsageError
from sensor.flows.sequences import SequenceBatch
from sensor.model.bundle import Bundle
from sensor.model.schema import TaskSpec
from trainer.bundling import commit, histograms
from trainer.export import convert, converted_scores, export
from trainer.latency.deployed_card import card
from trainer.latency.figures import Counts
from trainer.latency.generator import generate
from trainer.latency.labelling import LIKELY, Labelling, Labels, functions, patterns_of
from trainer.latency.learning import Examples, teach
from trainer.latency.lesson import Lesson
from trainer.latency.series import TASKS, LatencySeries
from trainer.latency.tasks import SPECS
from trainer.latency.windows import SCHEMA, Windows
from trainer.runs import versions
from trainer.thresholds import choose_threshold
from trainer.weak.applying import apply
from trainer.weak.latency import columns

LESSON = Lesson(epochs=15, patience=5, batch=512)

SEED = 30_000
LEARNT, HELD_OUT, TESTED = 30, 8, 8
"""Generated series to learn from, to choose thresholds by and to test on."""
LENGTH = 5_000
"""Measurements of each."""

SAMPLED, QUIET = 800, 20_000
"""Windows of each generated series that are learnt from, and of all quiet series together."""

GOLDEN = 3_000
"""Rows on which parity is measured and among which golden vectors are chosen."""

_NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Scored:
    """Windows of one series with the network's scores.

    Attributes:
        series: whose measurements they end with, all of them.
        raw: ``(m, tasks)`` scores.
    """

    series: LatencySeries
    raw: NDArray[np.float32]


def train(quiet: Sequence[LatencySeries], out: Path, version: str) -> Bundle:
    """Learns, chooses thresholds, tests and exports.

    Args:
        quiet: series on which nothing is to be alerted; every second one is kept out of training.
        out: folder of the bundle, which gets its name.
        version: of the model.

    Raises:
        UsageError: there are fewer than two quiet series.
        MultaError: the bundle can't be made, proven or written.
    """
    if len(quiet) < 2:
        raise UsageError(
            f"{len(quiet)} quiet series; name files with at least two, as `multa-sensor latency` "
            "prints them"
        )
    learnt, held_out, tested = (
        list(generate(count * LENGTH, LENGTH, SEED + place))
        for place, count in enumerate((LEARNT, HELD_OUT, TESTED))
    )
    every = functions()
    votes = [apply(every, columns(series)) for series in learnt]
    labelling = Labelling.of(every, patterns_of(every, np.concatenate(votes)))
    labels = [labelling.of_votes(each) for each in votes]
    rng = np.random.default_rng(SEED)
    training = _examples(learnt[:-6], labels[:-6], quiet[::2], rng)
    validation = _examples(learnt[-6:], labels[-6:], quiet[::2], rng)
    network = teach(TASKS, LESSON, SEED, training, validation)
    tflite = convert(network.model, SCHEMA)

    def scored(every: Sequence[LatencySeries]) -> list[Scored]:
        return [
            Scored(each, converted_scores(tflite, _windows(each), list(TASKS))) for each in every
        ]

    calm = scored(quiet[1::2])
    specs = chosen(calm, scored(held_out), labelling)
    found = scored(tested)
    counts = _counts(found, specs)
    opened = {
        spec.name: sum(_opens(each, i, spec) for each in calm) for i, spec in enumerate(specs)
    }
    rows, truth = _golden(quiet[1::2], tested, rng)
    raw = np.concatenate([each.raw for each in found])
    marks = np.concatenate([_truth(each.series) for each in found])
    return export(
        network.model,
        SCHEMA,
        specs,
        rows,
        _provenance(quiet, len(network.losses)),
        {"generated": {task: asdict(each) for task, each in counts.items()}},
        histograms(specs, raw, marks),
        card(out.name, version, LESSON, specs, counts, opened, quiet),
        out,
        version=version,
        labels=truth.astype(np.float32),
        tflite=tflite,
    )


def chosen(
    calm: Sequence[Scored], likely: Sequence[Scored], labelling: Labelling
) -> tuple[TaskSpec, ...]:
    """The tasks with thresholds at which no quiet series opens an incident.

    Args:
        calm: quiet series that nothing was learnt from.
        likely: generated ones; of them, what the label model finds likely counts as to be found.
        labelling: whose word that is.
    """
    specs = []
    labels = [
        labelling.of_votes(apply(labelling.functions, columns(each.series))) for each in likely
    ]
    for place, spec in enumerate(SPECS):
        benign = np.concatenate([openings(each.series, each.raw[:, place], spec) for each in calm])
        wanted = np.concatenate(
            [
                openings(each.series, each.raw[:, place], spec)[said[:, place] >= LIKELY]
                for each, said in zip(likely, labels, strict=True)
            ]
        )
        specs.append(replace(spec, threshold=choose_threshold(benign, wanted, 0)))
    return tuple(specs)


def openings(
    series: LatencySeries, raw: NDArray[np.float32], spec: TaskSpec
) -> NDArray[np.float32]:
    """``(m,)`` the highest threshold at which an incident would be open with each measurement.

    That is the k-th highest of the scores within the rule's seconds up to it; 0 where there are
    fewer.
    """
    rule, k = spec.incident, spec.incident.open_rows
    begins = np.searchsorted(series.time_ns, series.time_ns - rule.open_seconds * _NS)
    found = np.zeros(len(series), np.float32)
    for place, begin in enumerate(begins.tolist()):
        if place + 1 - begin >= k:
            found[place] = np.partition(raw[begin : place + 1], -k)[-k]
    return found


def _opens(scored: Scored, place: int, spec: TaskSpec) -> bool:
    """Whether an incident opens in a series."""
    return bool((openings(scored.series, scored.raw[:, place], spec) >= spec.threshold).any())


def _examples(
    generated: Sequence[LatencySeries],
    labels: Sequence[Labels],
    quiet: Sequence[LatencySeries],
    rng: np.random.Generator,
) -> Examples:
    """Windows that are drawn from generated and from quiet series."""
    pieces, wanted = [], []
    for series, likely in zip(generated, labels, strict=True):
        places = np.sort(rng.choice(len(series), min(SAMPLED, len(series)), replace=False))
        pieces.append(Windows(SCHEMA, series).encoded(places))
        wanted.append(likely[places])
    total = sum(map(len, quiet))
    share = min(1.0, QUIET * len(generated) / LEARNT / total)
    for series in quiet:
        places = np.flatnonzero(rng.random(len(series)) < share)
        pieces.append(Windows(SCHEMA, series).encoded(places))
        wanted.append(_of_quiet(series)[places])
    packed = np.concatenate([each.packed for each in pieces])
    return Examples(replace(pieces[0], packed=packed), np.concatenate(wanted))


def _of_quiet(series: LatencySeries) -> Labels:
    """No noise and no swell; what was not answered is an outage, alerted or not."""
    labels = np.zeros((len(series), len(TASKS)), np.float32)
    labels[:, TASKS.index("outage")] = ~series.answered
    return labels


def _windows(series: LatencySeries) -> Any:
    return Windows(SCHEMA, series).encoded(np.arange(len(series)))


def _truth(series: LatencySeries) -> NDArray[np.int8]:
    return np.stack([series.known(task) for task in TASKS], axis=1)


def _counts(found: Sequence[Scored], specs: Sequence[TaskSpec]) -> dict[str, Counts]:
    """Single measurements at the thresholds, against truth."""
    return {
        spec.name: Counts.total(
            [
                Counts.of(each.raw[:, place] >= spec.threshold, each.series.known(spec.name))
                for each in found
            ]
        )
        for place, spec in enumerate(specs)
    }


def _golden(
    quiet: Sequence[LatencySeries], tested: Sequence[LatencySeries], rng: np.random.Generator
) -> tuple[SequenceBatch, NDArray[np.int8]]:
    """Rows of all kinds, and what is true of them."""
    every = [*quiet, *tested]
    share = GOLDEN / sum(map(len, every))
    batches, truth = [], []
    for series in every:
        places = np.flatnonzero(rng.random(len(series)) < share)
        batches.append(Windows(SCHEMA, series).rows(places))
        marks = _truth(series) if series.truth else _of_quiet(series).astype(np.int8)
        truth.append(marks[places])
    return SequenceBatch.concatenate(batches), np.concatenate(truth)


def _provenance(quiet: Sequence[LatencySeries], epochs: int) -> dict[str, Any]:
    """Data, software and settings that the network came from."""
    return {
        "commit": commit(Path(__file__).parents[2]),
        "versions": versions(),
        "seed": SEED,
        "settings": {**asdict(LESSON), "tower_units": list(LESSON.tower_units)},
        "epochs": epochs,
        "labeling_functions": [function.name for function in functions()],
        "generated_series": [LEARNT, HELD_OUT, TESTED],
        "quiet_series": [{"name": each.name, "measurements": len(each)} for each in quiet],
    }
