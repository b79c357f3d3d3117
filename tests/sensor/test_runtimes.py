"""Every bundle answers its golden vectors on both TFLite runtimes, each in its own environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OTHER_PYTHON = os.environ.get(
    "MULTA_TFLITE_RUNTIME_PYTHON", str(ROOT / ".venv-tflite-runtime/bin/python")
)
"""Interpreter of an environment with tflite-runtime 2.14, numpy < 2 and no TensorFlow."""

CHILD = """
import dataclasses, json, pathlib, sys
import numpy
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.model.verification import answer
bundle = Bundle.read(pathlib.Path(sys.argv[1]))
result = dataclasses.asdict(answer(bundle))
detector, rows = BundleDetector(bundle), bundle.golden.rows
scores = detector.look(rows)
alone = [detector.look(rows.take(slice(r, r + 1)))[0] for r in range(len(rows))]
heavy = sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "jax"})
report = {"heavy": heavy, "alone": numpy.array_equal(alone, scores), "scores": scores.tolist()}
print(json.dumps({**result, **report}))
"""


def bundle_folders() -> list[str]:
    return sorted(str(place.parent) for place in ROOT.glob("models/*/manifest.json"))


@pytest.fixture(params=["random", *bundle_folders()], ids=lambda name: Path(name).name)
def folder(request) -> str:
    if request.param == "random":
        return str(request.getfixturevalue("random_bundle"))
    return request.param


def answers(python: str, folder: str) -> dict:
    child = subprocess.run(
        [python, "-c", CHILD, folder], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr
    result = json.loads(child.stdout)
    assert result["max_difference"] <= 1e-3
    assert result["alone"], "a row scores otherwise alone than in a batch"
    assert result["heavy"] == [], "the sensor imported what only the trainer needs"
    return result


def test_on_the_installed_runtime(folder):
    assert answers(sys.executable, folder)["rows"] > 0


def test_on_tflite_runtime_with_the_same_decisions(folder):
    if not Path(OTHER_PYTHON).exists():
        pytest.skip(
            f"needs an environment with tflite-runtime 2.14 ({OTHER_PYTHON} does not exist; "
            "`make test` makes it, or set MULTA_TFLITE_RUNTIME_PYTHON)"
        )
    result = answers(OTHER_PYTHON, folder)
    assert result["runtime"] == "tflite-runtime 2.14.0"
    here = answers(sys.executable, folder)["scores"]
    tasks = json.loads((Path(folder) / "manifest.json").read_text())["tasks"]
    for mine, theirs in zip(here, result["scores"], strict=True):
        assert len(mine) == len(theirs)
        assert decisions(tasks, mine) == decisions(tasks, theirs)


def decisions(tasks: list[dict], scores: list[float]) -> list[object]:
    """Which side of its threshold a row is on; of a categorical task its class, None for none."""
    left, found = iter(scores), []
    for task in tasks:
        if task["kind"] == "binary":
            found.append(next(left) >= task["threshold"])
            continue
        of_classes = [next(left) for _ in task["classes"]]
        best = max(range(len(of_classes)), key=of_classes.__getitem__)
        found.append(best if of_classes[best] >= task["abstain_below"] else None)
    assert not list(left)
    return found
