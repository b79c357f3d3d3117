"""Counts among the rows around each row, beside counting one row after the other."""

import numpy as np
import pytest

from trainer.weak.counting import count_around, first_of, numbered


def drawn(seed, rows=200):
    rng = np.random.default_rng(seed)
    asked, there = rng.integers(-1, 4, (2, rows))
    return asked, there, np.cumsum(rng.integers(0, 3, rows))


def test_rows_are_numbered_alike_where_all_columns_are_equal():
    high = np.array([2**63, 0, 2**63, 0, 2**63], np.uint64)
    low = np.array([1, 2**63 + 1, 1, 2**63 + 1, 2], np.uint64)
    port = np.array([80, 80, 80, 81, 80], np.uint16)
    found = numbered(high, low, port)
    alike = found[:, None] == found
    expected = np.eye(5, dtype=bool)
    expected[0, 2] = expected[2, 0] = True
    np.testing.assert_array_equal(alike, expected)
    assert sorted(set(found.tolist())) == [0, 1, 2, 3]


@pytest.mark.parametrize(("rows", "span"), [(5, 1_000), (1_000, 4), (7, 6), (0, 0)])
def test_counts_are_those_of_each_row_by_itself(rows, span):
    asked, there, times = drawn(rows)
    expected = [
        sum(
            there[j] == asked[i] >= 0 and abs(i - j) <= rows and abs(times[i] - times[j]) <= span
            for j in range(len(times))
        )
        for i in range(len(times))
    ]
    assert count_around(asked, there, times, rows, span).tolist() == expected
    assert rows == 0 or max(expected) > 1


@pytest.mark.parametrize("rows", [0, 1, 6, 1_000])
def test_first_is_what_no_row_before_is_about(rows):
    numbers, _, _ = drawn(3)
    expected = [
        number >= 0 and number not in numbers[max(0, place - rows) : place]
        for place, number in enumerate(numbers)
    ]
    assert first_of(numbers, rows).tolist() == expected


def test_no_rows():
    none = np.zeros(0, np.int64)
    assert not numbered(none).size
    assert not count_around(none, none, none, 3, 3).size
    assert not first_of(none, 3).size
