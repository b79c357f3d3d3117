"""Window features by hand and against other formulas for them."""

import math

import numpy as np
import pytest

from sensor.errors import UsageError
from trainer.weak.features import FEATURES, window_features
from trainer.weak.rolling import BLOCK

NAN = math.nan


def last(values):
    """Features of the whole series, which is the window of its last row."""
    found = window_features(np.array(values), len(values) - 1, 0)
    return {name: column[-1] for name, column in found.items()}


def test_by_hand():
    """1, 2, 3, 10: mean 4, differences −3 −2 −1 6, squares 9 4 1 36, median 2.5."""
    found = last([1.0, 2.0, 3.0, 10.0])
    expected = {
        "mean": 4,
        "standard_deviation": math.sqrt(12.5),
        "median": 2.5,
        "minimum": 1,
        "maximum": 10,
        "quantile__q_0.1": 1.3,
        "quantile__q_0.9": 7.9,
        "variation_coefficient": math.sqrt(12.5) / 4,
        # third moment (−27 − 8 − 1 + 216) / 4 = 45, adjusted by √12 / 2
        "skewness": math.sqrt(12) / 2 * 45 / 12.5**1.5,
        "mean_abs_change": 3,
        "ratio_beyond_r_sigma__r_2": 0,
        # Σ (t − 1.5)(x − 4) = 4.5 + 1 − 0.5 + 9 = 14, over 5
        'linear_trend__attr_"slope"': 2.8,
        # (−3·−2 + −2·−1 + −1·6) / (3 · 12.5)
        "autocorrelation__lag_1": 2 / 37.5,
        # distances from 2.5: 1.5, 0.5, 0.5, 7.5
        "median_absolute_deviation": 1.0,
        "share_unanswered": 0,
    }
    assert found == pytest.approx(expected)
    assert found.keys() == FEATURES.keys()


def test_what_was_not_answered_is_left_out_and_counted():
    """Times 0, 1, 3 with the values 1, 2, 6: the slope knows of the gap."""
    found = last([1.0, 2.0, NAN, 6.0])
    assert found["mean"] == 3
    assert found["share_unanswered"] == 0.25
    assert found["mean_abs_change"] == 1  # 1 → 2 is the only pair of neighbours
    places, values = np.array([0, 1, 3]), np.array([1, 2, 6])
    assert found['linear_trend__attr_"slope"'] == pytest.approx(np.polyfit(places, values, 1)[0])


def test_rows_before_the_beginning_are_not_unanswered():
    found = window_features(np.array([NAN, 4.0, 5.0]), 1, 0, ["share_unanswered", "mean"])
    assert found["share_unanswered"].tolist() == [1, 0.5, 0]
    np.testing.assert_array_equal(found["mean"], [NAN, 4, 4.5])


def test_one_far_value_among_ten():
    found = last([0.0] * 9 + [10.0])
    assert found["ratio_beyond_r_sigma__r_2"] == 0.1


def test_windows_without_values_and_without_differences_have_no_shape():
    assert {name for name, value in last([NAN, NAN]).items() if not np.isnan(value)} == (
        {"share_unanswered"}
    )
    flat = last([2.0, 2.0, 2.0])
    assert flat["standard_deviation"] == 0
    assert np.isnan(flat["autocorrelation__lag_1"])


def test_against_other_formulas_across_blocks():
    values = np.random.default_rng(0).gamma(2, 3, 200)
    found = window_features(values, BLOCK // 64, 0, ["mean"])  # 63 rows a block
    assert found["mean"] == pytest.approx(np.cumsum(values) / np.arange(1, 201))
    found = window_features(values, 29, 10)
    for row in (29, 60, 189):
        window = values[row - 29 : row + 11]
        # as pandas writes it: n / ((n − 1)(n − 2)) Σ z³, z by the sample's deviation
        z = (window - window.mean()) / window.std(ddof=1)
        assert found["skewness"][row] == pytest.approx(40 / (39 * 38) * (z**3).sum())
        distances = np.abs(window - np.median(window))
        assert found["median_absolute_deviation"][row] == pytest.approx(np.median(distances))
        assert found["quantile__q_0.9"][row] == pytest.approx(np.quantile(window, 0.9))
        slope = np.polyfit(np.arange(40), window, 1)[0]
        assert found['linear_trend__attr_"slope"'][row] == pytest.approx(slope)


def test_an_unknown_feature():
    with pytest.raises(UsageError, match="no feature 'mode'; there are mean, "):
        window_features(np.zeros(3), 1, 0, ["mean", "mode"])
