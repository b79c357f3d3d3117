"""Statistics of the rows around each row, for labeling functions.

The window of row i are the rows i − before … i + after that there are. What it gives depends on
nothing but the values in it, to the last bit, so it is the same whether a series is looked at as
a whole or in pieces. Sums are therefore no differences of running sums: windows of 1, 2, 4 …
values are merged, which costs the logarithm of the window and adds up pairwise, so it is as exact
as a sum can be. NaN stands for a value that is not there and is left out.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float64]
P = TypeVar("P")

BLOCK = 1 << 18
"""Values that are sorted at once: what fits a processor's cache."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and squared deviations of each window.

    Attributes:
        count: ``(m,)`` values that are there.
        mean: ``(m,)``; NaN where there is none.
        squares: ``(m,)`` sum of the squared differences from the mean.
    """

    count: Floats
    mean: Floats
    squares: Floats

    @property
    def deviation(self) -> Floats:
        """``(m,)`` standard deviation as pandas has it (divided by n − 1); NaN below 2 values."""
        freedom = np.where(self.count > 1, self.count - 1, np.nan)
        return np.sqrt(self.squares / freedom)


def rolling_moments(values: Floats, before: int, after: int) -> Moments:
    """Mean and deviation of each window.

    Merged as T. F. Chan, G. H. Golub and R. J. LeVeque do (Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances, 1979), which loses no digits to a large mean.

    Args:
        values: ``(m,)``.
        before: rows before each row.
        after: rows after it.
    """
    padded = _padded(values, before, after)
    there = ~np.isnan(padded)
    first = (there.astype(np.float64), np.where(there, padded, 0.0), np.zeros(len(padded)))
    count, mean, squares = _merged(first, before + after + 1, len(values), _add_moments, _part)
    return Moments(count, np.where(count > 0, mean, np.nan), squares)


def rolling_sum(values: NDArray[np.generic], before: int, after: int) -> Floats:
    """Sum of each window; of a mask, how many rows of the window it holds."""
    padded = np.nan_to_num(_padded(values.astype(np.float64), before, after))
    return _merged(padded, before + after + 1, len(values), np.add, _slice)


def rolling_minimum(values: Floats, before: int, after: int) -> Floats:
    """Smallest value of each window; NaN where there is none."""
    padded = _padded(values, before, after)
    return _merged(padded, before + after + 1, len(values), np.fmin, _slice)


def rolling_maximum(values: Floats, before: int, after: int) -> Floats:
    """Greatest value of each window; NaN where there is none."""
    return -rolling_minimum(-values, before, after)


def rolling_quantiles(
    values: Floats, before: int, after: int, shares: Sequence[float], step: int = 1
) -> Floats:
    """Quantiles of each window, with linear interpolation.

    Args:
        values: ``(m,)``.
        before: rows before each row.
        after: rows after it.
        shares: which quantiles, from 0 to 1.
        step: look at every step-th row of the window only, from its first: for windows so long
            that sorting them would cost more than it tells.

    Returns:
        ``(shares, m)``; NaN where a window has no value.
    """
    found = np.empty((len(shares), len(values)))
    for begin, windows in _windows(values, before, after, step):
        found[:, begin : begin + len(windows)] = quantiles(np.sort(windows, axis=1), shares)
    return found


def rolling_median(values: Floats, before: int, after: int) -> Floats:
    """Median of each window."""
    found: Floats = rolling_quantiles(values, before, after, (0.5,))[0]
    return found


def quantiles(ordered: Floats, shares: Sequence[float]) -> Floats:
    """Quantiles ``(shares, b)`` of rows of ``(b, w)`` values in ascending order, NaN at the end."""
    found = np.empty((len(shares), len(ordered)))
    holed = np.flatnonzero(np.isnan(ordered[:, -1]))
    few = ordered[holed]
    counts = np.count_nonzero(~np.isnan(few), axis=1)
    rows = np.arange(len(few))
    for place, share in enumerate(shares):
        # Nearly all windows are full: theirs are columns, and need no looking up.
        spot = share * (ordered.shape[1] - 1)
        low = int(spot)
        high = min(low + 1, ordered.shape[1] - 1)
        found[place] = _between(ordered[:, low], ordered[:, high], spot - low)
        spots = share * np.maximum(counts - 1, 0)
        lows = spots.astype(np.intp)
        highs = np.minimum(lows + 1, np.maximum(counts - 1, 0))
        found[place, holed] = _between(few[rows, lows], few[rows, highs], spots - lows)
    return found


def _between(low: Floats, high: Floats, share: Floats | float) -> Floats:
    """Linear interpolation; equal values are themselves, infinite ones too."""
    found: Floats = np.where(low == high, low, low + (high - low) * share)
    return found


def earlier(values: Floats, rows: int) -> Floats:
    """The values of so many rows before; NaN where there is no such row.

    Args:
        values: ``(..., m)``.
        rows: how far before.
    """
    moved = np.full_like(values, np.nan)
    moved[..., rows:] = values[..., : max(0, values.shape[-1] - rows)]
    return moved


def later(values: Floats, rows: int) -> Floats:
    """The values of so many rows after; NaN where there is no such row."""
    return earlier(values[..., ::-1], rows)[..., ::-1]


def _padded(values: Floats, before: int, after: int) -> Floats:
    return np.pad(values.astype(np.float64), (before, after), constant_values=np.nan)


def _windows(values: Floats, before: int, after: int, step: int) -> Iterator[tuple[int, Floats]]:
    """First row and windows ``(b, w)``, block after block."""
    every = sliding_window_view(_padded(values, before, after), before + after + 1)[:, ::step]
    rows = max(1, BLOCK // every.shape[1])
    for begin in range(0, len(every), rows):
        yield begin, every[begin : begin + rows]


Triple = tuple[Floats, Floats, Floats]


def _add_moments(left: Triple, right: Triple) -> Triple:
    (n, mean, squares), (k, other, others) = left, right
    count = n + k
    share = np.divide(k, count, out=np.zeros_like(count), where=count > 0)
    distance = other - mean
    return count, mean + distance * share, squares + others + distance * distance * n * share


def _part(moments: Triple, part: slice) -> Triple:
    return moments[0][part], moments[1][part], moments[2][part]


def _slice(values: Floats, part: slice) -> Floats:
    return values[part]


def _merged(
    values: P, width: int, rows: int, merge: Callable[[P, P], P], part: Callable[[P, slice], P]
) -> P:
    """Values ``[i … i + width)`` merged into one for each row i, out of windows of 2^p values."""
    size, covered, length = 1, 0, rows + width - 1
    result: P | None = None
    while True:
        if width & size:
            piece = part(values, slice(covered, covered + rows))
            result = piece if result is None else merge(result, piece)
            covered += size
        if covered == width:
            assert result is not None
            return result
        length -= size
        values = merge(part(values, slice(0, length)), part(values, slice(size, size + length)))
        size *= 2
