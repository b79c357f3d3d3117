from dataclasses import replace

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.encoding import encode
from sensor.model.inference import Inference


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
    assert (detector.scored, detector.unique) == (6, 6)
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


def test_an_empty_batch(bundle):
    assert BundleDetector(bundle).score(random_rows(16, 0, seed=1)).shape == (0, 3)


def test_counters_tell_rows_from_distinct_rows(bundle):
    detector = BundleDetector(bundle)
    rows = random_rows(16, 5, seed=34)
    detector.score(rows.take(np.array([0, 0, 1, 0])))
    detector.score(rows.take(np.array([0, 0])))
    assert (detector.scored, detector.unique) == (6, 3)
