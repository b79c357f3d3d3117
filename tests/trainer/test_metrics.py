"""Figures of merit against scikit-learn's and against counting by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from trainer.metrics import average_precision, by_flow, roc_auc, roc_curve


def drawn(seed, ties):
    generator = np.random.default_rng(seed)
    labels = (generator.random(500) < 0.2).astype(np.int8)
    scores = generator.random(500) * 0.7 + labels * generator.random(500) * 0.6
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_areas_equal_scikit_learn(seed, ties):
    labels, scores = drawn(seed, ties)
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_equals_scikit_learn(ties):
    labels, scores = drawn(7, ties)
    false, found = roc_curve(labels, scores)
    expected_false, expected_found, _ = sklearn_roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(false, expected_false)
    np.testing.assert_allclose(found, expected_found)


def test_areas_by_hand():
    labels = np.array([1, 0, 1, 0], np.int8)
    scores = np.array([0.9, 0.5, 0.5, 0.1])
    # Pairs: 0.9 beats both, 0.5 ties with 0.5 and beats 0.1.
    assert roc_auc(labels, scores) == 3.5 / 4
    assert average_precision(labels, scores) == pytest.approx(1 * 0.5 + (2 / 3) * 0.5)


def test_one_class_has_no_area():
    ones = np.ones(3, np.int8)
    assert math.isnan(roc_auc(ones, np.arange(3.0)))
    assert math.isnan(roc_auc(1 - ones, np.arange(3.0)))
    assert math.isnan(average_precision(1 - ones, np.arange(3.0)))
    assert math.isnan(average_precision(ones[:0], np.zeros(0)))


#         flow, row, index, label, score, pattern
ROWS = [
    (7, 0, 0, 1, 0.2, 1),  # early
    (7, 1, 0, 1, 0.6, 2),  # full
    (7, 2, 1, 1, 0.9, 3),
    (3, 0, 0, 0, 0.8, 4),
    (3, 1, 0, 0, 0.3, 5),
    (3, 2, 1, 0, 0.8, 6),
    (5, 0, 0, -1, 1.0, 7),
    (9, 0, 0, 0, 0.3, 5),
]


@pytest.fixture(params=[1, -1], ids=["in order", "backwards"])
def gather(request):
    table = np.array(ROWS)[:: request.param]

    def gather(policy):
        return by_flow(
            policy,
            flow=table[:, 0].astype(np.int64),
            row=table[:, 1].astype(np.int32),
            sequence_index=table[:, 2].astype(np.int32),
            labels=table[:, 3].astype(np.int8),
            scores=table[:, 4],
            patterns=table[:, 5].astype(np.int64),
        )

    return gather


def test_first_takes_the_last_row_of_sequence_0(gather):
    flows = gather("first")
    assert flows.labels.tolist() == [0, 1, 0]
    assert flows.scores.tolist() == [0.3, 0.6, 0.3]
    assert flows.patterns.tolist() == [5, 2, 5]


def test_repeat_takes_the_highest_score_and_of_equal_ones_the_earliest(gather):
    flows = gather("repeat")
    assert flows.scores.tolist() == [0.8, 0.9, 0.3]
    assert flows.patterns.tolist() == [4, 3, 5]


def test_a_pattern_counts_once_a_label(gather):
    distinct = gather("first").distinct()
    assert distinct.patterns.tolist() == [5, 2]
    assert distinct.scores.tolist() == [0.3, 0.6]
