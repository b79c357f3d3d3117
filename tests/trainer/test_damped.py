"""Damped sums over runs against sums that are worked out by hand and by a loop."""

import numpy as np

from trainer.baselines.damped import DECAYS, NEVER, Runs, moments


def test_halves_in_a_second_at_a_decay_of_one():
    runs = Runs.of(np.array([7, 7, 7]))
    clock = np.array([0, 1, 3]) * 1_000_000_000
    elapsed = runs.elapsed(clock, np.array([NEVER]))
    assert elapsed.tolist() == [0, 1, 2]
    sums = runs.sums(elapsed, np.array([[[8.0, 4.0, 1.0]]]), np.zeros((8, 1, 5)))
    assert DECAYS[2] == 1
    assert sums[0, 2].tolist() == [8, 8, 3]


def test_equals_a_loop_over_packets_and_goes_on_in_the_next_block():
    random = np.random.default_rng(3)
    before, last_ns = np.zeros((5, 2, 5)), np.full(5, NEVER)
    sums, last = np.zeros((5, 2, 5)), dict[int, int]()
    clock_ns = 0
    for packets in (1, 60, 300):
        stream = random.integers(0, 5, packets)
        clock = clock_ns + np.cumsum(random.integers(0, 10**9, packets))
        added = random.normal(size=(2, 5, packets))
        runs = Runs.of(stream)
        elapsed = runs.elapsed(clock, last_ns[runs.stream])
        result = runs.sums(elapsed, added[:, :, runs.order], before)
        for position, packet in enumerate(runs.order.tolist()):
            each, now = int(stream[packet]), int(clock[packet])
            gap = (now - last.get(each, now)) / 1e9
            sums[each] = sums[each] * 2 ** (-np.array(DECAYS) * gap) + added[:, :, packet]
            last[each] = now
            np.testing.assert_allclose(elapsed[position], gap)
            np.testing.assert_allclose(result[:, :, position], sums[each], atol=1e-12)
        last_ns[list(last)] = list(last.values())
        clock_ns = int(clock[-1])
        np.testing.assert_allclose(before, sums, atol=1e-12)


def test_the_last_of_the_other_side_lies_in_the_same_run():
    runs = Runs.of(np.array([0, 0, 0, 0, 1, 1, 1]))
    last, exists = runs.last_of_other_side(np.array([0, 0, 1, 0, 1, 1, 0]))
    assert exists.tolist() == [False, False, True, True, False, False, True]
    assert last[exists].tolist() == [1, 2, 5]


def test_a_variance_of_equal_values_is_zero_and_of_others_the_weighted_one():
    weight = np.array([0.3, 1.0, 1.0])
    values = np.array([[0.1, 0.1, 0.1], [1.0, 2.0, 6.0]])
    for value in values:
        sums = np.array([weight.sum(), (weight * value).sum(), (weight * value**2).sum()])
        mean, variance = moments(sums[:, None, None])
        np.testing.assert_allclose(mean, np.average(value, weights=weight))
        expected = np.average((value - value.mean()) ** 2, weights=weight)
        expected -= (np.average(value, weights=weight) - value.mean()) ** 2
        np.testing.assert_allclose(variance, expected if np.ptp(value) else 0, atol=0)
