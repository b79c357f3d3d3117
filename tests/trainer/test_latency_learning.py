"""Windows, labels and networks of latency: the sensor's rows, exact folding, no truth needed."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs the extra `trainer`")

from sensor.flows.index import FIRST_SLOT  # noqa: E402
from sensor.latency.measurements import MEASUREMENT  # noqa: E402
from sensor.latency.peer_windows import Windows as SensorWindows  # noqa: E402
from sensor.latency.steps import Decided  # noqa: E402
from sensor.model.encoding import encode  # noqa: E402
from trainer.latency.figures import Counts  # noqa: E402
from trainer.latency.generator import generate  # noqa: E402
from trainer.latency.labelling import Labelling, columns_of, functions, patterns_of  # noqa: E402
from trainer.latency.learning import Examples, Scaling, alike, scores, teach  # noqa: E402
from trainer.latency.lesson import Lesson  # noqa: E402
from trainer.latency.offline import LONG, REACH, STEPS, Centred  # noqa: E402
from trainer.latency.series import TASKS, LatencySeries  # noqa: E402
from trainer.latency.windows import SCHEMA, Windows  # noqa: E402
from trainer.models.lmmoe import build  # noqa: E402
from trainer.weak.applying import apply  # noqa: E402
from trainer.weak.latency import columns  # noqa: E402

SMALL = Lesson(experts=1, units=4, tower_units=(8,), epochs=6, patience=3, batch=32, rate=0.02)


@pytest.fixture(scope="module")
def series():
    return next(generate(2_000, 2_000, seed=3))


def test_windows_are_the_sensors_rows_byte_by_byte():
    """Through the sensor's own windows, in two pieces, with rare gaps and failures."""
    found = np.zeros(150, MEASUREMENT)
    rng = np.random.default_rng(1)
    found["decided_ns"] = 10**18 + np.cumsum(rng.integers(10**8, 10**12, 150))
    found["answered"] = rng.random(150) > 0.1
    found["rtt_ns"] = np.where(found["answered"], rng.integers(1, 10**9, 150), 0)
    found["rtt_ns"][7:9] = 29_000, 70_000_000_000
    found["answered"][7:9] = True
    theirs = SensorWindows(SCHEMA.n, SCHEMA.optional)
    rows = []
    for part in (found[:90], found[90:]):
        slots = np.full(len(part), FIRST_SLOT, np.int32)
        decided = Decided(part, slots, np.zeros(len(part), np.int64), part["decided_ns"].copy())
        rows.append(encode(SCHEMA, theirs.rows(decided)).packed)
    rtt_ms = np.where(found["answered"], found["rtt_ns"] / 1e6, np.nan)
    ours = Windows(SCHEMA, LatencySeries("peer", found["decided_ns"].copy(), rtt_ms))
    np.testing.assert_array_equal(
        ours.encoded(np.arange(150)).packed, np.concatenate(rows), strict=True
    )
    one = ours.encoded(np.array([70, 3]))
    assert one.length.tolist() == [64, 4]
    np.testing.assert_array_equal(one.packed[0], np.concatenate(rows)[70])


def test_what_is_looked_at_offline_by_hand():
    """A level of 10 and jitter of 0.25: 20 is asinh(10 / 0.25) / 4 above the background."""
    rtt_ms = np.tile([10.0, 10.5], 60)
    rtt_ms[60] = 20.25
    rtt_ms[62] = np.nan
    inputs = Centred.of(LatencySeries("x", np.arange(120) * 10**9, rtt_ms))
    x, c = inputs.expand(np.array([60]))
    names = inputs.schema.context
    assert x.shape == (1, 2 * STEPS + 1, 3)
    assert c[0, names.index("own_answered")] == 1
    own, median = c[0, names.index("own")], c[0, names.index("median_12")]
    jitter = (np.sinh(4 * own) / (20.25 - 10)) ** -1
    assert jitter == pytest.approx(0.5, abs=0.3)
    assert 10 + jitter * np.sinh(4 * median) == pytest.approx(10.5, abs=0.3)
    assert x[0, STEPS, 0] == pytest.approx(own)
    assert x[0, STEPS + 2].tolist() == [0, 0, 1]
    assert c[0, names.index("answered_3")] == pytest.approx(6 / 7)
    first = inputs.expand(np.array([0]))[0][0]
    assert first[:, 2].tolist() == [0] * STEPS + [1] * (STEPS + 1)


def test_nothing_beyond_its_reach_decides_an_input(series):
    assert REACH > LONG
    whole = Centred.of(series)
    begin = 1_500 - REACH
    part = Centred.of(series.take(slice(begin, None)))
    for ours, all_of_it in ((part.x, whole.x), (part.c, whole.c)):
        np.testing.assert_array_equal(ours[REACH : REACH + 100], all_of_it[1_500:1_600])


def test_labels_are_probabilities_of_the_label_model_and_nan_where_nobody_votes(series):
    every = functions()
    votes = apply(every, columns(series))
    labelling = Labelling.of(every, patterns_of(every, votes))
    labels = labelling.of_votes(votes)
    assert labels.shape == (len(series), len(TASKS))
    outage = labels[:, TASKS.index("outage")] >= 0.5
    np.testing.assert_array_equal(outage, ~series.answered)
    place = columns_of(every, "swell")
    assert [every[i].task.name for i in place] == ["swell"] * len(place)
    silent = np.full((1, len(place)), -1, np.int8)
    expected = labelling.models["swell"].speaks.any()
    assert np.isnan(labelling.of_patterns("swell", silent)[0]) == (not expected)


def test_standardising_is_folded_into_the_weights(series):
    """A network on x · matrix answers as the folded one does on x, padding included."""
    rows = Windows(SCHEMA, series).encoded(np.arange(0, 2_000, 40))
    scaling = Scaling.of(rows)
    keras.utils.set_random_seed(1)
    model = build(SCHEMA, TASKS, 2, 4, (4,))
    x, _ = rows.expand()
    standard = x @ scaling.matrix
    last = standard[:, -1]
    answered = x[:, -1, SCHEMA.channels.index("answered")] > 0
    assert abs(last[answered, 0].mean()) < 1e-3
    assert last[answered, 0].std() == pytest.approx(1, abs=1e-2)
    assert not standard[0, :-1].any()
    before = np.concatenate([np.asarray(each) for each in model({"x": standard}).values()], axis=1)
    scaling.fold(model)
    np.testing.assert_allclose(scores(model, rows), before, atol=1e-5)


def test_a_network_learns_from_probabilities_alone(series):
    """Outages by what is likely; a task of which nothing is known teaches nothing."""
    rows = Centred.of(series)
    labels = np.full((len(series), 2), np.nan, np.float32)
    labels[:, 0] = np.where(series.answered, 0.02, 0.97)
    part = Examples(rows.take(np.arange(1_500)), labels[:1_500])
    held_out = Examples(rows.take(np.arange(1_500, 2_000)), labels[1_500:])
    learnt = teach(("outage", "swell"), SMALL, 5, part, held_out)
    found = scores(learnt.model, held_out.rows)
    assert Counts.of(found[:, 0] > 0.5, (~series.answered[1_500:]).astype(np.int8)).f1 > 0.9
    # what is likely to 0.97 is not said to be sure
    assert found[:, 0].max() < 0.995
    assert learnt.losses[learnt.best_epoch - 1] == min(learnt.losses)
    swell = learnt.model.get_layer("swell").get_weights()[1]
    assert not swell.any()  # no gradient ever came


def test_losses_weigh_alike_by_the_entropy_of_shares():
    """−¼·ln ¼ − ¾·ln ¾ = 0.5623; one in ten thousand counts as one in a thousand."""
    labels = np.array([[1, 0.0], [0, 0.0002], [0, np.nan], [0, 0.0001]], np.float32)
    rare = -1e-3 * np.log(1e-3) - 0.999 * np.log(0.999)
    assert alike(labels) == pytest.approx([1 / 0.5623, 1 / rare], rel=1e-3)


def test_figures_by_hand():
    counts = Counts.of(np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, -1], np.int8))
    assert counts == Counts(1, 1, 1, 1)
    total = Counts.total([counts, Counts(3, 0, 0, 10)])
    assert total == Counts(4, 1, 1, 11)
    assert (total.positives, total.precision, total.recall) == (5, 0.8, 0.8)
    assert total.accuracy == pytest.approx(15 / 17)
    assert total.f1 == pytest.approx(0.8)
    assert total.balanced_accuracy == pytest.approx((0.8 + 11 / 12) / 2)
    nothing = Counts(0, 0, 5, 5)
    assert (nothing.f1, nothing.balanced_accuracy) == (0, 0.5)
