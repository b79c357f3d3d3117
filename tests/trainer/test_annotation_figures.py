"""Figures of what is told, by hand."""

import numpy as np
import pytest

from sensor.model.schema import AnnotationSpec
from trainer.annotating.annotation_figures import figures, split_columns

SPEC = AnnotationSpec("kind", ("a", "b", "c"), 8, abstain_below=0.6)


def test_figures_by_hand():
    """Of 4 known flows 3 are told and 2 of these are right; of the best classes 3 are."""
    scores = [[0.7, 0.2, 0.1], [0.3, 0.65, 0.05], [0.1, 0.8, 0.1], [0.3, 0.2, 0.5], [0, 0, 1.0]]
    found = figures(SPEC, np.array(scores, np.float32), np.array([0, 1, 2, 2, -1], np.int32))
    assert found.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert found.best.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert found.document() == {
        "accuracy": 0.6667,
        "flows": 4,
        "commonest": 0.5,
        "abstained": 0.25,
    }
    assert found.best_right == 0.75
    # One flow in each of four bins: off by 0.3, 0.35, 0.8 and 0.5.
    assert found.calibration_error == pytest.approx((0.3 + 0.35 + 0.8 + 0.5) / 4, abs=1e-6)


def test_where_nothing_is_known_or_told():
    nothing = figures(SPEC, np.zeros((0, 3), np.float32), np.zeros(0, np.int32))
    assert (nothing.accuracy, nothing.flows, nothing.commonest) == (0, 0, 0)
    unsure = figures(SPEC, np.full((2, 3), 1 / 3, np.float32), np.array([0, 1], np.int32))
    assert (unsure.accuracy, unsure.abstained, unsure.commonest) == (0, 1, 0.5)


def test_columns_belong_to_their_tasks():
    two = AnnotationSpec("two", ("x", "y"), 8)
    parts = split_columns((SPEC, two), np.arange(10, dtype=np.float32).reshape(2, 5))
    assert parts["kind"].tolist() == [[0, 1, 2], [5, 6, 7]]
    assert parts["two"].tolist() == [[3, 4], [8, 9]]
