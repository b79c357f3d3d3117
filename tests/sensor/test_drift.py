import math

import numpy as np
import pytest
from command import ROOT

from sensor.model.canonical import parse
from sensor.model.score_counts import BINS, HOUR_NS, ScoreCounts
from sensor.service.health.drift import Drift, Window, benign_histogram, in_words, latest, stability

EDGES = [k / 20 for k in range(21)]
MANIFEST = {"histograms": {"scan": {"edges": EDGES, "benign": [9_000, 1_000] + [0] * 18}}}


def by_hand(live, benign):
    """The formula, term by term."""
    expected = [(each + 0.5) / (sum(benign) + len(benign) / 2) for each in benign]
    actual = [(n + e) / (sum(live) + 1) for n, e in zip(live, expected, strict=True)]
    return sum((a - e) * math.log(a / e) for a, e in zip(actual, expected, strict=True))


def test_index_of_two_bins():
    # Shares 0.5 and 0.5 against 0.9 and 0.1; with a million rows smoothing does not show.
    expected = (0.5 - 0.9) * math.log(0.5 / 0.9) + (0.5 - 0.1) * math.log(0.5 / 0.1)
    assert stability([500_000, 500_000], [900_000, 100_000]) == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(0.8789, abs=1e-4)


def test_index_is_that_of_the_formula():
    rng = np.random.default_rng(3)
    live, benign = rng.integers(0, 500, (2, 20)).tolist()
    assert stability(live, benign) == pytest.approx(by_hand(live, benign))


def test_equal_shares_are_no_drift():
    assert stability([90, 10, 0], [9_000, 1_000, 0]) < 1e-3


def test_rows_as_in_training_are_no_drift_by_chance():
    """Of the least rows that are compared, drawn from the benign histograms themselves."""
    manifest = parse((ROOT / "models" / "iot-gateway" / "manifest.json").read_bytes())
    rng = np.random.default_rng(7)
    for task in manifest["histograms"]:
        benign = benign_histogram(manifest, task)
        assert benign is not None
        drawn = rng.multinomial(1_000, benign / benign.sum(), 200)
        assert max(stability(live, benign) for live in drawn) < 0.1, task


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {"edges": EDGES, "benign": [5_000] * 19},
        {"edges": [0, 1], "benign": [5_000]},
        {"edges": [*EDGES[:-1], 2], "benign": [5_000] * 20},
        {"edges": EDGES, "benign": [5_000] * 19 + [-1]},
        {"edges": EDGES, "benign": ["many"] * 20},
        {"edges": EDGES, "benign": [1] * 20},
        {"benign": [5_000] * 20},
    ],
)
def test_what_is_no_such_histogram_is_not_compared(entry):
    assert benign_histogram({"histograms": {"scan": entry}}, "scan") is None
    assert benign_histogram({}, "scan") is None


def counted(*batches):
    counts = ScoreCounts(2)
    for hour, rows, score in batches:
        column = np.full((rows, 1), score, np.float32)
        counts.add(np.full(rows, hour * HOUR_NS), np.append(column, column, axis=1))
    return counts


def test_windows_are_the_last_hour_and_the_running_one():
    counts = counted((1, 5_000, 0.9), (2, 900, 0.02), (2, 100, 0.07), (3, 999, 0.02))
    drift = Drift("gateway", ("dos", "scan"), MANIFEST, counts)
    (name, (last, running)), *others = drift.windows.items()
    assert (name, others) == ("gateway/scan", [])
    assert last == Window(2 * HOUR_NS, 1_000, 0, last.psi)
    assert last.psi is not None
    assert last.psi < 0.01
    assert running == Window(3 * HOUR_NS, 999, 0, None)
    assert latest([last, running]) is last
    counts.add(np.int64([3 * HOUR_NS]), np.float32([[0.9, 0.9]]))
    drift.look()
    last, running = drift.windows["gateway/scan"]
    live = [999] + [0] * 17 + [1, 0]
    assert running.psi == pytest.approx(by_hand(live, [9_000, 1_000] + [0] * 18), abs=1e-4)
    assert running.high == 1
    assert latest([last, running]) is running


def test_a_window_of_other_scores_drifts():
    counts = counted((5, 400, 0.02), (5, 600, 0.97))
    (window,) = Drift("gateway", ("dos", "scan"), MANIFEST, counts).windows["gateway/scan"]
    assert window.psi > 1
    text = in_words("gateway/scan", window)
    assert "gateway/scan" in text
    assert "from 05:00 UTC" in text
    assert "60% of 1,000 rows" in text


def test_rows_that_do_not_count_are_not_compared():
    counts = ScoreCounts(1)
    counts.add(np.zeros(2_000, np.int64), np.full((2_000, 1), np.nan, np.float32))
    (window,) = Drift("gateway", ("scan",), MANIFEST, counts).windows["gateway/scan"]
    assert (window.rows, window.psi) == (0, None)
    assert counts.counts[0, BINS] == 2_000


def test_nothing_was_seen_yet():
    assert Drift("gateway", ("scan",), MANIFEST, ScoreCounts(1)).windows == {"gateway/scan": []}
    assert latest([]) is None
