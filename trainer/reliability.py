"""Whether calibrated scores are the shares of attacks that they claim to be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Flows whose scores lie in one tenth of [0, 1].

    Attributes:
        flows: in it.
        score: their mean.
        attacks: share of attack flows among them.
    """

    flows: int
    score: float
    attacks: float


def reliability(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> list[Bin]:
    """The bins that hold flows, from the lowest scores on.

    Args:
        labels: ``(flows,)`` 0 or 1.
        scores: ``(flows,)`` calibrated.
    """
    number = np.minimum((np.asarray(scores, np.float64) * BINS).astype(np.intp), BINS - 1)
    return [
        Bin(
            int((number == each).sum()),
            float(np.mean(scores[number == each])),
            float((labels[number == each] == 1).mean()),
        )
        for each in np.unique(number)
    ]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between score and share of attacks, weighted by flows; NaN without any.

    The expected calibration error of M. Naeini, G. Cooper and M. Hauskrecht, Obtaining Well
    Calibrated Probabilities Using Bayesian Binning, 2015.
    """
    total = sum(each.flows for each in bins)
    if not total:
        return float("nan")
    return sum(each.flows * abs(each.score - each.attacks) for each in bins) / total
