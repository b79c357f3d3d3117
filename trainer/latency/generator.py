"""The latency paper's generator (section 3.1): noise, outages and swells in clean measurements.

As the paper has it:

- a measurement is noisy with probability 0.01, and so much slower then that nobody takes it for a
  clean one;
- an outage begins at a measurement with probability 0.005, lasts for a random number of
  measurements, and has no answers (the paper writes 0, here it is NaN); what the base has not
  answered is an outage too;
- a swell raises all its measurements for a random while; between two is a random gap, and there
  are at least three;
- no measurement is both noisy and an outage, but a noisy one within a swell is both.

The paper is silent about lengths and heights, and about outages within swells; here:

- outages last 2 to 20 measurements. One that begins in another prolongs it at most;
- noise adds the whole range of the clean measurements and, evenly drawn, from 2 spreads
  (`bases.spread`) up to 30 spreads or 0.3 levels, whichever is more: it exceeds every clean one;
- a swell lasts 32 to 256 answered measurements. On average one in a thousand begins one;
- its height is drawn on a logarithmic scale from 1.5 spreads to 15 spreads or a tenth of the
  level, whichever is more, and each of its measurements has 0.8 to 1.2 of it. So the low ones
  drown in the jitter of single measurements and show in many only, the high ones exceed noise;
- what has no answer is no part of a swell; a swell goes on after it.

Truth is exact: it says what was added where.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.errors import UsageError
from trainer.latency.bases import generated, rotated, spread
from trainer.latency.series import LatencySeries

LEAST_SWELLS = 3
"""Of every series."""


@dataclass(frozen=True)
class Features:
    """How much is added; measurements are counted, not seconds.

    Attributes:
        noise: probability that an answered measurement is noisy.
        outage: probability that an outage begins at a measurement.
        outage_length: fewest and most measurements of an outage.
        swell: mean number of swells for each answered measurement.
        swell_length: fewest and most answered measurements of a swell.
        noise_spreads, noise_levels: least and most of what noise adds to the range of the base, in
            spreads and in levels; of either the greater counts.
        swell_spreads, swell_levels: the same of the height of a swell, which is not added to it.
        ragged: share of its height by which measurements of a swell differ from it at most.
    """

    noise: float = 0.01
    outage: float = 0.005
    outage_length: tuple[int, int] = (2, 20)
    swell: float = 0.001
    swell_length: tuple[int, int] = (32, 256)
    noise_spreads: tuple[float, float] = (2.0, 30.0)
    noise_levels: tuple[float, float] = (0.0, 0.3)
    swell_spreads: tuple[float, float] = (1.5, 15.0)
    swell_levels: tuple[float, float] = (0.0, 0.1)
    ragged: float = 0.2

    @property
    def least_answers(self) -> int:
        """Answers that a series needs for its swells, and as much room again between them."""
        return 4 * LEAST_SWELLS * self.swell_length[0]


DEFAULT = Features()


def with_features(
    base: LatencySeries, rng: np.random.Generator, features: Features = DEFAULT
) -> LatencySeries:
    """A clean series with noise, outages and swells, and exact truth of all three.

    Args:
        base: clean measurements; what has no answer is an outage.
        rng: decides everything that is drawn.
        features: how much to add.

    Raises:
        UsageError: the series is too short, or has too few answers, for three swells.
    """
    lost = ~base.answered | _outages(len(base), rng, features)
    rows = np.flatnonzero(~lost)
    if len(rows) < features.least_answers:
        raise UsageError(
            f"{base.name}: {len(rows)} answers of {len(base)} are too few for {LEAST_SWELLS} "
            f"swells, which take {features.least_answers}; name a longer series"
        )
    clean = base.rtt_ms[base.answered]
    unit, level = spread(clean), float(np.median(clean))
    heights = _swells(len(rows), unit, level, rng, features)
    noisy = rng.random(len(rows)) < features.noise
    added = np.ptp(clean) + rng.uniform(
        *_sizes(unit, features.noise_spreads, level, features.noise_levels), noisy.sum()
    )

    rtt_ms = np.full(len(base), np.nan)
    rtt_ms[rows] = base.rtt_ms[rows] + heights
    rtt_ms[rows[noisy]] += added
    truth = {task: np.zeros(len(base), np.int8) for task in ("noise", "swell")}
    truth["noise"][rows[noisy]] = 1
    truth["swell"][rows[heights > 0]] = 1
    truth["outage"] = lost.astype(np.int8)
    return LatencySeries(base.name, base.time_ns, rtt_ms, truth)


def generate(
    measurements: int,
    length: int,
    seed: int,
    bases: Sequence[LatencySeries] = (),
    features: Features = DEFAULT,
) -> Iterator[LatencySeries]:
    """Series with truth, each decided by the seed and its number alone.

    Args:
        measurements: of all series together.
        length: of each; the last one takes what is over, if that is less than another length.
        seed: decides everything that is drawn.
        bases: clean series (`bases.cleaned`), taken in turn, from a drawn place on each time; a
            series is named for its base, ``NAME#NUMBER``. Without any, each series has a
            generated base of its own (`bases.generated`).
        features: how much to add.

    Raises:
        UsageError: a series is too short, or has too few answers, for three swells.
    """
    count = max(1, measurements // length)
    for number in range(count):
        own = length if number < count - 1 else measurements - (count - 1) * length
        rng = np.random.default_rng([seed, number])
        if bases:
            source = bases[number % len(bases)]
            base = rotated(source, f"{source.name}#{number}", own, rng)
        else:
            base = generated(f"generated {number}", own, rng)
        yield with_features(base, rng, features)


def _outages(length: int, rng: np.random.Generator, features: Features) -> NDArray[np.bool_]:
    """Which of so many measurements lie in outages."""
    begins = np.flatnonzero(rng.random(length) < features.outage)
    shortest, longest = features.outage_length
    ends = np.minimum(begins + rng.integers(shortest, longest + 1, len(begins)), length)
    steps = np.bincount(begins, minlength=length + 1) - np.bincount(ends, minlength=length + 1)
    return np.asarray(np.cumsum(steps[:-1]) > 0)


def _swells(
    length: int, unit: float, level: float, rng: np.random.Generator, features: Features
) -> NDArray[np.float64]:
    """What swells add to each of so many answered measurements, 0 outside of them."""
    shortest, longest = features.swell_length
    wanted = int(rng.binomial(length, features.swell))
    count = min(max(wanted, LEAST_SWELLS), length // (4 * shortest))
    lengths = rng.integers(shortest, longest + 1, count)
    if lengths.sum() > length / 2:
        lengths = np.maximum(shortest, (lengths * (length / 2 / lengths.sum())).astype(np.int64))
    # What is left is divided at random; a gap is at least as long as the shortest swell.
    free = length - int(lengths.sum()) - (count - 1) * shortest
    gaps = np.sort(rng.integers(0, free + 1, count))
    begins = gaps + np.arange(count) * shortest + np.cumsum(lengths) - lengths
    sizes = _sizes(unit, features.swell_spreads, level, features.swell_levels)
    heights = np.exp(rng.uniform(np.log(sizes[0]), np.log(sizes[1]), count))
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = np.repeat(begins, lengths) + inside
    added = np.zeros(length)
    added[rows] = np.repeat(heights, lengths)
    added[rows] *= rng.uniform(1 - features.ragged, 1 + features.ragged, len(rows))
    return added


def _sizes(
    unit: float, spreads: tuple[float, float], level: float, levels: tuple[float, float]
) -> tuple[float, float]:
    """Least and most of what is added, ms."""
    least, most = (max(unit * a, level * b) for a, b in zip(spreads, levels, strict=True))
    return least, most
