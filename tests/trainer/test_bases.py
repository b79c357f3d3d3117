import numpy as np
import pytest

from sensor.errors import SeriesError
from trainer.latency.bases import cleaned, generated, rotated, spread
from trainer.latency.series import LatencySeries


def series(rtts: np.ndarray) -> LatencySeries:
    return LatencySeries("path", np.arange(len(rtts), dtype=np.int64) * 10, rtts.astype(float))


def test_spread_is_a_standard_deviation_that_outliers_do_not_move() -> None:
    # The median is 3, distances from it are 2, 1, 0, 1 and 97.
    assert spread(np.array([1.0, 2.0, 3.0, 4.0, 100.0])) == pytest.approx(1.4826)
    rng = np.random.default_rng(0)
    values = rng.normal(50, 2, 100_000)
    values[:1000] = 10_000
    assert spread(values) == pytest.approx(2, rel=0.03)
    assert spread(np.full(5, 20.0)) == pytest.approx(0.002)


def test_a_cleaned_series_has_one_level_and_no_outliers() -> None:
    rng = np.random.default_rng(0)
    rtts = 100 + rng.normal(0, 1, 3000)
    rtts[1000:2000] += 40
    rtts[[50, 500, 1500]] += 300
    rtts[[7, 8, 2500]] = np.nan
    clean = cleaned(series(rtts))
    assert np.array_equal(clean.answered, ~np.isnan(rtts))
    assert clean.truth["outage"].nonzero()[0].tolist() == [7, 8, 2500]
    assert np.array_equal(clean.time_ns, series(rtts).time_ns)
    level = np.nanmedian(rtts)
    assert np.nanmax(np.abs(clean.rtt_ms - level)) < 3.5
    # The block has gone but for a measurement or two at its edges.
    inside, outside = clean.rtt_ms[1010:1990], clean.rtt_ms[10:990]
    assert np.nanmean(inside) == pytest.approx(np.nanmean(outside), abs=0.2)
    assert np.nanstd(outside) == pytest.approx(1, abs=0.15)


def test_a_cleaned_series_has_no_time_below_half_its_level() -> None:
    rtts = np.random.default_rng(0).uniform(1, 200, 1000)
    assert np.nanmin(cleaned(series(rtts)).rtt_ms) >= np.median(rtts) / 2


def test_a_base_needs_answers() -> None:
    rtts = np.full(1000, np.nan)
    rtts[:29] = 5
    with pytest.raises(SeriesError, match="path: 29 answers; a base has at least 30"):
        cleaned(series(rtts))
    rtts[29] = 5
    assert np.nanmax(cleaned(series(rtts)).rtt_ms) == 5


def test_generated_bases_are_quiet_paths() -> None:
    levels, deviations = [], []
    for seed in range(40):
        base = generated("quiet", 5000, np.random.default_rng(seed))
        values = base.rtt_ms[base.answered]
        assert (values > 0).all()
        assert base.answered.mean() == pytest.approx(0.999, abs=0.002)
        assert np.array_equal(base.truth["outage"] == 1, ~base.answered)
        assert (base.gap_ns[1:] > 0).all()
        levels.append(np.mean(values))
        deviations.append(np.std(values) / np.mean(values))
        # Skewed to the right, as queues make it.
        assert np.mean((values - np.mean(values)) ** 3) > 0
    assert 4.8 < min(levels) < 12
    assert 100 < max(levels) < 260
    # The wave adds an eighth to the variance.
    assert 0.0005 < min(deviations) < 0.002
    assert 0.015 < max(deviations) < 0.033


def test_a_base_goes_on_at_its_beginning() -> None:
    times = np.array([0, 10, 20, 50], np.int64)
    base = LatencySeries("path", times, np.array([1.0, 2.0, np.nan, 4.0]))
    seen = set()
    for seed in range(20):
        turned = rotated(base, "path#1", 6, np.random.default_rng(seed))
        first = 0 if np.isnan(turned.rtt_ms[0]) else int(turned.rtt_ms[0])
        seen.add(first)
        if first == 4:
            assert np.array_equal(turned.rtt_ms, [4, 1, 2, np.nan, 4, 1], equal_nan=True)
            # From 50 by the median gap of 10, 10 and 30, to the beginning.
            assert turned.time_ns.tolist() == [50, 60, 70, 80, 110, 120]
            assert turned.truth["outage"].tolist() == [0, 0, 0, 1, 0, 0]
    assert seen == {0, 1, 2, 4}
