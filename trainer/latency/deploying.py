"""From labeling functions to a bundle: what is learnt from, thresholds, and export.

Learnt from are series of peers on which nothing is to be alerted, *quiet* ones, such as
`multa-sensor latency` prints of a day at home, and series with noise, outages and swells, labelled
by the label model: generated ones at all levels from a wire to an ocean, and long quiet ones to
which the generator has added them. Whatever the measurements of quiet series look like, they are
examples of no. Quiet series of other recordings are kept out of training: no incident may open
about those, and that is where thresholds come from. Truth of what was generated is looked at in the
end only, for the model card.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
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
from trainer.latency.generator import Features, generate
from trainer.latency.labelling import LIKELY, Labelling, Labels, functions, patterns_of
from trainer.latency.learning import Examples, teach
from trainer.latency.lesson import Lesson
from trainer.latency.quiet import Quiet, Scored, of_peer, opened, peers_of, thinned
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

FEATURES = Features(noise_levels=(0.5, 3.0), swell_levels=(0.25, 3.0), swell_length=(16, 128))
"""What is added: from a quarter of the level on, as nobody wants to be told of a tenth."""

NOISE = (0.005, 0.2)
"""Shares of noise, of series each with its own: a path that is not right has more than a clean one
with a hiccup."""

LEVELS = 0.01
"""Least factor by which generated round-trip times are scaled down: the generator has those of
servers, and a gateway's devices are nearer."""

SAMPLED, QUIET = 800, 20_000
"""Windows of each generated series that are learnt from, and of all quiet series together."""

GOLDEN = 3_000
"""Rows on which parity is measured and among which golden vectors are chosen."""


def train(quiet: Quiet, out: Path, version: str) -> Bundle:
    """Learns, chooses thresholds, tests and exports.

    Args:
        quiet: series on which nothing is to be alerted.
        out: folder of the bundle, which gets its name.
        version: of the model.

    Raises:
        UsageError: there are no quiet series to learn from, or none that are kept out.
        MultaError: the bundle can't be made, proven or written.
    """
    if not quiet.learnt or not quiet.validation:
        raise UsageError(
            "there are no quiet series to learn from, or none to choose thresholds by; name files "
            "of both, as `multa-sensor latency` prints them"
        )
    taught = [thinned(series) for series in quiet.learnt]
    peers = peers_of(quiet.validation)
    learnt, held_out, tested = (
        [*_scaled(count, SEED + 1_000 * place)]
        for place, count in enumerate((LEARNT, HELD_OUT, TESTED))
    )
    learnt = [*_added(taught), *learnt]
    every = functions()
    votes = [apply(every, columns(series)) for series in learnt]
    labelling = Labelling.of(every, patterns_of(every, np.concatenate(votes)))
    labels = [labelling.of_votes(each) for each in votes]
    rng = np.random.default_rng(SEED)
    training = _examples(learnt[:-6], labels[:-6], taught, rng)
    calm = [series for peer in peers for series in peer]
    validation = _examples(learnt[-6:], labels[-6:], calm, rng)
    network = teach(TASKS, LESSON, SEED, training, validation)
    tflite = convert(network.model, SCHEMA)

    def scored(every: Sequence[LatencySeries]) -> list[Scored]:
        return [
            Scored(each, converted_scores(tflite, _windows(each), list(TASKS))) for each in every
        ]

    kept_out = [scored(peer) for peer in peers]
    specs = chosen(kept_out, scored(held_out), labelling)
    found = scored(tested)
    counts = _counts(found, specs)
    unseen = [scored(peer) for peer in peers_of(quiet.test)]
    about = {
        spec.name: (opened(kept_out, place, spec), opened(unseen, place, spec))
        for place, spec in enumerate(specs)
    }
    both = len(kept_out), len(unseen)
    rows, truth = _golden(calm, tested, rng)
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
        card(out.name, version, LESSON, specs, counts, about, both, taught),
        out,
        version=version,
        labels=truth.astype(np.float32),
        tflite=tflite,
    )


def chosen(
    calm: Sequence[Sequence[Scored]], likely: Sequence[Scored], labelling: Labelling
) -> tuple[TaskSpec, ...]:
    """The tasks with thresholds at which no incident opens about a quiet peer.

    Args:
        calm: all series of each quiet peer that nothing was learnt from.
        likely: generated ones; of them, what the label model finds likely counts as to be found.
        labelling: whose word that is.
    """
    specs = []
    labels = [
        labelling.of_votes(apply(labelling.functions, columns(each.series))) for each in likely
    ]
    for place, spec in enumerate(SPECS):
        benign = np.concatenate([of_peer(each, place, spec) for each in calm])
        wanted = np.concatenate(
            [
                of_peer([each], place, spec)[said[:, place] >= LIKELY]
                for each, said in zip(likely, labels, strict=True)
            ]
        )
        specs.append(replace(spec, threshold=choose_threshold(benign, wanted, 0)))
    return tuple(specs)


def _scaled(count: int, seed: int) -> Iterator[LatencySeries]:
    """Generated series, each with a level and a share of noise of its own."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        noise = float(np.exp(rng.uniform(*np.log(NOISE))))
        features = replace(FEATURES, noise=noise)
        for series in generate(LENGTH, LENGTH, seed + number, features=features):
            yield replace(series, rtt_ms=series.rtt_ms * LEVELS ** rng.random())


def _added(quiet: Sequence[LatencySeries]) -> Iterator[LatencySeries]:
    """Long quiet series with noise, outages and swells."""
    long = [each for each in quiet if each.answered.sum() >= 2 * FEATURES.least_answers]
    for number, series in enumerate(long):
        yield from generate(LENGTH, LENGTH, SEED + 100 + number, [series], FEATURES)


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
    share = min(1.0, QUIET / total)
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


def _provenance(quiet: Quiet, epochs: int) -> dict[str, Any]:
    """Data, software and settings that the network came from."""
    return {
        "commit": commit(Path(__file__).parents[2]),
        "versions": versions(),
        "seed": SEED,
        "settings": {**asdict(LESSON), "tower_units": list(LESSON.tower_units)},
        "epochs": epochs,
        "labeling_functions": [function.name for function in functions()],
        "generated_series": [LEARNT, HELD_OUT, TESTED],
        "quiet_series": {
            field.name: [
                {"name": each.name, "measurements": len(each)}
                for each in getattr(quiet, field.name)
            ]
            for field in fields(quiet)
        },
    }
