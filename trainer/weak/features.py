"""Statistics of the window around each row as columns, under the names that tsfresh gives them.

The latency paper names tsfresh (M. Christ et al., Time Series FeatuRe Extraction on basis of
Scalable Hypothesis tests, Neurocomputing 2018) for future work, to have more to vote on and to
train with than the round-trip time. These are the ones that say something of 64 round-trip times;
a window in which every measurement was answered gets what tsfresh computes. Unanswered ones are
left out, and counted (``share_unanswered``, which is no name of tsfresh's; nor is
``median_absolute_deviation``).
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sensor.errors import UsageError
from trainer.weak.rolling import BLOCK, Floats, quantiles


class _Windows:
    """Windows ``(b, w)`` with NaN where nothing is, and what several features need of them."""

    def __init__(self, values: Floats, inside: NDArray[np.bool_]) -> None:
        self.values, self.inside = values, inside
        self.there = ~np.isnan(values)
        self.count = self.there.sum(axis=1)
        self.ordered = np.sort(values, axis=1)
        self.mean = _divided(self.sum(values), self.count)
        self.apart = values - self.mean[:, None]
        self.variance = _divided(self.sum(self.apart**2), self.count)

    def sum(self, values: Floats) -> Floats:
        """Sum of the values that are there."""
        found: Floats = np.where(self.there, values, 0.0).sum(axis=1)
        return found

    def quantile(self, share: float) -> Floats:
        """A quantile of each window."""
        found: Floats = quantiles(self.ordered, (share,))[0]
        return found

    @property
    def both(self) -> NDArray[np.bool_]:
        """``(b, w − 1)`` whether a value and the next one are there."""
        return self.there[:, 1:] & self.there[:, :-1]


def _divided(values: Floats, by: NDArray[np.generic]) -> Floats:
    """Quotients; NaN for a division by 0."""
    found: Floats = np.divide(values, by, out=np.full(len(values), np.nan), where=by != 0)
    return found


def _spread(windows: _Windows) -> Floats:
    distances = np.abs(windows.values - windows.quantile(0.5)[:, None])
    (found,) = quantiles(np.sort(distances, axis=1), (0.5,))
    return np.asarray(found)


def _slope(windows: _Windows) -> Floats:
    places = np.arange(windows.values.shape[1], dtype=np.float64)
    middle = _divided(windows.there @ places, windows.count)
    away = np.where(windows.there, places - middle[:, None], 0.0)
    return _divided(windows.sum(away * windows.apart), (away**2).sum(axis=1))


def _autocorrelation(windows: _Windows) -> Floats:
    products = windows.apart[:, 1:] * windows.apart[:, :-1]
    total = np.where(windows.both, products, 0.0).sum(axis=1)
    return _divided(total, windows.both.sum(axis=1) * windows.variance)


def _changes(windows: _Windows) -> Floats:
    steps = np.abs(np.diff(windows.values, axis=1))
    return _divided(np.where(windows.both, steps, 0.0).sum(axis=1), windows.both.sum(axis=1))


def _skewness(windows: _Windows) -> Floats:
    """Adjusted for the sample's size, as pandas has it, and so tsfresh."""
    n = windows.count.astype(np.float64)
    third = _divided(windows.sum(windows.apart**3), windows.count)
    adjusted = np.sqrt(n * (n - 1)) / np.where(n > 2, n - 2, np.nan)
    found: Floats = adjusted * _divided(third, windows.variance**1.5)
    return found


def _beyond(windows: _Windows) -> Floats:
    far = np.abs(windows.apart) > 2 * np.sqrt(windows.variance)[:, None]
    return _divided(far.sum(axis=1).astype(np.float64), windows.count)


def _unanswered(windows: _Windows) -> Floats:
    rows = windows.inside.sum(axis=1)
    return _divided((rows - windows.count).astype(np.float64), rows)


FEATURES: dict[str, Callable[[_Windows], Floats]] = {
    "mean": lambda windows: windows.mean,
    "standard_deviation": lambda windows: np.sqrt(windows.variance),
    "median": lambda windows: windows.quantile(0.5),
    "minimum": lambda windows: windows.ordered[:, 0],
    "maximum": lambda windows: windows.quantile(1.0),
    "quantile__q_0.1": lambda windows: windows.quantile(0.1),
    "quantile__q_0.9": lambda windows: windows.quantile(0.9),
    "variation_coefficient": lambda w: _divided(np.sqrt(w.variance), w.mean),
    "skewness": _skewness,
    "mean_abs_change": _changes,
    "ratio_beyond_r_sigma__r_2": _beyond,
    'linear_trend__attr_"slope"': _slope,
    "autocorrelation__lag_1": _autocorrelation,
    "median_absolute_deviation": _spread,
    "share_unanswered": _unanswered,
}
"""What can be computed; the standard deviation is that of the window itself (divided by n)."""


def window_features(
    values: Floats, before: int, after: int, names: Sequence[str] = tuple(FEATURES)
) -> dict[str, Floats]:
    """Features of the window around each row, at the ends of the series of what there is of it.

    Args:
        values: ``(m,)``, NaN where there was no answer.
        before: rows before each row.
        after: rows after it; 0 for features that can be had live.
        names: of `FEATURES`.

    Returns:
        ``(m,)`` for each name; NaN where the window holds too few values.

    Raises:
        UsageError: there is no such feature.
    """
    if unknown := [name for name in names if name not in FEATURES]:
        raise UsageError(f"no feature {unknown[0]!r}; there are {', '.join(FEATURES)}")
    width = before + after + 1
    padded = np.pad(values.astype(np.float64), (before, after), constant_values=np.nan)
    inside = np.pad(np.ones(len(values), bool), (before, after))
    found = {name: np.empty(len(values)) for name in names}
    rows = max(1, BLOCK // width)
    for begin in range(0, len(values), rows):
        part = slice(begin, min(begin + rows, len(values)))
        windows = _Windows(
            sliding_window_view(padded, width)[part], sliding_window_view(inside, width)[part]
        )
        for name in names:
            found[name][part] = FEATURES[name](windows)
    return found
