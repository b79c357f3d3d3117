import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from feature_rows import random_rows
from sklearn.metrics import roc_auc_score

from sensor.errors import BundleError, HostError
from sensor.model.encoding import encode
from sensor.model.golden import TOLERANCE
from sensor.model.inference import calibrate
from sensor.model.schema import AnnotationSpec
from sensor.model.verification import verify

pytest.importorskip("keras", reason="needs the extra `trainer`")

from random_bundle import SCHEMA, TASKS, task_specs, untrained

from trainer.export import (
    _check_parity,
    choose_golden,
    convert,
    converted_scores,
    export,
    keras_scores,
    parity,
)
from trainer.models.lmmoe import build

NAMES = list(TASKS)


@pytest.fixture(scope="module")
def model():
    return untrained(experts=2, units=12)


@pytest.fixture(scope="module")
def tflite(model) -> bytes:
    return convert(model, SCHEMA)


@pytest.fixture(scope="module")
def rows():
    return random_rows(SCHEMA.n, 800, seed=61)


@pytest.fixture(scope="module")
def scores(tflite, rows):
    return converted_scores(tflite, encode(SCHEMA, rows), NAMES)


def exported(model, rows, tflite, out, **options):
    given = {
        "tasks": task_specs([0.4, 0.4, 0.4]),
        "provenance": {"commit": "0" * 40},
        "metrics": {"auc": {"syn_dos": 0.5}},
        "histograms": {"edges": [0, 1], "counts": {name: [800] for name in NAMES}},
        "model_card": "# Card\n",
    }
    given |= options
    return export(model, SCHEMA, golden_rows=rows, out=out, version="1.2.3", tflite=tflite, **given)


def test_an_exported_bundle_holds_what_was_given_and_works(model, rows, tflite, tmp_path):
    bundle = exported(model, rows, tflite, tmp_path / "iot")
    assert (bundle.name, bundle.version) == ("iot", "1.2.3")
    assert bundle.model == tflite
    assert bundle.tasks == tuple(task_specs([0.4, 0.4, 0.4]))
    assert bundle.card == "# Card\n"
    manifest = json.loads((tmp_path / "iot" / "manifest.json").read_text())
    assert manifest["provenance"] == {"commit": "0" * 40}
    assert manifest["metrics"]["auc"] == {"syn_dos": 0.5}
    assert set(manifest["metrics"]["parity"]) == set(NAMES)
    assert verify(bundle).max_difference <= TOLERANCE


def test_a_network_of_optional_fields_becomes_a_bundle_like_any_other(tmp_path):
    schema = replace(SCHEMA, fields=(*SCHEMA.fields, "ttl", "tcp_window"))
    model = build(schema, NAMES, 2, 12)
    rows = random_rows(schema.n, 400, seed=62, optional=schema.optional)
    histograms = {"edges": [0, 1], "counts": {name: [400] for name in NAMES}}
    bundle = export(
        model,
        schema,
        task_specs([0.4, 0.4, 0.4]),
        rows,
        provenance={"commit": "0" * 40},
        metrics={},
        histograms=histograms,
        model_card="# Card\n",
        out=tmp_path / "wide",
        version="1.2.3",
        tflite=convert(model, schema),
    )
    assert bundle.schema == schema
    assert bundle.golden.rows.optional == schema.optional
    assert verify(bundle).max_difference <= TOLERANCE
    changed = replace(rows, ttl=np.zeros_like(rows.ttl))
    scored = [keras_scores(model, encode(schema, each), NAMES) for each in (rows, changed)]
    assert np.abs(scored[0] - scored[1]).max() > 1e-3


def test_golden_vectors_are_given_rows_away_from_the_thresholds(
    model, rows, tflite, scores, tmp_path
):
    middle = np.median(calibrate(task_specs([0.4, 0.4, 0.4]), scores), axis=0)
    specs = task_specs(middle.tolist())
    golden = exported(model, rows, tflite, tmp_path / "b", tasks=specs).golden
    given = {row.tobytes() for row in encode(SCHEMA, rows).packed}
    assert all(row.tobytes() in given for row in golden.packed)
    assert len(np.unique(golden.rows.length)) == 16
    for shift in (-TOLERANCE, TOLERANCE):
        positive = calibrate(specs, golden.scores + np.float32(shift)) >= middle
        np.testing.assert_array_equal(positive, calibrate(specs, golden.scores) >= middle)
        assert positive.any(axis=0).all()
        assert not positive.all(axis=0).any()


def test_rows_on_which_runtimes_differ_or_thresholds_lie_are_not_golden(rows, scores):
    encoded = encode(SCHEMA, rows)
    free = task_specs([1.0, 1.0, 1.0])
    assert choose_golden(encoded, scores, scores, free).size == 64
    apart = scores.copy()
    apart[5:, 1] += 2e-4
    assert set(choose_golden(encoded, scores, apart, free)) == set(range(5))
    near = [replace(task, calibration=(1.0, 0.0)) for task in free]
    near[0] = replace(near[0], threshold=float(scores[7, 0]) + 5e-4)
    only = encoded.take(slice(7, 8))
    assert choose_golden(only, scores[7:8], scores[7:8], near).size == 0


def test_parity_figures_by_hand():
    tasks = [replace(task, calibration=(1.0, 0.0)) for task in task_specs([0.5, 0.5, 0.5])]
    keras_side = np.array([[0.4, 0.1, 0.9], [0.6, 0.2, 0.9], [0.7, 0.3, 0.9]], np.float32)
    tflite_side = np.array([[0.55, 0.1, 0.9], [0.5, 0.2, 0.9], [0.7, 0.0, 0.9]], np.float32)
    labels = np.array([[0, 0, 1], [1, np.nan, 1], [1, 1, 1]], np.float32)
    report = parity(keras_side, tflite_side, tasks, labels)
    assert report["syn_dos"] == pytest.approx(
        {
            "max_difference": 0.15,
            "mean_difference": 0.25 / 3,
            "decisions_changed": 1 / 3,
            "auc_keras": 1.0,
            "auc_tflite": 0.5,
        }
    )
    assert report["ssdp_flood"] == pytest.approx(
        {
            "max_difference": 0.3,
            "mean_difference": 0.1,
            "decisions_changed": 0,
            "auc_keras": 1.0,
            "auc_tflite": 0.0,
        }
    )
    # One class only: there is no AUC.
    assert set(report["ssl_renegotiation"]) == {
        "max_difference",
        "mean_difference",
        "decisions_changed",
    }
    assert set(parity(keras_side, tflite_side, tasks, None)["syn_dos"]) == set(
        report["ssl_renegotiation"]
    )


KIND = AnnotationSpec("kind", ("a", "b", "c"), 8, abstain_below=0.6)


def test_parity_of_a_categorical_task_by_hand():
    """Behind a binary task: another class in the first row, none any more in the second."""
    task = replace(task_specs([0.5] * len(TASKS))[0], calibration=(1.0, 0.0))
    keras_side = [[0.9, 0.7, 0.2, 0.1], [0.9, 0.1, 0.65, 0.25], [0.9, 0.1, 0.1, 0.8]]
    tflite_side = [[0.9, 0.2, 0.7, 0.1], [0.9, 0.2, 0.55, 0.25], [0.9, 0.1, 0.1, 0.8]]
    labels = np.array([[1, 0], [1, 1], [1, np.nan]], np.float32)
    sides = [np.array(side, np.float32) for side in (keras_side, tflite_side)]
    report = parity(*sides, [task], labels, [KIND])
    assert report["kind"] == pytest.approx(
        {
            "max_difference": 0.5,
            "mean_difference": (0.5 + 0.5 + 0.1 + 0.1) / 9,
            "decisions_changed": 2 / 3,
            "accuracy_keras": 1.0,
            "accuracy_tflite": 0.5,
        }
    )
    assert report["syn_dos"]["max_difference"] == 0
    assert set(parity(*sides, [task], None, [KIND])["kind"]) == {
        "max_difference",
        "mean_difference",
        "decisions_changed",
    }
    with pytest.raises(BundleError, match=r"moves the accuracy of kind by 0\.5000"):
        _check_parity({"kind": report["kind"] | {"max_difference": 0.1}}, Path("b"))


def test_rows_near_another_class_or_none_are_not_golden(rows):
    encoded = encode(SCHEMA, rows.take(slice(0, 4)))
    scores = np.array(
        [[0.7, 0.2, 0.1], [0.502, 0.498, 0], [0.601, 0.3, 0.099], [0.4, 0.3, 0.3]], np.float32
    )
    chosen = choose_golden(encoded, scores, scores, (), (KIND,))
    assert sorted(chosen.tolist()) == [0, 3]


def test_the_manifest_states_the_auc_of_both(model, rows, tflite, scores, tmp_path):
    labels = np.full((800, 3), np.nan, np.float32)
    labels[:400, 0] = np.arange(400) % 2
    bundle = exported(model, rows, tflite, tmp_path / "b", labels=labels)
    figures = bundle.manifest["metrics"]["parity"]["syn_dos"]
    truth = np.arange(400) % 2
    expected = keras_scores(model, encode(SCHEMA, rows), NAMES)
    assert figures["auc_keras"] == pytest.approx(roc_auc_score(truth, expected[:400, 0]))
    assert figures["auc_tflite"] == pytest.approx(roc_auc_score(truth, scores[:400, 0]))


def test_another_network_is_not_exported(rows, tflite, tmp_path):
    other = untrained(experts=2, units=12)
    other.set_weights([-weights for weights in other.get_weights()])
    with pytest.raises(BundleError, match=r"quantization moves a score of \w+ by 0\.\d+"):
        exported(other, rows, tflite, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_an_auc_that_quantization_changes_is_not_exported(model, rows, tflite, scores, tmp_path):
    """Labels on which the tiny differences of the two networks decide."""
    difference = keras_scores(model, encode(SCHEMA, rows), NAMES) - scores
    labels = np.full((800, 3), np.nan, np.float32)
    order = np.argsort(scores[:, 0])
    pairs = np.stack([order[:-1], order[1:]], axis=1)
    swapped = pairs[
        scores[pairs[:, 0], 0] + difference[pairs[:, 0], 0]
        > scores[pairs[:, 1], 0] + difference[pairs[:, 1], 0]
    ]
    assert swapped.size
    labels[swapped[0], 0] = [0, 1]
    with pytest.raises(BundleError, match=r"moves the AUC of syn_dos by 1\.0000"):
        exported(model, rows, tflite, tmp_path / "b", labels=labels)


def test_no_golden_row_is_an_error(model, rows, tflite, scores, tmp_path):
    one = rows.take(slice(0, 1))
    raw = float(scores[0, 0])
    at = 1 / (1 + np.exp(1 - 1.5 * np.log(raw / (1 - raw))))
    with pytest.raises(BundleError, match="give more golden rows"):
        exported(model, one, tflite, tmp_path / "b", tasks=task_specs([float(at), 1, 1]))


def test_a_conversion_that_crashes_is_one_line(model, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(HostError, match=r"conversion failed \(it crashed with SIGSEGV\)") as caught:
        convert(model, SCHEMA)
    assert "\n" not in str(caught.value)


def test_a_conversion_that_fails_says_why(monkeypatch, model, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho Traceback >&2; echo 'ValueError: no such layer' >&2; exit 1")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(HostError, match=r"\(ValueError: no such layer\)"):
        convert(model, SCHEMA)
