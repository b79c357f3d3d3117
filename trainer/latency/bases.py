"""Clean measurements, to which the generator adds noise, outages and swells.

The latency paper (section 3.1) pings one host from a home and cleans what it has got "to be as
simple as possible", except for pings without an answer, which stay and are outages. Here a base
is a real series that has been cleaned, or a generated one.
"""

import math

import numpy as np
from numpy.typing import NDArray

from sensor.errors import SeriesError
from trainer.latency.series import LatencySeries

WINDOW = 15
"""Measurements around and with each one, whose median is taken for the level. It follows whatever
lasts for more than half of them, so no swell of the base is left."""

MOST = 3.0
"""Spreads by which a cleaned measurement is away from its level at most."""

LEAST = 2 * WINDOW
"""Answers that a base has at least."""

LEVEL_MS = (5.0, 250.0)
"""Level of generated bases: from a server in the same country to one across an ocean."""

JITTER = (0.0005, 0.03)
"""Standard deviation of generated bases, in levels: from that of a wire, as RIPE Atlas's probes
have it (0.0003 to 0.004), to that of a wireless link."""

WAVE = (500.0, 5000.0)
"""Measurements of one slow wave of the level, of half a standard deviation to either side."""

LOST = 0.001
"""Share of generated measurements without an answer."""

INTERVALS_S = (0.2, 1.0, 10.0, 60.0, 240.0)
"""Between generated measurements; the last is that of RIPE Atlas."""

NORMAL = 1.4826
"""Standard deviations in a median distance from the median, of a normal distribution."""

INTERVAL_JITTER = 0.01
START_NS = 1_700_000_000_000_000_000


def spread(rtt_ms: NDArray[np.float64]) -> float:
    """Standard deviation of round-trip times as the median distance from the median tells it.

    At least a ten-thousandth of the median: times that are all equal have no other scale.
    """
    middle = float(np.median(rtt_ms))
    return max(NORMAL * float(np.median(np.abs(rtt_ms - middle))), middle / 10_000)


def cleaned(series: LatencySeries) -> LatencySeries:
    """A real series with one level, without outliers; what has no answer stays so.

    Every measurement keeps its distance from the median of its neighbours, or has that of the
    regular measurement before it if its own is more than `MOST` spreads; the level is the median
    of all.

    Raises:
        SeriesError: there are too few answers.
    """
    rows = np.flatnonzero(series.answered)
    if len(rows) < LEAST:
        raise SeriesError(f"{series.name}: {len(rows)} answers; a base has at least {LEAST}")
    values = series.rtt_ms[rows]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(values, WINDOW // 2, mode="reflect"), WINDOW
    )
    # Without the measurement itself, which would often be its own median.
    around = values - np.median(np.delete(windows, WINDOW // 2, axis=1), axis=1)
    level = float(np.median(values))
    regular = np.abs(around) <= min(MOST * spread(around + level), level / 2)
    places, outliers = np.flatnonzero(regular), np.flatnonzero(~regular)
    around[outliers] = around[places[np.searchsorted(places, outliers) - 1]]
    rtt_ms = np.full(len(series), np.nan)
    rtt_ms[rows] = level + around
    return LatencySeries(series.name, series.time_ns, rtt_ms, {"outage": _lost(rtt_ms)})


def generated(
    name: str, length: int, rng: np.random.Generator, jitter: tuple[float, float] = JITTER
) -> LatencySeries:
    """A series as a quiet path gives it.

    The round-trip time is a level, drawn evenly on a logarithmic scale, plus a slow wave, plus
    what queues add to each packet: a gamma distribution of shape 2, skewed to the right with a
    shortest time, as measured paths are. Single measurements get no answer.

    Args:
        name: of the series.
        length: measurements.
        rng: decides everything that is drawn.
        jitter: least and most standard deviation, in levels.
    """
    level = _logarithmic(LEVEL_MS, rng)
    deviation = level * _logarithmic(jitter, rng)
    places = np.arange(length)
    wave = np.sin(2 * math.pi * (places / _logarithmic(WAVE, rng) + rng.random()))
    queues = (rng.standard_gamma(2.0, length) - 2) / math.sqrt(2)
    rtt_ms = level + deviation * (queues + wave / 2)
    rtt_ms[rng.random(length) < LOST] = np.nan
    interval_ns = rng.choice(INTERVALS_S) * 1e9
    shift = interval_ns * INTERVAL_JITTER * rng.uniform(-1, 1, length)
    time_ns = START_NS + np.rint(places * interval_ns + shift).astype(np.int64)
    return LatencySeries(name, time_ns, rtt_ms, {"outage": _lost(rtt_ms)})


def rotated(base: LatencySeries, name: str, length: int, rng: np.random.Generator) -> LatencySeries:
    """So many measurements of a base, from a drawn place on, and from its beginning after its end.

    Gaps are those of the base; the one where its end meets its beginning is the median gap.
    """
    rows = (rng.integers(len(base)) + np.arange(length)) % len(base)
    gaps = base.gap_ns.copy()
    gaps[0] = np.median(gaps[1:])
    time_ns = base.time_ns[rows[0]] + np.cumsum(gaps[rows]) - gaps[rows[0]]
    rtt_ms = base.rtt_ms[rows]
    return LatencySeries(name, time_ns, rtt_ms, {"outage": _lost(rtt_ms)})


def _lost(rtt_ms: NDArray[np.float64]) -> NDArray[np.int8]:
    return np.isnan(rtt_ms).astype(np.int8)


def _logarithmic(span: tuple[float, float], rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(span[0]), math.log(span[1])))
