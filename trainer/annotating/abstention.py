"""When a network names no class: temperatures, and the probability below which it abstains.

Both are chosen on the validation part, each flow by its first packets of each length of the
model, as the sensor also sees flows that have had few. A temperature divides the logits of a
softmax, so that probabilities are as often right as they say (C. Guo et al., On Calibration of
Modern Neural Networks, 2017); the order of the classes stays. A softmax layer's own weights can
hold it, so a bundle needs no entry for it.
"""

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
"""``(flows, classes)``."""

Labels = NDArray[np.int32]
"""``(flows,)`` place of the true class, −1 where it is not known."""

DIGITS = 4
"""Of a threshold."""

_LEAST = 1e-7
_BINS = 10
_TEMPERATURES = np.geomspace(0.25, 8, 241)
"""Among which the best is chosen: each is 1.5 % above the last."""


def temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The divisor of the logits at which known labels are most likely; 1 without any."""
    logits, known = np.log(np.maximum(probabilities, _LEAST)), labels >= 0
    if not known.any():
        return 1.0
    rows = np.flatnonzero(known)
    losses = []
    for divisor in _TEMPERATURES:
        scaled = logits[rows] / divisor
        total = np.logaddexp.reduce(scaled, axis=1)
        losses.append(float(np.mean(total - scaled[np.arange(rows.size), labels[rows]])))
    return float(_TEMPERATURES[int(np.argmin(losses))])


def abstain_below(probabilities: Probabilities, labels: Labels, right: float, told: float) -> float:
    """The least threshold at which so many of what is told are right.

    Args:
        probabilities: of flows that no weight was fitted on.
        labels: of them.
        right: share of the told flows whose class is right.
        told: share of the flows that are told a class at least. Where no threshold reaches
            `right` with as many, it is the one that tells just these.

    Returns:
        In the middle between the least probable class that is told and the next one that is not,
        with `DIGITS` decimals; 0 where all are told.
    """
    known = labels >= 0
    best = probabilities[known].max(axis=1, initial=0.0)
    hits = probabilities[known].argmax(axis=1) == labels[known]
    order = np.argsort(-best, kind="stable")
    best, hits = best[order], hits[order]
    counts = np.arange(1, best.size + 1)
    # Equal probabilities are told together or not at all.
    ends = np.append(best[1:] < best[:-1], True)[: best.size]
    enough = ends & (counts >= told * best.size)
    reached = np.flatnonzero(enough & (np.cumsum(hits) >= right * counts))
    if reached.size:
        last = int(reached[-1])
    else:
        fewest = np.flatnonzero(enough)
        last = int(fewest[0]) if fewest.size else best.size - 1
    if last + 1 >= best.size:
        return 0.0
    return round(float(best[last] + best[last + 1]) / 2, DIGITS)


def calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Expected calibration error of the best class, over ten bins of equal width.

    The mean, weighted by flows, of how far what a bin says is from how often it is right.
    """
    known = labels >= 0
    best = probabilities[known].max(axis=1, initial=0.0).astype(np.float64)
    hits = probabilities[known].argmax(axis=1) == labels[known]
    bins = np.minimum((best * _BINS).astype(np.intp), _BINS - 1)
    said = np.bincount(bins, best, _BINS)
    found = np.bincount(bins, hits, _BINS)
    return float(np.abs(said - found).sum() / max(1, best.size))
