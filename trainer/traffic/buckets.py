"""Bandwidths and durations as classes: where they are divided, and in which part a value lies."""

import numpy as np
from numpy.typing import NDArray

BUCKETS = 5

Values = NDArray[np.float64]


def between_means(values: Values, classes: NDArray[np.integer]) -> Values:
    """Dividers as the paper has them (section III): midpoints between sorted class means.

    Args:
        values: of flows, of training alone.
        classes: ``(values,)`` of each flow; at least two different ones.

    Returns:
        Ascending, one fewer than there are classes.
    """
    means = np.sort([values[classes == one].mean() for one in np.unique(classes)])
    dividers: Values = (means[1:] + means[:-1]) / 2
    return dividers


def quantiles(values: Values, buckets: int = BUCKETS) -> Values:
    """Dividers with as many values in each part; needs no labels."""
    dividers: Values = np.quantile(values, np.arange(1, buckets) / buckets)
    return dividers


def bucket(values: Values, dividers: Values) -> NDArray[np.int64]:
    """``(values,)`` part of each value, 0 for those below all dividers; one on it is above."""
    return np.searchsorted(dividers, values, side="right").astype(np.int64)
