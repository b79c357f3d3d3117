"""Snorkel's own functions, figures and label model, in an environment of their own.

`make .venv-snorkel/.complete` makes it (PyTorch and Snorkel, 1.4 GB); without it these tests are
skipped. `make verify TARGET=weak` measures the same at length.
"""

import json
import os
import subprocess

import pytest
from command import ROOT
from snorkel_environment import snorkel_python

CHILD = """
import json, sys
import numpy as np, pandas as pd
import weak_beside_snorkel as beside
rng = np.random.default_rng(1)
frame = pd.DataFrame({"rtt_ms": rng.gamma(2, 6, 300), "link": rng.choice(["wifi", "wire"], 300)})
frame.loc[::17, "rtt_ms"] = np.nan
theirs, ours, *_ = beside.adapted_and_applied(sys.argv[1], frame)
both = beside.applied_by_both(1_500, 1_500)
votes = rng.integers(-1, 3, (500, 5)).astype(np.int8)
votes[:, 4] = -1
drawn, truth, best = beside.drawn_votes(1, 20_000, (.95, .9, .8, .85), (.5, .7, .9, .6), .05)
scores = beside.label_models(drawn, truth)
print(json.dumps({
    "adapted": [theirs.tolist() == ours.tolist(), int((ours >= 0).sum())],
    "shared": [np.array_equal(*both[:2]), [len(set(column)) for column in both[1].T.tolist()]],
    "figures": beside.largest_difference(votes, rng.integers(0, 3, 500).astype(np.int8)),
    "majority": beside.largest_difference_of_majority(drawn[:1000]),
    "ours": scores["ours"].f1,
    "snorkel": scores["Snorkel, balance known"].f1,
    "best": beside.Score.of(best, truth).f1,
    "multitask": beside.multitask_accuracy(),
}))
"""


@pytest.fixture(scope="module")
def found():
    child = subprocess.run(
        [snorkel_python(), "-c", CHILD, str(ROOT / "tests/weak_snorkel_functions.py")],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout.splitlines()[-1])


def test_functions_of_snorkel_run_unchanged(found):
    same, votes = found["adapted"]
    assert same
    assert votes > 300


def test_the_same_function_votes_the_same_in_both(found):
    same, kinds = found["shared"]
    assert same
    assert min(kinds) > 1  # every one of them voted, and abstained or voted otherwise


def test_figures_are_those_of_lf_analysis(found):
    assert found["figures"] < 1e-12
    assert found["majority"] == 0


def test_the_label_model_is_as_good_as_can_be_and_no_worse_than_snorkels(found):
    assert found["ours"] > found["best"] - 0.01
    assert found["ours"] >= found["snorkel"]


def test_the_multitask_classifier_runs(found):
    assert found["multitask"] > 0.9
