"""Temperatures and thresholds, by examples that are worked out by hand."""

import numpy as np
import pytest

from trainer.annotating.abstention import abstain_below, calibration_error, temperature


def two_classes(best, hits):
    """Probabilities and labels by the first class's, which is the best, and if it is right."""
    best = np.array(best, np.float32)
    return np.stack([best, 1 - best], axis=1), np.where(hits, 0, 1).astype(np.int32)


BEST = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6]
HITS = [1, 1, 1, 0, 1, 0, 0, 1]
"""Of the first 3 all are right, of 5 four, of 8 five."""


@pytest.mark.parametrize(
    ("right", "told", "expected"),
    [
        (1.0, 0.1, 0.825),  # three are told, between 0.85 and 0.8
        (0.8, 0.1, 0.725),  # five
        (0.625, 0.1, 0.0),  # all
        (0.8, 0.9, 0.0),  # all must be told, though not enough are right
        (1.0, 0.5, 0.775),  # four must be, of which one is wrong
        (1.0, 0.0, 0.825),
    ],
)
def test_the_least_threshold_at_which_enough_of_the_told_are_right(right, told, expected):
    probabilities, labels = two_classes(BEST, HITS)
    order = np.random.default_rng(1).permutation(8)
    assert abstain_below(probabilities[order], labels[order], right, told) == expected


def test_flows_of_unknown_class_decide_nothing():
    probabilities, labels = two_classes([*BEST, 0.99, 0.99], [*HITS, 0, 0])
    labels[-2:] = -1
    assert abstain_below(probabilities, labels, 1.0, 0.1) == 0.825
    assert abstain_below(probabilities, np.full(10, -1, np.int32), 1.0, 0.1) == 0


def test_equal_probabilities_are_told_together():
    probabilities, labels = two_classes([0.9, 0.8, 0.8, 0.7], [1, 1, 0, 0])
    assert abstain_below(probabilities, labels, 1.0, 0.1) == 0.85


def test_a_temperature_makes_what_is_said_as_often_right():
    """Logits 0 and 2 say 88 %; where 3 of 4 are right, logits 0 and ln 3 do: 2 / ln 3 = 1.82."""
    said = 1 / (1 + np.exp(-2.0))
    probabilities, labels = two_classes([said] * 4, [1, 1, 1, 0])
    assert temperature(probabilities, labels) == pytest.approx(2 / np.log(3), rel=0.015)
    assert temperature(probabilities, np.full(4, -1, np.int32)) == 1


def test_calibration_error_by_hand():
    """Two flows are in the bin from 0.9 on, one in that from 0.6 on, one in that before."""
    probabilities, labels = two_classes([0.95, 0.95, 0.62, 0.58], [1, 0, 1, 1])
    parts = [abs(1.9 - 1), abs(0.62 - 1), abs(0.58 - 1)]
    assert calibration_error(probabilities, labels) == pytest.approx(sum(parts) / 4, abs=1e-6)
    perfect, right = two_classes([1.0] * 3, [1, 1, 1])
    assert calibration_error(perfect, right) == 0
