"""Labeling functions for latency on series whose noise, outage and swell are put in by hand."""

import numpy as np
import pytest

from trainer.latency.generator import generate
from trainer.latency.series import LatencySeries
from trainer.weak.applying import apply
from trainer.weak.functions import of_task
from trainer.weak.latency import NOISE, OUTAGE, SWELL, columns
from trainer.weak.loading import load
from trainer.weak.supervision import supervise

EVERY = load("latency")
NAMES = [function.name for function in EVERY]


@pytest.fixture(scope="module")
def votes():
    """Around 10 ms; noise at 300, outage from 700 to 709, alone at 900, swell 1200 to 1299."""
    rtt = 10 + np.random.default_rng(0).uniform(-0.1, 0.1, 2000)
    rtt[300] += 5
    rtt[700:710] = rtt[900] = np.nan
    rtt[1200:1300] += 1
    series = LatencySeries("by hand", np.arange(2000, dtype=np.int64), rtt)
    return apply(EVERY, columns(series))


def of(votes, name, rows):
    return set(votes[rows, NAMES.index(name)].tolist())


def test_noise(votes):
    for name in ("two_deviations", "above_median", "above_neighbours", "above_past"):
        assert of(votes, f"noise_{name}", [300]) == {1}, name
    for name in ("above_median", "above_neighbours", "above_past"):
        assert of(votes, f"noise_{name}", slice(400, 600)) == {0}, name
    # The first rows of the swell stand out from the past only, its middle from nothing.
    assert of(votes, "noise_above_past", [1200]) == {1}
    assert of(votes, "noise_above_neighbours", slice(1202, 1298)) == {0}
    assert of(votes, "noise_unanswered", [700, 900]) == {0}
    assert of(votes, "noise_unanswered", [300]) == {-1}


def test_outage(votes):
    assert of(votes, "outage_unanswered", slice(700, 710)) == {1}
    assert of(votes, "outage_in_a_row", slice(700, 710)) == {1}
    assert of(votes, "outage_in_a_row", [900]) == {-1}
    assert of(votes, "outage_in_a_row", [699, 710]) == {0}
    assert of(votes, "outage_goes_on", [700, 701]) == {-1}
    assert of(votes, "outage_goes_on", slice(702, 710)) == {1}
    assert of(votes, "outage_mostly_silent", slice(701, 709)) == {1}  # 4 of 7 at 701 and 708 too
    assert of(votes, "outage_mostly_silent", [696, 713]) == {0}
    assert of(votes, "outage_mostly_silent", [697, 712]) == {-1}


def test_swell(votes):
    inside, outside = slice(1215, 1285), slice(1350, 1400)
    for name in ("above_background", "high_floor", "height", "edges"):
        assert of(votes, f"swell_{name}", inside) == {1}, name
    assert of(votes, "swell_above_prior_buckets", slice(1210, 1285)) == {1}
    for name in ("above_background", "above_prior_buckets"):
        assert 0 in of(votes, f"swell_{name}", outside) <= {0, -1}, name


def test_those_that_look_back_alone():
    assert {function.name for function in EVERY if function.causal} == {
        *("noise_above_past", "noise_unanswered", "outage_unanswered", "outage_goes_on"),
        *("swell_above_prior_buckets", "swell_unanswered"),
    }


def test_label_models_find_what_the_generator_has_put_in():
    """Against exact truth, on 45,000 measurements; noise is 1 %, so accuracy would say nothing."""
    series = list(generate(45_000, 15_000, seed=11))
    found = {each.task: each for each in supervise(EVERY, map(columns, series))}
    for task, precision, recall in ((NOISE, 0.9, 0.9), (OUTAGE, 1, 1), (SWELL, 0.8, 0.85)):
        truth = np.concatenate([each.truth[task.name] for each in series])
        agreement = found[task].agreements(truth)["label model"]
        assert agreement.precision >= precision, task
        assert agreement.recall >= recall, task
        assert len(of_task(EVERY, task)) >= 3  # Snorkel's label model needs three
