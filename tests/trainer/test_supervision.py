"""From tables to labels of each task."""

import math

import numpy as np
import pytest

from sensor.errors import LabelError
from trainer.weak.functions import LabelingFunction, Task
from trainer.weak.supervision import Agreement, require_two_classes, supervise

NOISE, SWELL = Task("noise"), Task("swell")


def function(name, task, vote):
    return LabelingFunction(name, task, ("x",), lambda given: vote(given["x"]))


FUNCTIONS = [
    function("n1", NOISE, lambda x: (x > 8).astype(int)),
    function("s1", SWELL, lambda x: np.where(x < 2, 0, -1)),
    function("n2", NOISE, lambda x: np.where(x > 7, 1, 0)),
    function("n3", NOISE, lambda x: np.where(x == 9, 1, np.where(x == 8, -1, 0))),
]
TABLES = [{"x": np.arange(10)}, {"x": np.array([9, 0])}]


def test_tasks_have_their_own_patterns_and_models():
    noise, swell = supervise(FUNCTIONS, TABLES)
    assert [f.name for f in noise.functions] == ["n1", "n2", "n3"]
    assert noise.patterns.votes.tolist() == [[0, 0, 0], [0, 1, -1], [1, 1, 1]]
    assert noise.patterns.counts.tolist() == [9, 1, 2]
    assert swell.patterns.counts.tolist() == [3, 9]
    likely = noise.probabilities()[:, 1]
    assert likely[0] < 0.1
    assert likely[2] > 0.9


def test_balance_by_task():
    noise, _ = supervise(FUNCTIONS, TABLES, {"noise": (0.5, 0.5)})
    assert noise.model.balance == pytest.approx([0.5, 0.5])


def test_agreement_by_hand():
    """Two patterns said to be 1, with 3 and 1 rows that are; 2 rows of the other one are 1."""
    agreement = Agreement.of(np.array([1, 0, 1]), np.array([[1, 3], [4, 2], [0, 1]]))
    assert agreement == Agreement(11, 8 / 11, 4 / 5, 4 / 6)
    nothing = Agreement.of(np.array([0]), np.array([[5, 0]]))
    assert math.isnan(nothing.precision)
    assert nothing.document() == {"rows": 5, "accuracy": 1, "precision": None, "recall": None}


def test_agreements_and_reports_against_truth():
    noise, _ = supervise(FUNCTIONS, TABLES)
    truth = np.array([0] * 9 + [1, 1, -1], np.int8)
    assert {name: each.recall for name, each in noise.agreements(truth).items()} == (
        {"label model": 1.0, "majority vote": 1.0}
    )
    assert noise.report(truth).functions[1].wrong == 1  # at x = 8


SILENT = function("n", NOISE, lambda x: np.full(len(x), -1))


def test_nobody_votes():
    with pytest.raises(LabelError, match="task noise: no function votes on any row"):
        supervise([SILENT], TABLES)


def test_a_task_on_which_nobody_votes_is_left_out():
    (swell,) = supervise([SILENT, FUNCTIONS[1]], TABLES)
    (alone,) = supervise([FUNCTIONS[1]], TABLES)
    assert swell.task == SWELL
    np.testing.assert_array_equal(swell.probabilities(), alone.probabilities())


def test_labels_have_two_classes():
    three = Task("swell", ("none", "small", "large"))
    votes = supervise([function("t", three, lambda x: x % 3), FUNCTIONS[0]], TABLES)
    with pytest.raises(LabelError, match="task swell: t votes for none, small, large, but labels"):
        require_two_classes(votes)
    require_two_classes(votes[1:])
