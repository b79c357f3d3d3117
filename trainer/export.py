"""From a trained LMMoE to a bundle: conversion, parity, golden vectors, manifest.

The order of work: `convert` the network, choose thresholds on the converted network's scores
(`converted_scores`; quantization moves single scores), then `export`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from sensor.errors import BundleError, HostError
from sensor.flows.sequences import SequenceBatch
from sensor.model.bundle import Bundle
from sensor.model.encoding import Encoded, encode, named
from sensor.model.golden import TOLERANCE, GoldenVectors
from sensor.model.inference import Inference, calibrate
from sensor.model.schema import FeatureSchema, TaskSpec
from sensor.model.verification import verify
from trainer.models.wiring import SHARED, Wiring

GOLDEN_ROWS = 64
"""Golden vectors of a bundle, at most."""

MAX_SCORE_DIFFERENCE = 0.2
"""Largest |Keras − TFLite| of a single score that is exported."""

MAX_AUC_DIFFERENCE = 0.005
"""Largest |AUC Keras − AUC TFLite| of a task that is exported."""

_CONVERSION_TIMEOUT_S = 600


def convert(
    model: keras.Model,
    schema: FeatureSchema,
    quantization: Literal["float16", "int8"] = "float16",
    wiring: Wiring = SHARED,
) -> bytes:
    """The TFLite file of a trained `trainer.models.lmmoe.build` model.

    Runs `trainer.conversion` in a process of its own.

    Args:
        model: the network.
        schema: what it was trained on.
        quantization: ``float16`` stores 16-bit weights and computes in float32: scores of trained
            networks stay within 0.003 of Keras', and within 1e-5 of each other on both runtimes.
            ``int8`` stores the large matrices in 8 bits and quantizes the activations as it runs:
            10 to 30 % faster on LiteRT, up to four times slower on tflite-runtime; the AUC stays,
            but single scores were seen to move by 0.5 and to differ by 0.07 between runtimes.
        wiring: with which the network was built.

    Raises:
        HostError: the conversion failed; the message ends with the converter's last line.
    """
    layers = {layer.name: layer for layer in model.layers}
    tasks = list(model.output)
    experts = [name for name in layers if name.startswith("expert_")]
    specification = {
        "experts": len(experts),
        "units": layers[experts[0]].units,
        "channels": len(schema.channels),
        "context": len(schema.context),
        "lengths": schema.lengths,
        "tasks": tasks,
        "quantization": quantization,
        "gates": "states" if any(name.startswith("gate_input") for name in layers) else "context",
        "experts_of": wiring.experts_of(tasks, len(experts) // len(wiring.groups_of(tasks))),
        "fed": {task: wiring.fed(task) for task in tasks},
        "order": wiring.order(tasks),
        "categorical": [task for task in tasks if layers[task].units > 1],
        "tower_layers": sum(name.startswith(f"tower_{tasks[0]}_") for name in layers),
    }
    weights = {
        f"{name}/{i}": value
        for name, layer in layers.items()
        for i, value in enumerate(layer.get_weights())
    }
    with tempfile.TemporaryDirectory(prefix="multa-conversion-") as scratch:
        folder = Path(scratch)
        np.savez(folder / "weights.npz", **weights)
        (folder / "spec.json").write_text(json.dumps(specification))
        child = subprocess.run(
            [sys.executable, "-m", "trainer.conversion", str(folder)],
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            timeout=_CONVERSION_TIMEOUT_S,
            check=False,
        )
        if child.returncode:
            reason = (child.stderr.strip().splitlines() or ["no message"])[-1]
            if child.returncode < 0:
                reason = f"it crashed with {signal.Signals(-child.returncode).name}"
            raise HostError(
                f"the TFLite conversion failed ({reason}); TensorFlow 2.18 or newer is needed"
            )
        return (folder / "model.tflite").read_bytes()


def converted_scores(
    tflite: bytes,
    encoded: Encoded,
    task_names: Sequence[str],
    *,
    plain_kernels: bool = False,
) -> NDArray[np.float32]:
    """Raw scores ``(b, tasks)`` of the converted network, as the sensor will see them."""
    names = list(task_names)
    inference = Inference(
        tflite, encoded.schema, names, "the converted model", plain_kernels=plain_kernels
    )
    return inference.scores(encoded)


def keras_scores(
    model: keras.Model, encoded: Encoded, task_names: Sequence[str]
) -> NDArray[np.float32]:
    """Raw scores ``(b, tasks)`` of the trained network; identical rows are computed once."""
    first, inverse = encoded.unique_rows()
    x, c = encoded.expand(first)
    outputs = model.predict(named(x, c), batch_size=1_024, verbose=0)
    scores = np.concatenate([outputs[name] for name in task_names], axis=1)
    return np.asarray(scores[inverse], np.float32)


def parity(
    expected: NDArray[np.float32],
    found: NDArray[np.float32],
    tasks: Sequence[TaskSpec],
    labels: NDArray[np.float32] | None,
) -> dict[str, dict[str, float]]:
    """How far the converted network is from the trained one, by task.

    Args:
        expected: ``(b, tasks)`` scores of Keras.
        found: ``(b, tasks)`` scores of TFLite.
        tasks: the columns.
        labels: ``(b, tasks)`` 1, 0, or NaN where unknown.

    Returns:
        For every task ``max_difference``, ``mean_difference``, ``decisions_changed`` (share of
        rows on another side of the threshold) and, where labels hold both classes, ``auc_keras``
        and ``auc_tflite``.
    """
    difference = np.abs(expected.astype(np.float64) - found)
    threshold = np.array([task.threshold for task in tasks])
    changed = (calibrate(tasks, expected) >= threshold) != (calibrate(tasks, found) >= threshold)
    report = {}
    for i, task in enumerate(tasks):
        figures = {
            "max_difference": float(difference[:, i].max()),
            "mean_difference": float(difference[:, i].mean()),
            "decisions_changed": float(changed[:, i].mean()),
        }
        known = np.zeros(len(found), bool) if labels is None else ~np.isnan(labels[:, i])
        truth = labels[known, i] if labels is not None else np.zeros(0, np.float32)
        if np.unique(truth).size == 2:
            figures["auc_keras"] = float(roc_auc_score(truth, expected[known, i]))
            figures["auc_tflite"] = float(roc_auc_score(truth, found[known, i]))
        report[task.name] = figures
    return report


def export(
    model: keras.Model,
    schema: FeatureSchema,
    tasks: Sequence[TaskSpec],
    golden_rows: SequenceBatch,
    provenance: dict[str, Any],
    metrics: dict[str, Any],
    histograms: dict[str, Any],
    model_card: str,
    out: Path,
    *,
    version: str,
    labels: NDArray[np.float32] | None = None,
    tflite: bytes | None = None,
) -> Bundle:
    """Writes the bundle of a trained network and proves it.

    Args:
        model: made by `trainer.models.lmmoe.build` and trained.
        schema: what it was trained on.
        tasks: with thresholds and calibration.
        golden_rows: real rows, some thousand and of all kinds: parity is measured on all of them,
            and golden vectors are chosen among them.
        provenance: data, commit, versions, seed; goes into the manifest as it is.
        metrics: goes into the manifest, with the entry ``parity`` added.
        histograms: reference score histograms; goes into the manifest as it is.
        model_card: Markdown.
        out: the bundle's folder; its name is the bundle's.
        version: of the model.
        labels: ``(rows, tasks)`` of `golden_rows`: 1, 0, or NaN where unknown; for the AUC.
        tflite: result of `convert` for this model, where thresholds were chosen on its scores, or
            where the network has a wiring of its own.

    Raises:
        BundleError: parity is out of bounds, no golden row is stable, or the written bundle does
            not answer its golden vectors.
        HostError: the conversion failed.
        OutputError: the folder can't be written.
    """
    tasks = tuple(tasks)
    names = [task.name for task in tasks]
    tflite = convert(model, schema) if tflite is None else tflite
    encoded = encode(schema, golden_rows)
    scores = converted_scores(tflite, encoded, names)
    report = parity(keras_scores(model, encoded, names), scores, tasks, labels)
    _check_parity(report, out)
    plain = converted_scores(tflite, encoded, names, plain_kernels=True)
    chosen = choose_golden(encoded, scores, plain, tasks)
    if not chosen.size:
        raise BundleError(
            f"{out}: no row scores alike on both runtimes and away from the thresholds; give more "
            "golden rows"
        )
    bundle = Bundle.write(
        out,
        version=version,
        schema=schema,
        tasks=tasks,
        model=tflite,
        golden=GoldenVectors.of(golden_rows.take(chosen), encoded.packed[chosen], scores[chosen]),
        card=model_card,
        histograms=histograms,
        provenance=provenance,
        metrics={**metrics, "parity": report},
    )
    verify(bundle)
    return bundle


def choose_golden(
    encoded: Encoded,
    scores: NDArray[np.float32],
    plain: NDArray[np.float32],
    tasks: Sequence[TaskSpec],
) -> NDArray[np.intp]:
    """Rows fit for golden vectors, at most `GOLDEN_ROWS`, spread over lengths and scores.

    A row is fit if both kinds of kernels agree on it within a tenth of the tolerance, and if a
    change by the tolerance leaves it on its side of every threshold.
    """
    threshold = np.array([task.threshold for task in tasks])
    side = calibrate(tasks, scores) >= threshold
    fit = (np.abs(scores - plain) <= TOLERANCE / 10).all(axis=1)
    for shift in (-2 * TOLERANCE, 2 * TOLERANCE):
        moved = np.clip(scores + np.float32(shift), 0, 1)
        fit &= ((calibrate(tasks, moved) >= threshold) == side).all(axis=1)
    first, _ = encoded.unique_rows()
    rows = np.sort(first[fit[first]])
    # By length, then by which tasks are positive: taken at even steps, every kind is there.
    order = np.lexsort((*scores[rows].T, *side[rows].T, encoded.length[rows]))
    steps = np.linspace(0, rows.size - 1, min(rows.size, GOLDEN_ROWS)).astype(np.intp)
    return rows[order[steps]]


def _check_parity(report: dict[str, dict[str, float]], out: Path) -> None:
    for task, figures in report.items():
        apart = abs(figures.get("auc_keras", 0.0) - figures.get("auc_tflite", 0.0))
        for what, value, bound in (
            ("a score", figures["max_difference"], MAX_SCORE_DIFFERENCE),
            ("the AUC", apart, MAX_AUC_DIFFERENCE),
        ):
            if not value <= bound:
                raise BundleError(
                    f"{out}: quantization moves {what} of {task} by {value:.4f}, more than "
                    f"{bound}; convert it as float16, or train it with smaller weights"
                )
