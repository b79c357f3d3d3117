"""Figures of labeling functions, as in the examples in Snorkel's LFAnalysis."""

import math

import numpy as np

from trainer.weak.functions import LabelingFunction, Task
from trainer.weak.patterns import Patterns
from trainer.weak.report import Report

TASK = Task("t")
FUNCTIONS = [LabelingFunction(name, TASK, (), lambda _: None) for name in ("a", "b", "c")]
VOTES = np.array([[-1, 0, 0], [-1, -1, -1], [1, 0, -1], [-1, 0, -1], [0, 0, 0]], np.int8)
"""The matrix of the examples."""


def test_as_in_the_documentation_of_snorkel():
    report = Report.of(Patterns.of([VOTES]), FUNCTIONS)
    assert (report.rows, report.coverage, report.overlap, report.conflict) == (5, 0.8, 0.6, 0.2)
    assert [each.polarity for each in report.functions] == [(0, 1), (0,), (0,)]
    assert [each.coverage for each in report.functions] == [0.4, 0.8, 0.4]
    assert [each.overlap for each in report.functions] == [0.4, 0.6, 0.4]
    assert [each.conflict for each in report.functions] == [0.2, 0.2, 0.0]
    assert all(math.isnan(each.accuracy) for each in report.functions)
    assert report.document()["functions"][0]["accuracy"] is None


def test_against_truth_as_far_as_it_is_known():
    """a: right in row 2, wrong in row 4. b: right in 0 and 3, wrong in 2 and 4. c: 0 and 4."""
    truth = np.array([0, 1, 1, 0, 1], np.int8)
    report = Report.of(Patterns.of([VOTES]), FUNCTIONS, truth)
    assert [(each.right, each.wrong) for each in report.functions] == [(1, 1), (2, 2), (1, 1)]
    truth[4] = -1
    report = Report.of(Patterns.of([VOTES]), FUNCTIONS, truth)
    assert [each.accuracy for each in report.functions] == [1.0, 2 / 3, 1.0]


def test_as_a_table():
    lines = Report.of(Patterns.of([VOTES]), FUNCTIONS, np.zeros(5, np.int8)).as_text(("no", "yes"))
    assert lines.splitlines()[1].split() == (
        ["a", "no,", "yes", "0.4000", "0.4000", "0.2000", "1", "0.5000"]
    )
    assert lines.splitlines()[-1].split() == ["any", "of", "them", "0.8000", "0.6000", "0.2000"]
