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
from collections.abc import Iterator, Sequence
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
from sensor.model.schema import AnnotationSpec, FeatureSchema, TaskSpec
from sensor.model.verification import verify
from trainer.datasets.labels import MASKED
from trainer.models.wiring import SHARED, Wiring

GOLDEN_ROWS = 64
"""Golden vectors of a bundle, at most."""

MAX_SCORE_DIFFERENCE = 0.2
"""Largest |Keras − TFLite| of a single score that is exported."""

MAX_AUC_DIFFERENCE = 0.005
"""Largest |AUC Keras − AUC TFLite| of a task that is exported."""

MAX_ACCURACY_DIFFERENCE = 0.01
"""Largest |accuracy Keras − accuracy TFLite| of a categorical task that is exported."""

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
        "pooled": layers[experts[0]].return_sequences,
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
    """Raw scores ``(b, columns)`` of the converted network, as the sensor will see them.

    A binary task has one column, a categorical one a column for each class.
    """
    names = list(task_names)
    inference = Inference(
        tflite, encoded.schema, names, "the converted model", plain_kernels=plain_kernels
    )
    return inference.scores(encoded)


def keras_scores(
    model: keras.Model, encoded: Encoded, task_names: Sequence[str]
) -> NDArray[np.float32]:
    """Raw scores ``(b, columns)`` of the trained network; identical rows are computed once."""
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
    annotations: Sequence[AnnotationSpec] = (),
) -> dict[str, dict[str, float]]:
    """How far the converted network is from the trained one, by task.

    Args:
        expected: ``(b, columns)`` scores of Keras.
        found: ``(b, columns)`` scores of TFLite.
        tasks: the first columns.
        labels: ``(b, tasks + annotations)`` 1, 0, or NaN where unknown; of a categorical task the
            place of the class.
        annotations: the other columns.

    Returns:
        For every task ``max_difference``, ``mean_difference``, ``decisions_changed`` (share of
        rows on another side of the threshold, or of which another class is told, or none) and,
        where labels hold both classes, ``auc_keras`` and ``auc_tflite``; of a categorical task
        ``accuracy_keras`` and ``accuracy_tflite``, if a label is known.
    """
    difference = np.abs(expected.astype(np.float64) - found)
    threshold = np.array([task.threshold for task in tasks])
    binary = [scores[:, : len(tasks)] for scores in (expected, found)]
    sides = [calibrate(tasks, scores) >= threshold for scores in binary]
    changed = sides[0] != sides[1]
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
    for i, (annotation, columns) in enumerate(_columns(tasks, annotations), len(tasks)):
        best = [scores[:, columns].argmax(axis=1) for scores in (expected, found)]
        told = [
            np.where(scores[:, columns].max(axis=1) >= annotation.abstain_below, place, MASKED)
            for scores, place in zip((expected, found), best, strict=True)
        ]
        figures = {
            "max_difference": float(difference[:, columns].max()),
            "mean_difference": float(difference[:, columns].mean()),
            "decisions_changed": float((told[0] != told[1]).mean()),
        }
        if labels is not None and (known := ~np.isnan(labels[:, i])).any():
            for name, place in zip(("keras", "tflite"), best, strict=True):
                figures[f"accuracy_{name}"] = float((place == labels[:, i])[known].mean())
        report[annotation.name] = figures
    return report


def _columns(
    tasks: Sequence[TaskSpec], annotations: Sequence[AnnotationSpec]
) -> Iterator[tuple[AnnotationSpec, slice]]:
    """Each categorical task with the columns of its classes."""
    begin = len(tasks)
    for annotation in annotations:
        yield annotation, slice(begin, begin + len(annotation.classes))
        begin += len(annotation.classes)


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
    annotations: Sequence[AnnotationSpec] = (),
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
        annotations: categorical tasks, which are the network's last outputs.
        labels: ``(rows, tasks + annotations)`` of `golden_rows`: 1, 0, or NaN where unknown; of a
            categorical task the place of the class. For AUC and accuracy.
        tflite: result of `convert` for this model, where thresholds were chosen on its scores, or
            where the network has a wiring of its own.

    Raises:
        BundleError: parity is out of bounds, no golden row is stable, or the written bundle does
            not answer its golden vectors.
        HostError: the conversion failed.
        OutputError: the folder can't be written.
    """
    tasks, annotations = tuple(tasks), tuple(annotations)
    names = [task.name for task in tasks] + [annotation.name for annotation in annotations]
    tflite = convert(model, schema) if tflite is None else tflite
    encoded = encode(schema, golden_rows)
    scores = converted_scores(tflite, encoded, names)
    report = parity(keras_scores(model, encoded, names), scores, tasks, labels, annotations)
    _check_parity(report, out)
    plain = converted_scores(tflite, encoded, names, plain_kernels=True)
    chosen = choose_golden(encoded, scores, plain, tasks, annotations)
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
        annotations=annotations,
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
    annotations: Sequence[AnnotationSpec] = (),
) -> NDArray[np.intp]:
    """Rows fit for golden vectors, at most `GOLDEN_ROWS`, spread over lengths and scores.

    A row is fit if both kinds of kernels agree on it within a tenth of the tolerance, and if a
    change by the tolerance leaves it on its side of every threshold, and each categorical task
    with its class.
    """
    threshold = np.array([task.threshold for task in tasks])
    binary = scores[:, : len(tasks)]
    side = calibrate(tasks, binary) >= threshold
    fit = (np.abs(scores - plain) <= TOLERANCE / 10).all(axis=1)
    for shift in (-2 * TOLERANCE, 2 * TOLERANCE):
        moved = np.clip(binary + np.float32(shift), 0, 1)
        fit &= ((calibrate(tasks, moved) >= threshold) == side).all(axis=1)
    best = []
    for annotation, columns in _columns(tasks, annotations):
        ordered = np.sort(scores[:, columns], axis=1)
        fit &= ordered[:, -1] - ordered[:, -2] > 4 * TOLERANCE
        fit &= np.abs(ordered[:, -1] - annotation.abstain_below) > 2 * TOLERANCE
        best.append(scores[:, columns].argmax(axis=1))
    first, _ = encoded.unique_rows()
    rows = np.sort(first[fit[first]])
    # By length, then by which tasks are positive: taken at even steps, every kind is there.
    kinds = [*side[rows].T, *(each[rows] for each in best)]
    order = np.lexsort((*scores[rows].T, *kinds, encoded.length[rows]))
    steps = np.linspace(0, rows.size - 1, min(rows.size, GOLDEN_ROWS)).astype(np.intp)
    return rows[order[steps]]


def _check_parity(report: dict[str, dict[str, float]], out: Path) -> None:
    for task, figures in report.items():
        apart = {
            name: abs(figures.get(f"{name}_keras", 0.0) - figures.get(f"{name}_tflite", 0.0))
            for name in ("auc", "accuracy")
        }
        for what, value, bound in (
            ("a score", figures["max_difference"], MAX_SCORE_DIFFERENCE),
            ("the AUC", apart["auc"], MAX_AUC_DIFFERENCE),
            ("the accuracy", apart["accuracy"], MAX_ACCURACY_DIFFERENCE),
        ):
            if not value <= bound:
                raise BundleError(
                    f"{out}: quantization moves {what} of {task} by {value:.4f}, more than "
                    f"{bound}; convert it as float16, or train it with smaller weights"
                )
