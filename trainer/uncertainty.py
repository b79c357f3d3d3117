"""How far a figure may be off: intervals by source, and bounds on rare counts.

Flows of one capture share its network, its day and its tools, so they are no independent draws.
What varies from one deployment to the next is the source: intervals come from drawing whole
sources, or groups of sources that share a network (B. Efron and R. Tibshirani, An Introduction to
the Bootstrap, 1993, section 8 on other data structures).
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DRAWS = 200
"""Bootstrap samples of an interval."""


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """The exact one-sided upper bound of a Poisson rate, of which `count` events were seen.

    The largest mean under which so few events still have a chance of 1 − `confidence` (F. Garwood,
    Fiducial limits for the Poisson distribution, Biometrika 28, 1936): −ln(0.05) = 2.9957 for none.
    """
    low, high = float(count), count + 10 * math.sqrt(count + 1) + 10
    for _ in range(200):
        middle = (low + high) / 2
        if _at_most(count, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def bootstrap(
    groups: NDArray[np.integer],
    statistic: Callable[[NDArray[np.intp]], float],
    seed: int,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """A percentile interval of a statistic, by drawing whole groups with replacement.

    Args:
        groups: ``(flows,)`` group of each flow.
        statistic: of the flows of the given indices, in which a group may occur several times;
            samples for which it is NaN (of one class only) are left out.
        seed: of the draws.
        confidence: share of the samples inside.

    Returns:
        Its two ends; NaN where fewer than two groups hold anything, or no sample has a value.
    """
    order = np.argsort(groups, kind="stable")
    kinds, begin = np.unique(groups[order], return_index=True)
    if len(kinds) < 2:
        return float("nan"), float("nan")
    members = np.split(order, begin[1:])
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(DRAWS):
        drawn = generator.integers(0, len(members), len(members))
        values.append(statistic(np.concatenate([members[index] for index in drawn])))
    known = np.array([value for value in values if not math.isnan(value)])
    if not known.size:
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def _at_most(count: int, mean: float) -> float:
    """Chance of at most `count` events of a Poisson variable."""
    logs = (
        [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1)] if mean else [0]
    )
    return math.fsum(math.exp(log) for log in logs)
