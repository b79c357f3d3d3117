import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from trainer.latency.change_points import SHAO_TOLERANCE, Tally, changes, pairs, tally, total


@pytest.mark.parametrize(
    ("marked", "found", "tolerance", "expected"),
    [
        ([10], [12], 2, [(10, 12)]),
        ([10], [13], 2, []),
        ([10], [7], 2, []),
        ([10, 20], [], 2, []),
        ([], [3], 2, []),
        # One found point fits two marks, and counts once, for the closer one.
        ([10, 13], [12], 2, [(13, 12)]),
        # Two found points near one mark: the other is false.
        ([10], [9, 10, 11], 2, [(10, 10)]),
        # The closest first would leave 14 without a partner: two pairs are more than one.
        ([10, 12], [11, 14], 2, [(10, 11), (12, 14)]),
        ([12, 10], [14, 11, 11], 2, [(10, 11), (12, 14)]),
        # Of the two ways to have two pairs, the one of distance 0 + 1.
        ([10, 20], [10, 12, 21], 3, [(10, 10), (20, 21)]),
        ([5, 6, 7], [5, 6, 7], 0, [(5, 5), (6, 6), (7, 7)]),
    ],
)
def test_pairs_by_hand(
    marked: list[int], found: list[int], tolerance: int, expected: list[tuple[int, int]]
) -> None:
    assert list(map(tuple, pairs(marked, found, tolerance).tolist())) == expected


def test_pairs_are_those_of_a_general_assignment() -> None:
    """As rtt's evaluation finds them: the cheapest of the largest matchings, by munkres there."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = rng.integers(1, 12, 2)
        marked, found = (np.unique(rng.integers(0, 40, n)) for n in size)
        tolerance = int(rng.integers(0, 6))
        apart = np.abs(marked[:, None] - found[None, :])
        cost = np.where(apart <= tolerance, apart, 1000)
        rows, columns = linear_sum_assignment(cost)
        wanted = [cost[r, c] for r, c in zip(rows, columns, strict=True) if cost[r, c] < 1000]
        ours = pairs(marked, found, tolerance)
        assert len(ours) == len(wanted)
        assert np.abs(ours[:, 0] - ours[:, 1]).sum() == sum(wanted)
        assert all(len(np.unique(column)) == len(ours) for column in ours.T)


def test_precision_and_recall() -> None:
    one = tally([10, 20, 30, 40], [11, 22, 35], SHAO_TOLERANCE)
    assert one == Tally(marked=4, found=3, matched=2, distance=3)
    assert (one.precision, one.recall) == (pytest.approx(2 / 3), 0.5)
    assert one.f1 == pytest.approx(4 / 7)
    assert one.mean_distance == 1.5
    both = total([one, tally([5], [5], 0), tally([], [1], 0)])
    assert both == Tally(marked=5, found=5, matched=3, distance=3)
    assert (both.precision, both.recall) == (0.6, 0.6)


def test_of_nothing_there_is_no_share() -> None:
    nothing = tally([], [], 2)
    assert nothing == Tally()
    shares = (nothing.precision, nothing.recall, nothing.f1, nothing.mean_distance)
    assert all(math.isnan(share) for share in shares)
    assert (tally([1], [], 2).recall, tally([], [1], 2).precision) == (0.0, 0.0)


def test_changes_are_where_a_verdict_is_another_than_before() -> None:
    assert changes([0, 0, 1, 1, 0, 1]).tolist() == [2, 4, 5]
    assert changes(np.array([True, True])).tolist() == []
    assert changes([]).tolist() == []
