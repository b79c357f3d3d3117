import itertools

import numpy as np
import pytest

from sensor.errors import UsageError
from trainer.latency.bases import spread
from trainer.latency.generator import Features, generate, with_features
from trainer.latency.series import TASKS, LatencySeries


def base(length: int, seed: int = 0) -> LatencySeries:
    """Around 100 ms, with a spread of about 1 ms and a measurement in 100 without an answer."""
    rng = np.random.default_rng(seed)
    rtts = 100 + rng.normal(0, 1, length).clip(-3, 3)
    rtts[rng.random(length) < 0.01] = np.nan
    return LatencySeries("path", np.arange(length, dtype=np.int64), rtts)


def added(clean: LatencySeries, seed: int, features: Features | None = None) -> LatencySeries:
    return with_features(clean, np.random.default_rng(seed), features or Features())


def runs(flags: np.ndarray) -> list[tuple[bool, int]]:
    """Values with the lengths of their runs."""
    return [(bool(value), len(list(its))) for value, its in itertools.groupby(flags.tolist())]


@pytest.mark.parametrize("seed", range(5))
def test_truth_is_what_was_done_to_the_base(seed: int) -> None:
    clean = base(20_000, seed)
    series = added(clean, seed)
    assert (series.name, series.truth.keys()) == ("path", set(TASKS))
    assert np.array_equal(series.time_ns, clean.time_ns)
    noise, outage, swell = (series.truth[task] == 1 for task in TASKS)
    assert all(set(np.unique(values)) == {0, 1} for values in series.truth.values())
    assert np.array_equal(np.isnan(series.rtt_ms), outage)
    assert outage[~clean.answered].all()
    assert not (noise & outage).any()
    assert not (swell & outage).any()
    assert (noise & swell).any(), "noise within swells stays"
    raised = series.rtt_ms - clean.rtt_ms
    assert (raised[~(noise | swell | outage)] == 0).all()
    unit = spread(clean.rtt_ms[clean.answered])
    level = np.nanmedian(clean.rtt_ms)
    # Measurements of a swell lie within 0.8 and 1.2 of 1.5 spreads and of a tenth of the level,
    # of which there are more than 15 spreads would be.
    only_swell = raised[swell & ~noise]
    assert 15 * unit > 0.1 * level
    assert only_swell.min() >= 0.8 * 1.5 * unit - 1e-9
    assert only_swell.max() <= 1.2 * 15 * unit + 1e-9
    # Noise exceeds every clean measurement by two spreads at least.
    most = np.nanmax(clean.rtt_ms)
    assert series.rtt_ms[noise].min() >= most + 2 * unit
    only_noise = raised[noise & ~swell] - (most - np.nanmin(clean.rtt_ms))
    assert only_noise.min() >= 2 * unit - 1e-9
    assert only_noise.max() <= max(30 * unit, 0.3 * level)


def test_rates_are_the_papers() -> None:
    clean = base(400_000)
    noise, outage, swell = (added(clean, 0).truth[task] == 1 for task in TASKS)
    # Four standard deviations of a share of 380,000 measurements are 0.0007.
    assert noise.sum() / (~outage).sum() == pytest.approx(0.01, abs=0.0007)
    # A measurement lies in no outage if none began at it or up to 19 before, as long as it takes,
    # and if the base answered: of lengths 2 to 20, (22 - j)/19 last for j or more, and 1 for j = 1.
    free = (1 - 0.005) * np.prod([1 - 0.005 * (21 - j) / 19 for j in range(2, 21)])
    assert (~outage).mean() == pytest.approx(free * 0.99, abs=0.003)
    # A thousandth begins a swell of 144 measurements on average.
    assert swell.sum() / (~outage).sum() == pytest.approx(0.144, abs=0.02)


def test_outages_last_for_a_random_while() -> None:
    clean = LatencySeries("path", np.arange(600_000, dtype=np.int64), np.full(600_000, 10.0))
    series = added(clean, 1, Features(outage=0.0005))
    lengths = [length for is_outage, length in runs(series.truth["outage"]) if is_outage]
    # So rare that hardly any two meet.
    assert set(range(2, 21)) <= set(lengths)
    assert min(lengths) == 2
    assert np.mean(np.array(lengths) > 20) < 0.01


@pytest.mark.parametrize("length", [500, 2_000, 50_000])
def test_swells_are_at_least_three_with_gaps(length: int) -> None:
    for seed in range(10):
        clean = base(length, seed)
        series = added(clean, seed, Features(outage=0.001))
        blocks = runs(series.truth["swell"][series.answered])
        swells = [size for is_swell, size in blocks if is_swell]
        assert len(swells) >= 3
        assert all(32 <= size <= 256 for size in swells)
        gaps = [size for is_swell, size in blocks[1:-1] if not is_swell]
        assert min(gaps) >= 32
        assert len(set(swells)) > 1
    assert length < 50_000 or len(swells) == pytest.approx(50, abs=25)


def test_low_swells_drown_in_the_jitter_of_single_measurements() -> None:
    clean = base(400_000)
    series = added(clean, 2)
    within = series.truth["swell"] == 1
    unit = spread(clean.rtt_ms[clean.answered])
    low = (series.rtt_ms - clean.rtt_ms)[within & (series.truth["noise"] == 0)] < 2 * unit
    assert 0.03 < low.mean() < 0.3
    highest = np.nanmax(clean.rtt_ms)
    hidden = series.rtt_ms[within & (series.truth["noise"] == 0)][low] < highest
    assert hidden.mean() > 0.5


def test_a_steady_path_is_raised_by_shares_of_its_level() -> None:
    clean = LatencySeries("path", np.arange(200_000, dtype=np.int64), np.full(200_000, 100.0))
    series = added(clean, 3)
    noise, outage, swell = (series.truth[task] == 1 for task in TASKS)
    # Its spread is a ten-thousandth of the level: 2 of them are 0.02 ms, 0.3 levels are 30 ms.
    raised = series.rtt_ms - 100
    assert 0.02 <= raised[noise & ~swell].min() < 1
    assert 29 < raised[noise & ~swell].max() <= 30
    assert 0.8 * 0.015 <= raised[swell & ~noise].min() < 0.03
    assert 8 < raised[swell & ~noise].max() <= 12
    assert (raised[~(noise | outage | swell)] == 0).all()


def test_nothing_is_added_where_nothing_is_asked_for() -> None:
    clean = base(5_000)
    series = added(clean, 0, Features(noise=0, outage=0, swell=0))
    assert not series.truth["noise"].any()
    assert np.array_equal(series.truth["outage"] == 1, ~clean.answered)
    assert len([1 for is_swell, _ in runs(series.truth["swell"][series.answered]) if is_swell]) == 3


def test_what_is_too_short_for_three_swells_is_refused() -> None:
    assert Features().least_answers == 384
    with pytest.raises(UsageError, match=r"path: .* answers of 300 are too few for 3 swells"):
        added(base(300), 0)


def test_series_depend_on_the_seed_and_their_number_alone() -> None:
    some, more = (list(generate(count, 1000, 7)) for count in (3_000, 5_500))
    assert [len(series) for series in more] == [1000, 1000, 1000, 1000, 1500]
    assert [series.name for series in some] == ["generated 0", "generated 1", "generated 2"]
    for one, other in zip(some, more, strict=False):
        assert np.array_equal(one.rtt_ms, other.rtt_ms, equal_nan=True)
        assert np.array_equal(one.time_ns, other.time_ns)
        assert all(np.array_equal(one.truth[task], other.truth[task]) for task in TASKS)
    [other] = generate(1000, 1000, 8)
    assert not np.array_equal(some[0].rtt_ms, other.rtt_ms, equal_nan=True)
    assert not np.array_equal(some[0].rtt_ms, some[1].rtt_ms, equal_nan=True)


def test_bases_are_taken_in_turn() -> None:
    names = ("a", "b")
    bases = [LatencySeries(name, base(800).time_ns, base(800).rtt_ms) for name in names]
    made = list(generate(4_000, 1000, 0, bases))
    assert [series.name for series in made] == ["a#0", "b#1", "a#2", "b#3"]
    assert not np.array_equal(made[0].rtt_ms, made[2].rtt_ms, equal_nan=True)
    # What nothing was added to are measurements of the base.
    untouched = sum(made[0].truth[task] for task in TASKS) == 0
    assert np.isin(made[0].rtt_ms[untouched], bases[0].rtt_ms).all()
