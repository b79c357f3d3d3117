"""The usual round-trip time of a series, beside a reading of the rule a measurement at a time."""

import numpy as np
import pytest

from sensor.latency.usual import Usual, lower_medians


class Slowly:
    """One series."""

    def __init__(self):
        self.answers = []

    def push(self, rtt, answered):
        kept = sorted(self.answers[::8][-64:])
        if answered:
            self.answers.append(rtt)
        return kept[(len(kept) - 1) // 2] if kept else 0


@pytest.mark.parametrize("piece", [1, 7, 300])
def test_it_is_the_median_of_every_eighth_answer(piece):
    """Three series, of which one begins anew; 900 measurements reach beyond what is kept."""
    rng = np.random.default_rng(piece)
    usual, slowly = Usual(3), {slot: Slowly() for slot in range(3)}
    compared = 0
    while len(slowly[0].answers) < 900:
        slots = rng.permutation(3).astype(np.int32)
        sizes = rng.integers(1, piece + 1, 3)
        rtt = rng.integers(1, 60_000_000, sizes.sum()).astype(np.uint32)
        answered = rng.random(rtt.size) > 0.1
        found = usual.push(rtt, answered, slots, sizes)
        expected = [
            slowly[slot].push(*each)
            for slot, each in zip(
                np.repeat(slots, sizes).tolist(),
                zip(rtt.tolist(), answered.tolist(), strict=True),
                strict=True,
            )
        ]
        assert found.tolist() == expected
        compared += len(expected)
        if rng.random() < 0.01:
            usual.begin(np.array([2], np.int32))
            slowly[2] = Slowly()
    assert compared > 2_000


def test_nothing_is_usual_before_an_answer():
    usual = Usual(1)
    one = np.zeros(1, np.int32)
    found = usual.push(
        np.array([0, 0, 5, 9], np.uint32), np.array([False, False, True, True]), one, np.array([4])
    )
    assert found.tolist() == [0, 0, 0, 5]
    none = usual.push(np.zeros(0, np.uint32), np.zeros(0, np.bool_), one[:0], np.zeros(0, np.int64))
    assert none.size == 0


def test_of_two_in_the_middle_the_lower_one():
    rows = np.array([[4, 1, 3, 2], [9, 7, 0, 0], [5, 5, 5, 5]], np.uint32)
    there = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], np.bool_)
    assert lower_medians(rows, there).tolist() == [2, 7, 0]
