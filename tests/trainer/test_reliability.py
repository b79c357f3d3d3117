"""Reliability bins by hand."""

import math

import numpy as np
import pytest

from trainer.reliability import Bin, calibration_error, reliability


def test_bins_hold_flows_by_tenths_of_the_score():
    scores = np.array([0.0, 0.05, 0.1, 0.19, 0.95, 1.0])
    labels = np.array([0, 0, 0, 1, 1, 1])
    bins = reliability(labels, scores)
    assert [each.flows for each in bins] == [2, 2, 2]
    assert [each.score for each in bins] == pytest.approx([0.025, 0.145, 0.975])
    assert [each.attacks for each in bins] == [0, 0.5, 1]
    wanted = (2 * 0.025 + 2 * 0.355 + 2 * 0.025) / 6
    assert calibration_error(bins) == pytest.approx(wanted)


def test_scores_that_are_shares_have_no_error_and_sure_mistakes_have_all_of_it():
    assert calibration_error([Bin(10, 0.3, 0.3), Bin(90, 0.9, 0.9)]) == 0
    assert calibration_error(reliability(np.zeros(5, int), np.ones(5))) == 1
    assert math.isnan(calibration_error([]))
