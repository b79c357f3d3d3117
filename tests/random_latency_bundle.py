"""Makes a bundle of random weights for windows of round-trip times, for `random_bundle.py`.

Three binary tasks about the peer, thresholds at the 0.9 quantile of the scores of random windows.
"""

from pathlib import Path

import keras
import numpy as np

from sensor.flows.sequences import MEASURED_TYPES, SequenceBatch
from sensor.model.encoding import encode
from sensor.model.schema import PEER_LATENCY, FeatureSchema, IncidentRule, TaskSpec
from trainer.export import convert, converted_scores, export
from trainer.models.lmmoe import build

TASKS = ("noise", "outage", "swell")
FIELDS = ("rtt", "rtt_above", "rtt_raised", "rtt_gap", "answered", "valid")


def random_windows(n: int, count: int, seed: int) -> SequenceBatch:
    """Windows of 1 to n measurements, a fifth of which failed."""
    generator = np.random.default_rng(seed)
    rows = SequenceBatch.zeros(n, count, MEASURED_TYPES)
    rows.length[:] = generator.integers(1, n + 1, count)
    held = np.arange(n) < rows.length[:, None]
    rows.answered[:] = held & (generator.random((count, n)) < 0.8)
    rows.rtt[:] = 10 ** generator.uniform(1, 7, (count, n)) * rows.answered
    rows.rtt_gap[:] = 10 ** generator.uniform(0, 6, (count, n)) * held
    rows.rtt_usual[:] = 10 ** generator.uniform(1, 7, (count, n)) * held
    rows.flow_ordinal[:] = np.arange(count)
    rows.sequence_index[:] = rows.row[:] = rows.length - 1
    return rows


def make_measuring(folder: Path, n: int = 8) -> None:
    """Writes the bundle."""
    schema = FeatureSchema(lengths=(n,), fields=FIELDS, context=(), key=PEER_LATENCY)
    keras.utils.set_random_seed(9)
    model = build(schema, list(TASKS), 2, 6)
    model.set_weights([2 * weights for weights in model.get_weights()])
    rows = random_windows(n, 500, seed=1)
    tflite = convert(model, schema)
    thresholds = np.quantile(
        converted_scores(tflite, encode(schema, rows), list(TASKS)), 0.9, axis=0
    )
    specs = [
        TaskSpec(
            name=name,
            policy="repeat",
            threshold=round(float(threshold), 4),
            signature_id=2_000 + i,
            signature=f"MULTA {name}",
            category="Misc activity",
            severity=3,
            incident=IncidentRule("responder", 1, 60),
        )
        for i, (name, threshold) in enumerate(zip(TASKS, thresholds, strict=True))
    ]
    export(
        model,
        schema,
        specs,
        rows,
        provenance={"weights": "random", "seed": 9},
        metrics={},
        histograms={"edges": [0.0, 0.5, 1.0], "counts": {name: [9, 1] for name in TASKS}},
        model_card="# Random weights\n\nFor tests of rows of round-trip times.\n",
        out=folder,
        version="0.0.1",
        tflite=tflite,
    )
