"""Categorical tasks in bundles: what is read, refused, proved and answered."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from feature_rows import random_rows
from forged import rewritten, with_file

from sensor.errors import BundleError
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.encoding import encode
from sensor.model.inference import Inference, calibrate
from sensor.model.manifest_tasks import read_tasks
from sensor.model.schema import PEER_LATENCY, FeatureSchema
from sensor.model.verification import answer, verify


@pytest.fixture
def copied(annotating_bundle, tmp_path):
    return shutil.copytree(annotating_bundle, tmp_path / "annotating")


def test_categorical_tasks_stand_behind_the_binary_ones(annotating_bundle):
    bundle = Bundle.read(annotating_bundle)
    traffic, seconds = bundle.annotations
    assert bundle.outputs == ["syn_dos", "traffic", "seconds"]
    assert traffic.classes == ("documents", "music", "video")
    assert (traffic.least_packets, traffic.abstain_below, traffic.measured) == (8, 0.4, "")
    assert (seconds.measured, seconds.edges) == ("duration", (1.0, 10.0))
    assert bundle.golden.scores.shape[1] == 1 + 3 + 3
    assert verify(bundle).max_difference < 1e-3


def test_probabilities_are_the_networks_for_first_rows_that_are_long_enough(annotating_bundle):
    bundle = Bundle.read(annotating_bundle)
    detector = BundleDetector(bundle)
    rows = random_rows(bundle.schema.n, 400, seed=5)
    raw = Inference(bundle.model, bundle.schema, bundle.outputs, "by hand").scores(
        encode(bundle.schema, rows)
    )
    looked = detector.look(rows)
    assert looked.shape == (400, 7)
    first = rows.sequence_index == 0
    for columns, least in ((slice(1, 4), 8), (slice(4, 7), 2)):
        wanted = first & (rows.length >= least)
        assert 0 < np.count_nonzero(wanted) < 400
        np.testing.assert_array_equal(looked[wanted, columns], raw[wanted, columns])
        assert np.isnan(looked[~wanted, columns]).all()
        np.testing.assert_allclose(looked[wanted, columns].sum(axis=1), 1, atol=1e-5)
    scores = detector.score(rows)
    assert scores.shape == (400, 1)
    np.testing.assert_array_equal(scores[first], calibrate(bundle.tasks, raw[:, :1])[first])
    np.testing.assert_array_equal(detector.look(rows), looked)  # remembered ones too


def test_another_best_class_is_not_what_the_author_saw(annotating_bundle):
    bundle = Bundle.read(annotating_bundle)
    scores = bundle.golden.scores.copy()
    scores[3, 1:4] = scores[3, [2, 3, 1]]
    swapped = replace(bundle, golden=replace(bundle.golden, scores=scores))
    with pytest.raises(BundleError, match=r"golden row 3 scores .* for traffic documents"):
        answer(swapped)


@pytest.mark.parametrize(
    ("entry", "value", "named"),
    [
        ("classes", ["one"], "classes"),
        ("classes", ["one", "one", "two"], "classes"),
        ("classes", ["one", "\x1b[2J", "two"], "classes"),
        ("classes", ["one", "two", 3], "classes"),
        ("classes", 3, "is malformed"),
        ("classes", "abc", "classes"),
        ("edges", "", "edges"),
        ("least_packets", 0, "least_packets"),
        ("least_packets", True, "least_packets"),
        ("least_packets", 17, "more than a sequence has"),
        ("abstain_below", 1.5, "abstain_below"),
        ("abstain_below", "0.5", "abstain_below"),
        ("measured", "weight", "measured"),
        ("measured", "duration", "edges"),
        ("edges", [1.0], "edges"),
        ("policy", "repeat", "policy"),
        ("name", "No Name", "name"),
        ("name", "seconds", "two tasks have the same name"),
        ("colour", "red", "missing or unknown"),
        ("kind", "binary", "is malformed"),
    ],
)
def test_what_a_categorical_task_can_not_be_is_refused(copied, entry, value, named):
    def change(manifest):
        manifest["tasks"][1][entry] = value

    with pytest.raises(BundleError, match=named):
        Bundle.read(rewritten(copied, change))


@pytest.mark.parametrize("edges", [[1.0], [10.0, 1.0], [1.0, 1.0], [1.0, "2"], [1.0, 2.0, 3.0]])
def test_edges_of_what_is_measured_ascend_between_the_classes(copied, edges):
    def change(manifest):
        manifest["tasks"][2]["edges"] = edges

    with pytest.raises(BundleError, match=r"tasks\[2\]: (edges|is malformed)"):
        Bundle.read(rewritten(copied, change))


def test_binary_tasks_come_first_and_outputs_have_the_classes_widths(copied):
    rewritten(copied, lambda manifest: manifest["tasks"].reverse())
    with pytest.raises(BundleError, match="stands behind a categorical task"):
        Bundle.read(copied)

    def fewer(manifest):
        manifest["tasks"].reverse()
        manifest["tasks"][1]["classes"].pop()

    with pytest.raises(BundleError, match="tensors that features and tasks ask for"):
        Bundle.read(rewritten(copied, fewer))


def test_golden_scores_have_a_column_for_each_class(copied):
    content = (copied / "golden.npz").read_bytes()
    with pytest.raises(BundleError, match=r"golden\.npz"):
        Bundle.read(with_file(copied, "golden.npz", content[: len(content) // 2]))


def test_windows_of_round_trip_times_take_binary_tasks_of_repeat_alone(annotating_bundle):
    """An annotation would wait for the end of a series, and a series has one first row."""
    documents = json.loads((annotating_bundle / "manifest.json").read_text())["tasks"]
    repeat = {**documents[0], "policy": "repeat"}
    measured = FeatureSchema(lengths=(64,), fields=("rtt", "valid"), context=(), key=PEER_LATENCY)
    assert len(read_tasks([repeat], measured, "m", "make another")[0]) == 1
    for wrong in (documents[:1], [repeat, documents[1]]):
        with pytest.raises(BundleError, match="'repeat' alone; make another"):
            read_tasks(wrong, measured, "m", "make another")
