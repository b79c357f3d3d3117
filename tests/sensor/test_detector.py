from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.extract import sequences
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.encoding import Encoded, encode
from sensor.model.inference import Inference, calibrate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bundle(random_bundle) -> Bundle:
    return Bundle.read(random_bundle)


def test_it_is_a_detector_of_the_pipeline(bundle):
    detector = BundleDetector(bundle)
    assert detector.name == "random"
    assert detector.tasks == bundle.tasks
    assert detector.fingerprint == bundle.manifest["features"]["fingerprint"]
    assert detector.runtime.split()[0] in {"ai-edge-litert", "tflite-runtime"}


def test_scores_are_the_calibrated_ones(bundle):
    rows = random_rows(16, 100, seed=31)
    names = [task.name for task in bundle.tasks]
    inference = Inference(bundle.model, bundle.schema, names, "x")
    raw = inference.scores(encode(bundle.schema, rows)).astype(np.float64)
    expected = 1 / (1 + np.exp(1.0) * ((1 - raw) / raw) ** 1.5)  # slope 1.5, offset −1
    got = BundleDetector(bundle).score(rows)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_rows_of_repeated_sequences_count_for_repeat_tasks_only(bundle):
    rows = random_rows(16, 6, seed=32)
    first = BundleDetector(bundle).score(rows)
    rows.sequence_index[:] = [0, 1, 0, 2, 7, 0]
    detector = BundleDetector(bundle)
    got = detector.score(rows)
    repeated = np.array([1, 3, 4])
    assert np.isnan(got[repeated, :2]).all()
    np.testing.assert_array_equal(got[:, 2], first[:, 2])
    np.testing.assert_array_equal(got[[0, 2, 5]], first[[0, 2, 5]])
    assert (detector.scored, detector.computed) == (6, 6)
    assert not (got[repeated, :2] >= 0).any()


def test_rows_that_no_task_looks_at_are_not_computed(bundle):
    first_only = replace(bundle, tasks=bundle.tasks[:2])
    detector = BundleDetector(first_only)
    rows = random_rows(16, 4, seed=33)
    rows.sequence_index[:] = [1, 2, 3, 4]
    assert np.isnan(detector.score(rows)).all()
    assert detector.scored == 0
    rows.sequence_index[1] = 0
    assert np.isfinite(detector.score(rows)).sum() == 2
    assert detector.scored == 1


def test_rows_that_are_too_short_to_annotate_are_not_computed():
    detector = BundleDetector(Bundle.read(ROOT / "models/traffic-class"))
    rows = random_rows(60, 6, seed=37)
    rows.length[:] = [1, 7, 8, 9, 60, 2]
    found = detector.look(rows)
    assert (detector.scored, detector.computed) == (3, 3)
    assert np.isnan(found[[0, 1, 5]]).all()
    assert np.isfinite(found[2:5]).all()
    assert detector.score(rows).shape == (6, 0)


def test_an_empty_batch(bundle):
    assert BundleDetector(bundle).score(random_rows(16, 0, seed=1)).shape == (0, 3)


def test_counters_tell_rows_from_distinct_rows(bundle):
    detector = BundleDetector(bundle)
    rows = random_rows(16, 5, seed=34)
    rows.length[0], rows.length[1] = 3, 16
    detector.score(rows.take(np.array([0, 0, 1, 0])))
    assert (detector.scored, detector.computed, detector.remembered) == (4, 2, 0)
    detector.score(rows.take(np.array([0, 0, 1, 1])))
    # a long row is computed in each batch again
    assert (detector.scored, detector.computed, detector.remembered) == (8, 3, 2)


@pytest.fixture(scope="module")
def repetitive(bundle):
    """Rows of which many are the same, most of them short, and what the network says of each."""
    rows = random_rows(16, 300, seed=35)
    rows.length[:200] = np.tile([1, 1, 2, 4, 5], 40)
    rows = rows.take(np.random.default_rng(36).integers(0, 300, 2_000))
    rows.sequence_index[::7] = 1
    raw = Inference(bundle.model, bundle.schema, [task.name for task in bundle.tasks], "x").scores(
        encode(bundle.schema, rows)
    )
    expected = calibrate(bundle.tasks, raw)
    expected[::7, :2] = np.nan  # the first two tasks look at first sequences only
    return rows, expected


@pytest.mark.parametrize("size", [1, 7, 256, 2_000])
def test_scores_are_the_same_to_the_last_bit_however_rows_come(bundle, repetitive, size):
    rows, expected = repetitive
    order = np.random.default_rng(size).permutation(len(rows))[: 200 * size]
    detector = BundleDetector(bundle)
    for start in range(0, order.size, size):
        part = order[start : start + size]
        np.testing.assert_array_equal(detector.score(rows.take(part)), expected[part])
    assert detector.scored == order.size
    assert detector.computed + detector.remembered <= detector.scored
    if size < order.size:
        assert detector.remembered > 0


@pytest.mark.parametrize("fault", ["few places", "one hash"])
def test_sequences_that_share_a_place_are_not_mistaken(bundle, repetitive, monkeypatch, fault):
    rows, expected = repetitive
    if fault == "few places":
        monkeypatch.setattr("sensor.model.seen.PLACES", 4)
    else:
        monkeypatch.setattr(Encoded, "hashed", lambda self: np.zeros(len(self), np.uint64))
    detector = BundleDetector(bundle)
    for start in range(0, 600, 50):
        part = slice(start, start + 50)
        np.testing.assert_array_equal(detector.score(rows.take(part)), expected[part])


def test_rows_of_a_capture_score_as_without_memory():
    shipped = Bundle.read(ROOT / "models/iot-gateway")
    names = [task.name for task in shipped.tasks]
    inference = Inference(shipped.model, shipped.schema, names, "x")
    first = np.array([task.policy == "first" for task in shipped.tasks])
    detector = BundleDetector(shipped)
    for batch in sequences([ROOT / "tests/captures/seven-tasks.pcap"], shipped.schema):
        expected = calibrate(shipped.tasks, inference.scores(encode(shipped.schema, batch)))
        expected[(batch.sequence_index > 0)[:, None] & first] = np.nan
        for start in range(0, len(batch), 100):
            part = slice(start, start + 100)
            np.testing.assert_array_equal(detector.score(batch.take(part)), expected[part])
    assert detector.remembered > 0
