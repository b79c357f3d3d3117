"""Labeling functions for latency: noise, outages and swells of round-trip times.

They follow section 3.2 of N. Henderson and R. Durairajan, Evaluating Multi-Task Learning for
Internet Measurement Classification: several for each property, with buckets of different sizes,
which abstain where they are not sure. Most look at both sides of a measurement, which is good for
labels to train with; those that look back alone (`LabelingFunction.causal`) can be asked live.

Columns are those of `columns`: ``rtt_ms``, NaN where there was no answer.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.latency.bases import NORMAL
from trainer.latency.series import LatencySeries
from trainer.weak.functions import ABSTAIN, Columns, Task, labeling_function
from trainer.weak.rolling import (
    Floats,
    earlier,
    later,
    rolling_median,
    rolling_moments,
    rolling_quantiles,
    rolling_sum,
)

NOISE = Task("noise", ("normal", "noise"))
OUTAGE = Task("outage", ("normal", "outage"))
SWELL = Task("swell", ("normal", "swell"))

READS = ("rtt_ms",)

BUCKET = 10
"""Rows on each side that tell whether a swell is there."""

LONG, STEP = 512, 16
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


@labeling_function(NOISE, reads=READS, before=25, after=25, confidence=0.9)
def noise_above_median(given: Columns) -> Votes:
    """Far above the median of its bucket, by what lies between the bucket's quarters.

    That is 1.35 standard deviations of a normal distribution.
    """
    bucket = rolling_quantiles(given["rtt_ms"], 25, 25, (0.25, 0.5, 0.75))
    above, between = given["rtt_ms"] - bucket[1], bucket[2] - bucket[0]
    return _where(above > 7 * between, above < 3 * between)


@labeling_function(NOISE, reads=READS, before=15, after=15, confidence=0.85)
def noise_above_neighbours(given: Columns) -> Votes:
    """Stands out from the four measurements around it, by the same measure."""
    rtt = given["rtt_ms"]
    bucket = rolling_quantiles(rtt, 15, 15, (0.25, 0.75))
    around = np.sort(
        np.stack([earlier(rtt, 2), earlier(rtt, 1), later(rtt, 1), later(rtt, 2)]), axis=0
    )
    # The third of four is above one neighbour that is itself noise, and NaN if two are missing.
    above, between = rtt - around[2], bucket[1] - bucket[0]
    return _where(above > 5 * between, above < 2 * between)


@labeling_function(NOISE, reads=READS, before=33, confidence=0.75)
def noise_above_past(given: Columns) -> Votes:
    """Far above the 32 measurements before it, by what lies between their quarters; looks back."""
    past = earlier(rolling_quantiles(given["rtt_ms"], 31, 0, (0.25, 0.5, 0.75)), 1)
    above, between = given["rtt_ms"] - past[1], past[2] - past[0]
    return _where(above > 8 * between, above < 3 * between)


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


def _jitter(rtt: Floats, smooth: Floats) -> Floats:
    """Deviation of single measurements from what is around them, over the long background."""
    (distance,) = rolling_quantiles(np.abs(rtt - smooth), LONG, LONG, (0.5,), STEP)
    found: Floats = NORMAL * distance
    return found


@labeling_function(SWELL, reads=READS, before=LONG + BUCKET, after=LONG + BUCKET, confidence=0.9)
def swell_above_background(given: Columns) -> Votes:
    """A bucket's median above the lower third of the long background, against the jitter."""
    rtt = given["rtt_ms"]
    smooth = rolling_median(rtt, BUCKET, BUCKET)
    (background,) = rolling_quantiles(smooth, LONG, LONG, (0.3,), STEP)
    above, jitter = smooth - background, _jitter(rtt, smooth)
    return _where(above > 1.5 * jitter, above < 0.9 * jitter)


@labeling_function(SWELL, reads=READS, before=LONG, after=LONG, confidence=0.8)
def swell_high_floor(given: Columns) -> Votes:
    """Even the low ones of its bucket are above what is usual; in no swell they are usual."""
    rtt = given["rtt_ms"]
    (floor,) = rolling_quantiles(rtt, BUCKET, BUCKET, (0.2,))
    usual = rolling_quantiles(rtt, LONG, LONG, (0.3, 0.6), STEP)
    return _where(floor > usual[1], floor < usual[0])


@labeling_function(SWELL, reads=READS, before=LONG, after=LONG, confidence=0.7)
def swell_height(given: Columns) -> Votes:
    """The height of its bucket against that of all: far above the mean, or below it."""
    bucket = rolling_moments(given["rtt_ms"], BUCKET, BUCKET)
    whole = rolling_moments(given["rtt_ms"], LONG, LONG)
    return _where(bucket.mean > whole.mean + whole.deviation, bucket.mean < whole.mean)


@labeling_function(SWELL, reads=READS, before=LONG + 16, confidence=0.7)
def swell_above_prior_buckets(given: Columns) -> Votes:
    """The last sixteen against the buckets before them, as in the paper; looks back alone."""
    rtt = given["rtt_ms"]
    (bucket,) = rolling_quantiles(rtt, 15, 0, (0.5,))
    prior = earlier(rolling_quantiles(rtt, LONG - 1, 0, (0.25, 0.4, 0.6), STEP), 16)
    # Between the quarter and the median lies half of what lies between the quarters.
    above, jitter = bucket - prior[1], prior[2] - prior[0]
    return _where(above > 3 * jitter, above < 1.5 * jitter)


@labeling_function(SWELL, reads=READS, confidence=0.95)
def swell_unanswered(given: Columns) -> Votes:
    """What was not answered is an outage and no swell."""
    return np.where(np.isnan(given["rtt_ms"]), 0, ABSTAIN)


@labeling_function(SWELL, reads=READS, before=170, after=170, confidence=0.7)
def swell_edges(given: Columns) -> Votes:
    """Above what was 160 rows before or comes 160 rows after; no swell is longer than both."""
    rtt = given["rtt_ms"]
    smooth = rolling_median(rtt, 10, 10)
    lower = np.fmin(earlier(smooth, 160), later(smooth, 160))
    higher = np.fmax(earlier(smooth, 160), later(smooth, 160))
    quarters = rolling_quantiles(rtt, 24, 24, (0.25, 0.75))
    between = quarters[1] - quarters[0]
    return _where(smooth > lower + 1.5 * between, smooth < higher)
