"""Calibration against scikit-learn's, thresholds against budgets counted by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sensor.model.inference import calibrate as calibrated_scores
from trainer.tasks import TASKS
from trainer.thresholds import (
    CEILING,
    FLOOR,
    MARGIN,
    REACH,
    budget,
    calibrate,
    choose_threshold,
    logit,
    sigmoid,
)


def test_logit_and_sigmoid_are_inverse_and_finite():
    p = np.array([0.001, 0.3, 0.5, 0.999])
    np.testing.assert_allclose(sigmoid(logit(p)), p)
    assert np.isfinite(logit(np.array([0.0, 1.0], np.float32))).all()
    assert logit(np.array([0.75]))[0] == pytest.approx(math.log(3))


def test_calibration_equals_a_logistic_regression_on_platts_targets():
    generator = np.random.default_rng(3)
    labels = (generator.random(4000) < 0.3).astype(np.int8)
    scores = sigmoid(2 * generator.standard_normal(4000) + 3 * labels - 0.5)
    slope, offset = calibrate(scores, labels)
    # A smoothed target t is t of a positive and 1 − t of a negative at the same place.
    high = (labels.sum() + 1) / (labels.sum() + 2)
    low = 1 / ((labels == 0).sum() + 2)
    target = np.where(labels == 1, high, low)
    doubled = np.tile(logit(scores)[:, None], (2, 1))
    regression = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(
        doubled,
        np.repeat([1, 0], labels.size),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    assert slope == pytest.approx(regression.coef_[0, 0], rel=1e-4)
    assert offset == pytest.approx(regression.intercept_[0], rel=1e-4)


def test_calibrated_scores_mean_what_they_say():
    generator = np.random.default_rng(5)
    truth = sigmoid(3 * generator.standard_normal(50_000))
    labels = (generator.random(50_000) < truth).astype(np.int8)
    overconfident = sigmoid(2.5 * logit(truth) + 1)
    task = replace(TASKS[0], calibration=calibrate(overconfident, labels))
    calibrated = calibrated_scores([task], overconfident[:, None])[:, 0]
    for low in (0.1, 0.4, 0.8):
        near = (calibrated >= low) & (calibrated < low + 0.1)
        assert labels[near].mean() == pytest.approx(calibrated[near].mean(), abs=0.03)


def test_separable_scores_keep_a_finite_slope():
    scores = np.array([1e-9] * 50 + [1 - 1e-9] * 50)
    slope, offset = calibrate(scores, np.repeat([0, 1], 50).astype(np.int8))
    assert 0 < slope < 1
    assert math.isfinite(offset)


def test_scores_that_point_the_wrong_way_are_left_alone():
    labels = np.repeat([0, 1], 50).astype(np.int8)
    assert calibrate(np.repeat([0.9, 0.1], 50), labels) == (1.0, 0.0)


def test_the_threshold_lies_between_benign_and_attack():
    benign, attack = np.array([0.1, 0.6, 0.2]), np.array([0.99, 0.85])
    threshold = choose_threshold(benign, attack, 0)
    middle = (logit(np.array(0.6)) + logit(np.array(0.85))) / 2
    assert threshold == pytest.approx(float(sigmoid(middle)), abs=1e-6)


def test_the_threshold_stays_near_its_budget_where_attacks_score_far_above():
    threshold = choose_threshold(np.array([0.6]), np.array([0.9999]), 0)
    assert logit(np.array(threshold)) - logit(np.array(0.6)) == pytest.approx(REACH, abs=1e-4)


def test_the_budget_lets_the_highest_benign_scores_pass_and_no_more():
    benign = np.array([0.9, 0.8, 0.7, 0.2])
    attack = np.array([0.95, 0.75])
    for allowed in range(4):
        threshold = choose_threshold(benign, attack, allowed)
        assert (benign >= threshold).sum() <= allowed
    # With two allowed: above 0.7, below the attack at 0.75.
    assert 0.7 < choose_threshold(benign, attack, 2) < 0.75


def test_a_threshold_keeps_its_distance_from_the_benign_score_below():
    benign, attack = np.array([0.8]), np.array([0.8001])
    threshold = choose_threshold(benign, attack, 0)
    assert logit(np.array(threshold)) - logit(np.array(0.8)) == pytest.approx(MARGIN, abs=1e-4)


def test_thresholds_stay_within_their_bounds():
    assert choose_threshold(np.array([0.001]), np.array([0.2]), 0) == FLOOR
    assert choose_threshold(np.array([0.99999]), np.array([]), 0) == CEILING
    assert choose_threshold(np.array([0.9]), np.array([0.95]), 1) == FLOOR


def test_the_budget_is_a_whole_number_of_incidents():
    assert budget(1, 86_399) == 0
    assert budget(1, 86_400) == 1
    assert budget(10, 3 * 8_640) == 3
