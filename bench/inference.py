"""Measures a bundle's inference on the flows of a capture: 256 at a time, and one at a time.

Every row is scored once and no two are equal, so nothing is saved by remembering or by computing
equal ones once. ``network`` is `sensor.model.inference.Inference.scores` of rows that are encoded
already; ``whole`` is `sensor.model.detector.BundleDetector.score`, which encodes before it and
calibrates after it. Processor time of this process, on the core that it is pinned to.

    python -m bench.inference CAPTURE
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from sensor.extract import SequenceBatch, sequences
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.encoding import encode
from sensor.model.inference import Inference
from sensor.service.models.model_store import shipped_bundle

BATCH = 256
ALONE = 2_000
ROWS = 2 * ALONE + 100 * BATCH


def measure(capture: Path, bundle: Bundle) -> dict[str, float]:
    """Flows a second at batch 256 and µs of a single flow, for the network alone and whole."""
    rows, found = _distinct_rows(capture, bundle)
    detector = BundleDetector(bundle)
    names = [task.name for task in bundle.tasks]
    inference = Inference(bundle.model, bundle.schema, names, str(bundle.path))
    batches: dict[str, list[float]] = {"network": [], "whole": []}
    single: dict[str, list[float]] = {"network": [], "whole": []}
    # In turn, so that both meet the machine as it is.
    for start in range(2 * ALONE, found - BATCH + 1, 2 * BATCH):
        chunk = encode(bundle.schema, rows.take(slice(start, start + BATCH)))
        began = time.process_time_ns()
        inference.scores(chunk)
        batches["network"].append(time.process_time_ns() - began)
        other = rows.take(slice(start + BATCH, start + 2 * BATCH))
        if len(other) == BATCH:
            began = time.process_time_ns()
            detector.score(other)
            batches["whole"].append(time.process_time_ns() - began)
    for i in range(0, min(2 * ALONE, found - 1), 2):
        alone = encode(bundle.schema, rows.take(slice(i, i + 1)))
        began = time.process_time_ns()
        inference.scores(alone)
        single["network"].append(time.process_time_ns() - began)
        one = rows.take(slice(i + 1, i + 2))
        began = time.process_time_ns()
        detector.score(one)
        single["whole"].append(time.process_time_ns() - began)
    return {
        "rows": found,
        "full": round(float(np.mean(rows.length == bundle.schema.n)), 3),
        **{f"batch_{name}": BATCH / statistics.median(ns) * 1e9 for name, ns in batches.items()},
        **{f"single_{name}": statistics.median(ns) / 1e3 for name, ns in single.items()},
    }


def _distinct_rows(capture: Path, bundle: Bundle) -> tuple[SequenceBatch, int]:
    kept: list[SequenceBatch] = []
    for batch in sequences([str(capture)], bundle.schema):
        kept.append(batch.take(batch.sequence_index == 0))
        if sum(len(part) for part in kept) >= 2 * ROWS:
            break
    rows = SequenceBatch.concatenate(kept)
    first, _ = encode(bundle.schema, rows).unique_rows()
    chosen = rows.take(np.sort(first)[:ROWS])
    return chosen, len(chosen)


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), Bundle.read(shipped_bundle()))))
