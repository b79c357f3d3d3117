"""Makes bundles with random weights: ``random_bundle.py FOLDER [ANNOTATING LATENCY]``.

For tests of whatever reads bundles. Three tasks, one of them for repeated sequences; thresholds
at the 0.9 quantile of the scores, so that some rows are positive. The second one has a binary and
two categorical tasks, the third one looks at round-trip times. Run as a script, so that TensorFlow
stays out of the process of the tests.
"""

import os
import sys
from pathlib import Path

os.environ |= {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import keras
import numpy as np
from feature_rows import random_rows
from numpy.typing import NDArray
from random_latency_bundle import make_measuring

from sensor.model.bundle import Bundle
from sensor.model.encoding import encode
from sensor.model.golden import GoldenVectors
from sensor.model.schema import AnnotationSpec, FeatureSchema, IncidentRule, TaskSpec
from trainer.export import convert, converted_scores, export
from trainer.models.lmmoe import build

SCHEMA = FeatureSchema()
TASKS = {
    "syn_dos": ("first", IncidentRule("responder", 20, 10)),
    "ssdp_flood": ("first", IncidentRule("reflection_victim", 20, 10, 1900)),
    "ssl_renegotiation": ("repeat", IncidentRule("responder", 1, 10, open_rows=2)),
}


def untrained(experts: int, units: int) -> keras.Model:
    """A seeded network whose weights are twice as large as those that training starts from."""
    keras.utils.set_random_seed(7)
    model = build(SCHEMA, list(TASKS), experts, units)
    model.set_weights([2 * weights for weights in model.get_weights()])
    return model


def task_specs(thresholds: list[float]) -> list[TaskSpec]:
    """The tasks with thresholds on scores that are calibrated with slope 1.5 and offset −1."""
    return [
        TaskSpec(
            name=name,
            policy=policy,
            threshold=threshold,
            signature_id=i,
            signature=f"MULTA {name}",
            category="Attempted Denial of Service",
            severity=1,
            incident=rule,
            calibration=(1.5, -1.0),
        )
        for i, ((name, (policy, rule)), threshold) in enumerate(
            zip(TASKS.items(), thresholds, strict=True), start=1
        )
    ]


def make(folder: Path) -> None:
    """Writes the bundle."""
    model = untrained(experts=2, units=12)
    rows = random_rows(SCHEMA.n, 1_000, seed=1)
    tflite = convert(model, SCHEMA)
    raw = np.quantile(converted_scores(tflite, encode(SCHEMA, rows), list(TASKS)), 0.9, axis=0)
    calibrated = 1 / (1 + np.exp(1 - 1.5 * np.log(raw / (1 - raw))))
    export(
        model,
        SCHEMA,
        task_specs([round(float(value), 4) for value in calibrated]),
        rows,
        provenance={"weights": "random", "seed": 7},
        metrics={},
        histograms={"edges": [0.0, 0.5, 1.0], "counts": {name: [9, 1] for name in TASKS}},
        model_card="# Random weights\n\nFor tests of tools; it detects nothing.\n",
        out=folder,
        version="0.0.1",
        tflite=tflite,
    )


ANNOTATIONS = (
    AnnotationSpec("traffic", ("documents", "music", "video"), 8, abstain_below=0.4),
    AnnotationSpec("seconds", ("below 1", "1 to 10", "10 on"), 2, 0.0, "duration", (1.0, 10.0)),
)


def make_annotating(folder: Path) -> None:
    """Writes the bundle that annotates too."""
    schema = FeatureSchema(lengths=(4, 16), policies=("first",))
    classes = {each.name: len(each.classes) for each in ANNOTATIONS}
    names = ["syn_dos", *classes]
    keras.utils.set_random_seed(8)
    model = build(schema, names, 2, 6, classes=classes)
    model.set_weights([2 * weights for weights in model.get_weights()])
    tflite = convert(model, schema)
    rows = random_rows(schema.n, 200, seed=2)
    encoded = encode(schema, rows)
    scores = converted_scores(tflite, encoded, names)
    task = task_specs([0.999] * len(TASKS))[0]
    stable = np.flatnonzero(_margins(scores) > 0.01)[:32]
    Bundle.write(
        folder,
        version="0.0.1",
        schema=schema,
        tasks=(task,),
        annotations=ANNOTATIONS,
        model=tflite,
        golden=GoldenVectors.of(rows.take(stable), encoded.packed[stable], scores[stable]),
        card="# Random weights\n\nFor tests of annotations.\n",
        histograms={},
        provenance={"weights": "random", "seed": 8},
        metrics={},
    )


def _margins(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far the best class of each row is from the next one, at the closest of its tasks."""
    parts = [np.sort(scores[:, first : first + 3], axis=1) for first in (1, 4)]
    return np.min([part[:, -1] - part[:, -2] for part in parts], axis=0)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        make_annotating(Path(sys.argv[2]))
        make_measuring(Path(sys.argv[3]))
