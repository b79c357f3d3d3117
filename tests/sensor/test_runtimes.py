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
scores = BundleDetector(bundle).score(bundle.golden.rows)
heavy = sorted({name.split(".")[0] for name in sys.modules} & {"tensorflow", "keras", "jax"})
print(json.dumps({**result, "heavy": heavy, "scores": scores.tolist()}))
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
    return json.loads(child.stdout)


def test_on_the_installed_runtime(folder):
    result = answers(sys.executable, folder)
    assert result["max_difference"] <= 1e-3
    assert result["heavy"] == []


def test_on_tflite_runtime_with_the_same_decisions(folder):
    if not Path(OTHER_PYTHON).exists():
        pytest.skip(
            f"needs an environment with tflite-runtime 2.14 ({OTHER_PYTHON} does not exist; "
            "`make test` makes it, or set MULTA_TFLITE_RUNTIME_PYTHON)"
        )
    result = answers(OTHER_PYTHON, folder)
    assert result["runtime"] == "tflite-runtime 2.14.0"
    assert result["max_difference"] <= 1e-3
    assert result["heavy"] == []
    here = answers(sys.executable, folder)["scores"]
    tasks = json.loads((Path(folder) / "manifest.json").read_text())["tasks"]
    for mine, theirs in zip(here, result["scores"], strict=True):
        for task, a, b in zip(tasks, mine, theirs, strict=True):
            assert (a >= task["threshold"]) == (b >= task["threshold"])
