"""Labeling functions for latency: noise, outages and swells of round-trip times.

They follow section 3.2 of N. Henderson and R. Durairajan, Evaluating Multi-Task Learning for
Internet Measurement Classification: several for each property, with buckets of different sizes,
which abstain where they are not sure. Most look at both sides of a measurement, which is good for
labels to train with; those that look back alone (`LabelingFunction.causal`) can be asked live.

Columns are those of `columns`: ``rtt_ms``, NaN where there was no answer.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.latency.series import LatencySeries
from trainer.weak.functions import ABSTAIN, Columns, Task, labeling_function
from trainer.weak.rolling import (
    Floats,
    earlier,
    later,
    rolling_median,
    rolling_minimum,
    rolling_moments,
    rolling_quantiles,
    rolling_spread,
    rolling_sum,
)

NOISE = Task("noise", ("normal", "noise"))
OUTAGE = Task("outage", ("normal", "outage"))
SWELL = Task("swell", ("normal", "swell"))

READS = ("rtt_ms",)

SMOOTHED = 3
"""Rows on each side over which single values are smoothed away; a swell is longer."""

LONG, STEP = 1_024, 16
"""Rows on each side that are the background of a swell, and every how many of them is looked at."""

Votes = NDArray[np.integer]


def columns(series: LatencySeries) -> Columns:
    """What labeling functions may read of a series.

    Returns:
        ``time_ns`` int64 and ``rtt_ms`` float64, NaN where there was no answer.
    """
    return {"time_ns": series.time_ns, "rtt_ms": series.rtt_ms}


def _where(yes: NDArray[np.bool_], no: NDArray[np.bool_]) -> Votes:
    """1, 0 or `ABSTAIN`; a comparison with NaN is neither."""
    return np.where(yes, 1, np.where(no, 0, ABSTAIN))


@labeling_function(NOISE, reads=READS, before=25, after=25, confidence=0.6)
def noise_two_deviations(given: Columns) -> Votes:
    """Beyond the mean of its bucket plus two standard deviations: Fig. 2 of the paper."""
    bucket = rolling_moments(given["rtt_ms"], 25, 25)
    high = given["rtt_ms"] > bucket.mean + 2 * bucket.deviation
    return np.where(high, 1, ABSTAIN)


@labeling_function(NOISE, reads=READS, before=10, after=10, confidence=0.9)
def noise_above_median(given: Columns) -> Votes:
    """Far from the median of its bucket, measured by how far others are, and by a fifth of it."""
    middle, spread = rolling_spread(given["rtt_ms"], 10, 10)
    above = given["rtt_ms"] - middle
    # 1.4826 medians of distances are a standard deviation where values are normally distributed.
    return _where(above > np.maximum(6 * 1.4826 * spread, 0.2 * middle), above < 3 * spread)


@labeling_function(NOISE, reads=READS, before=2, after=2, confidence=0.85)
def noise_above_neighbours(given: Columns) -> Votes:
    """Stands out from the four measurements around it."""
    rtt = given["rtt_ms"]
    around = np.sort(
        np.stack([earlier(rtt, 2), earlier(rtt, 1), later(rtt, 1), later(rtt, 2)]), axis=0
    )
    # The third of four is above one neighbour that is itself noise, and NaN if two are missing.
    return _where(rtt > 1.25 * around[2], rtt < 1.1 * around[2])


@labeling_function(NOISE, reads=READS, before=33, confidence=0.75)
def noise_above_past(given: Columns) -> Votes:
    """Far above the 32 measurements before it; looks back alone."""
    past = rolling_moments(given["rtt_ms"], 32, 0)
    mean, deviation = earlier(past.mean, 1), earlier(past.deviation, 1)
    above = given["rtt_ms"] - mean
    return _where(above > np.maximum(4 * deviation, 0.2 * mean), above < 2 * deviation)


@labeling_function(NOISE, reads=READS, before=25, after=25, confidence=0.9)
def noise_among_others(given: Columns) -> Votes:
    """Not among the highest quarter of its bucket, so no noise."""
    (high,) = rolling_quantiles(given["rtt_ms"], 25, 25, (0.75,))
    return np.where(given["rtt_ms"] <= high, 0, ABSTAIN)


@labeling_function(NOISE, reads=READS, confidence=0.95)
def noise_unanswered(given: Columns) -> Votes:
    """What was not answered is an outage and no noise."""
    return np.where(np.isnan(given["rtt_ms"]), 0, ABSTAIN)


@labeling_function(OUTAGE, reads=READS, confidence=0.98)
def outage_unanswered(given: Columns) -> Votes:
    """No answer: the paper's function, in whose data such a measurement is zero."""
    return np.isnan(given["rtt_ms"]).astype(np.int8)


@labeling_function(OUTAGE, reads=READS, before=1, after=1, confidence=0.95)
def outage_in_a_row(given: Columns) -> Votes:
    """No answer, nor to a measurement beside it."""
    silent = np.isnan(given["rtt_ms"])
    several = silent & (rolling_sum(silent, 1, 1) > 1)
    return _where(several, ~silent)


@labeling_function(OUTAGE, reads=READS, before=3, after=3, confidence=0.8)
def outage_mostly_silent(given: Columns) -> Votes:
    """No answer where most around are without one; all answered means no outage."""
    silent = np.isnan(given["rtt_ms"])
    around = rolling_sum(silent, 3, 3)
    return _where(silent & (around > 3), around == 0)


@labeling_function(OUTAGE, reads=READS, before=2, confidence=0.8)
def outage_goes_on(given: Columns) -> Votes:
    """The third without an answer, or answered; looks back alone."""
    silent = np.isnan(given["rtt_ms"])
    return _where(rolling_sum(silent, 2, 0) == 3, ~silent)


def _smoothed(rtt: Floats) -> Floats:
    return rolling_median(rtt, SMOOTHED, SMOOTHED)


@labeling_function(
    SWELL, reads=READS, before=LONG + SMOOTHED, after=LONG + SMOOTHED, confidence=0.9
)
def swell_above_background(given: Columns) -> Votes:
    """A bucket's median above the low quarter of the long background, against its jitter."""
    rtt = given["rtt_ms"]
    smooth = _smoothed(rtt)
    (background,) = rolling_quantiles(smooth, LONG, LONG, (0.25,), STEP)
    (jitter,) = rolling_quantiles(np.abs(rtt - smooth), LONG, LONG, (0.5,), STEP)
    above = smooth - background
    return _where(
        above > np.maximum(8 * jitter, 0.15 * background),
        above < np.maximum(4 * jitter, 0.05 * background),
    )


@labeling_function(SWELL, reads=READS, before=LONG, after=LONG, confidence=0.85)
def swell_high_floor(given: Columns) -> Votes:
    """Even the lowest around it is above what is usual; the lowest is usual in no swell."""
    rtt = given["rtt_ms"]
    floor = rolling_minimum(rtt, 2, 2)
    usual = rolling_quantiles(rtt, LONG, LONG, (0.25, 0.6), STEP)
    return _where(floor > 1.15 * usual[1], floor < usual[0])


@labeling_function(
    SWELL, reads=READS, before=LONG + SMOOTHED, after=LONG + SMOOTHED, confidence=0.7
)
def swell_height(given: Columns) -> Votes:
    """The height of its bucket against that of all: far above the mean, or below it."""
    smooth = _smoothed(given["rtt_ms"])
    whole = rolling_moments(smooth, LONG, LONG)
    return _where(smooth > whole.mean + whole.deviation, smooth < whole.mean)


@labeling_function(SWELL, reads=READS, before=8 + 256, confidence=0.65)
def swell_above_prior_buckets(given: Columns) -> Votes:
    """The last eight against the buckets before them, as in the paper; looks back alone."""
    rtt = given["rtt_ms"]
    bucket = rolling_quantiles(rtt, 7, 0, (0.25,))[0]
    prior = earlier(rolling_quantiles(rtt, 255, 0, (0.25, 0.5, 0.75), 4), 8)
    above = bucket - prior[1]
    return _where(
        above > np.maximum(3 * (prior[2] - prior[0]), 0.15 * prior[1]), above < 0.05 * prior[1]
    )


@labeling_function(SWELL, reads=READS, before=24, after=24, confidence=0.6)
def swell_edges(given: Columns) -> Votes:
    """Above what was 24 rows before or comes 24 rows after, by a quarter: a short swell."""
    smooth = rolling_median(given["rtt_ms"], 4, 4)
    before, after = earlier(smooth, 20), later(smooth, 20)
    lower = np.fmin(before, after)
    return np.where(smooth > 1.25 * lower, 1, ABSTAIN)
