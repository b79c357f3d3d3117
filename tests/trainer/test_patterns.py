"""Distinct votes with counts, in the order of their first rows."""

import numpy as np

from trainer.weak.patterns import Patterns, Tally

VOTES = np.array([[1, -1], [0, 0], [1, -1], [0, 1], [1, -1]], np.int8)


def test_by_hand():
    patterns = Patterns.of([VOTES])
    assert patterns.votes.tolist() == [[1, -1], [0, 0], [0, 1]]
    assert patterns.counts.tolist() == [3, 1, 1]
    assert patterns.number.tolist() == [0, 1, 0, 2, 0]
    assert (len(patterns), patterns.rows) == (3, 5)


def test_truth_by_pattern_leaves_unknown_out():
    truth = np.array([1, 0, -1, 1, 0], np.int8)
    assert Patterns.of([VOTES]).truths(truth, 2).tolist() == [[1, 1], [1, 0], [0, 1]]


def test_tables_follow_each_other_and_columns_are_chosen():
    tally = Tally([1])
    for table in (VOTES[:2], VOTES[:0], VOTES[2:]):
        tally.add(table)
    patterns = tally.patterns()
    assert patterns.votes.tolist() == [[-1], [0], [1]]
    assert patterns.number.tolist() == [0, 1, 0, 2, 0]


def test_without_rows():
    patterns = Patterns.of([VOTES[:0]])
    assert (patterns.votes.shape, patterns.rows) == ((0, 2), 0)


def test_many_functions_of_many_classes():
    votes = np.random.default_rng(0).integers(-1, 127, (3000, 30)).astype(np.int8)
    votes[1000:2000] = votes[:1000]
    patterns = Patterns.of([votes])
    assert len(patterns) == len(np.unique(votes, axis=0)) == 2000
    np.testing.assert_array_equal(patterns.votes[patterns.number], votes)
