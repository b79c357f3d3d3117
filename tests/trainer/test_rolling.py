"""Windows by hand and by numpy, and to the last bit the same however a series is cut."""

import math

import numpy as np
import pytest

from trainer.weak.rolling import (
    earlier,
    later,
    rolling_maximum,
    rolling_median,
    rolling_minimum,
    rolling_moments,
    rolling_quantiles,
    rolling_sum,
)

NAN = math.nan
SERIES = np.array([1.0, 2.0, NAN, 4.0, 10.0])


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_moments_by_hand():
    """Windows of one row before and two after: {1,2}, {1,2,4}, {2,4,10}, {4,10}, {4,10}."""
    moments = rolling_moments(SERIES, 1, 2)
    same(moments.count, [2, 3, 3, 2, 2])
    same(moments.mean, [1.5, 7 / 3, 16 / 3, 7, 7])
    same(moments.squares, [0.5, 14 / 3, 104 / 3, 18, 18])
    same(moments.deviation, np.sqrt([0.5, 7 / 3, 52 / 3, 18, 18]))


def test_a_window_without_values_has_no_mean_and_one_value_no_deviation():
    moments = rolling_moments(np.array([NAN, 3.0]), 0, 0)
    same(moments.mean, [NAN, 3])
    same(moments.deviation, [NAN, NAN])


def test_extremes_sums_medians_and_quantiles_by_hand():
    same(rolling_minimum(SERIES, 1, 1), [1, 1, 2, 4, 4])
    same(rolling_maximum(SERIES, 1, 1), [2, 2, 4, 10, 10])
    same(rolling_sum(np.isnan(SERIES), 1, 1), [0, 1, 1, 1, 0])
    same(rolling_median(SERIES, 1, 2), [1.5, 2, 4, 7, 7])
    same(rolling_quantiles(SERIES, 4, 0, (0.0, 0.25, 1.0))[:, -1], [1, 1.75, 10])
    same(rolling_quantiles(SERIES, 4, 0, (0.5,), step=2)[0], [1, 2, 1, 3, 5.5])


def test_rows_before_and_after():
    same(earlier(SERIES, 2), [NAN, NAN, 1, 2, NAN])
    same(later(SERIES, 1), [2, NAN, 4, 10, NAN])
    same(earlier(SERIES, 7), [NAN] * 5)


def random_series(rows):
    rng = np.random.default_rng(5)
    series = rng.lognormal(2, 1, rows)
    series[rng.random(rows) < 0.1] = NAN
    return series


@pytest.mark.parametrize(("before", "after"), [(0, 0), (5, 0), (3, 9), (40, 41)])
def test_against_numpy(before, after):
    series = random_series(200)
    windows = [series[max(0, row - before) : row + after + 1] for row in range(200)]
    values = [window[~np.isnan(window)] for window in windows]
    moments = rolling_moments(series, before, after)
    full = np.array([len(window) > 1 for window in values])
    with np.errstate(invalid="ignore"):
        same(moments.mean[full], [w.mean() for w in values if len(w) > 1])
        same(moments.deviation[full], [w.std(ddof=1) for w in values if len(w) > 1])
    quarters = rolling_quantiles(series, before, after, (0.25, 0.5))
    same(quarters[0][full], [np.quantile(w, 0.25) for w in values if len(w) > 1])
    same(rolling_minimum(series, before, after)[full], [w.min() for w in values if len(w) > 1])


def test_a_large_mean_costs_no_digits():
    """A running sum would lose a deviation of 0.01 at a mean of 1e9."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.01, 1000)
    far = rolling_moments(noise + 1e9, 20, 20).deviation
    np.testing.assert_allclose(far, rolling_moments(noise, 20, 20).deviation, rtol=1e-4)


def test_pieces_give_the_same_bits_as_the_whole():
    series = random_series(500)
    part = slice(200, 300)
    piece = series[part.start - 30 : part.stop + 17]
    for statistic in (
        lambda x: rolling_moments(x, 30, 17).mean,
        lambda x: rolling_moments(x, 30, 17).squares,
        lambda x: rolling_sum(np.nan_to_num(x), 30, 17),
        lambda x: rolling_quantiles(x, 30, 17, (0.5,))[0],
    ):
        np.testing.assert_array_equal(statistic(series)[part], statistic(piece)[30:-17])
