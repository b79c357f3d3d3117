"""Bounds and intervals against tables, and against what a person works out."""

import math

import numpy as np
import pytest

from trainer.uncertainty import bootstrap, poisson_upper


@pytest.mark.parametrize(
    ("count", "upper"),
    # Garwood's one-sided 95 % limits, as tables of the chi-square distribution give them.
    [(0, 2.9957), (1, 4.7439), (2, 6.2958), (3, 7.7537), (5, 10.5130), (10, 16.9622)],
)
def test_the_bound_is_that_of_the_tables(count, upper):
    assert poisson_upper(count) == pytest.approx(upper, abs=1e-4)


def test_the_bound_for_none_is_the_logarithm_and_large_counts_are_near_the_normal_bound():
    assert poisson_upper(0, 0.99) == pytest.approx(-math.log(0.01))
    assert poisson_upper(10_000) == pytest.approx(10_000 + 1.645 * 100, rel=1e-3)


def test_an_interval_comes_from_groups_and_not_from_flows():
    groups = np.repeat([0, 1, 2, 3], 1_000)
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 1_000)
    low, high = bootstrap(groups, lambda rows: float(values[rows].mean()), seed=1)
    # Four draws of 0 or 1: all alike has a chance of 1/16 at each end, above the 2.5 % cut off.
    assert (low, high) == (0.0, 1.0)
    alone = bootstrap(np.arange(4_000), lambda rows: float(values[rows].mean()), seed=1)
    assert alone[0] == pytest.approx(0.5 - 1.96 * 0.5 / math.sqrt(4_000), abs=4e-3)
    assert alone[1] == pytest.approx(0.5 + 1.96 * 0.5 / math.sqrt(4_000), abs=4e-3)


def test_an_interval_needs_two_groups_and_leaves_out_samples_without_a_value():
    nothing = bootstrap(np.zeros(9, int), lambda rows: float(rows.size), seed=0)
    assert all(map(math.isnan, nothing))
    nan = bootstrap(np.arange(3), lambda _: float("nan"), seed=0)
    assert all(map(math.isnan, nan))
    some = bootstrap(
        np.arange(3), lambda rows: float("nan") if 0 in rows else float(rows.max()), seed=0
    )
    assert some == (1.0, 2.0)


def test_the_same_seed_gives_the_same_interval():
    groups, values = np.arange(40), np.random.default_rng(0).random(40)
    first, second, other = (
        bootstrap(groups, lambda rows: float(values[rows].mean()), seed=seed) for seed in (1, 1, 2)
    )
    assert first == second != other
