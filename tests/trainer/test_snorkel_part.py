"""What Snorkel does for the comparison, in its own environment, and what is said without it."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import ROOT
from snorkel_environment import snorkel_python

from sensor.errors import HostError
from trainer.latency import snorkel_side
from trainer.latency.generator import generate

PARTS = """
import sys
from trainer.latency import snorkel_part as part
for what, of_it in (("single-task", part.single_task), ("label-model", part.label_model),
                    ("multitask", part.multitask)):
    of_it(f"{sys.argv[1]}/{what}.npz", f"{sys.argv[1]}/{what}.out.npz")
"""
"""One process for all three: loading PyTorch takes longer than they do."""

ACCURACIES = (0.95, 0.85, 0.75)


def given():
    """What each part is asked; truth of the votes and of the rows."""
    rng = np.random.default_rng(1)
    truth = rng.random(2_000) < 0.3
    votes = np.stack([np.where(rng.random(2_000) < each, truth, ~truth) for each in ACCURACIES], 1)
    votes = np.where(rng.random(votes.shape) < 0.8, votes, -1).astype(np.int8)
    votes[:5] = -1
    rows = rng.normal(size=(900, 2)).astype(np.float32)
    wanted = np.stack([rows[:, 0] > 0, rows.sum(axis=1) > 0.5], axis=1)
    labels = wanted.astype(np.int8)
    labels[rng.random(labels.shape) < 0.2] = -1
    parts = {"training": slice(600), "validation": slice(600, 700), "asked": slice(700, None)}
    return {
        "single-task": {"rtt_ms": next(generate(600, 600, seed=3)).rtt_ms[:60]},
        "label-model": {"training": votes, "asked": votes, "seed": 0},
        "multitask": {
            **{name: rows[part] for name, part in parts.items()},
            **{f"{name}_labels": labels[parts[name]] for name in ("training", "validation")},
            "seed": 1,
            "epochs": 20,
            "batch": 32,
            "rate": 0.01,
        },
    }, (truth, wanted[parts["asked"]])


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("snorkel")
    asked, truths = given()
    for what, content in asked.items():
        np.savez(folder / f"{what}.npz", **content)
    child = subprocess.run(
        [snorkel_python(), "-c", PARTS, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return {what: np.load(folder / f"{what}.out.npz") for what in asked}, truths


def test_the_applier_and_the_label_model_are_timed_by_task(answered):
    found = answered[0]["single-task"]
    assert found["functions"].tolist() == [3, 3, 3]
    assert found["applier"].shape == found["label_model"].shape == (3,)
    assert (found["applier"] > 0).all()


def test_the_label_model_says_how_likely_and_nothing_where_nobody_votes(answered):
    found, truth = answered[0]["label-model"], answered[1][0]
    likely = found["likely"]
    assert likely.dtype == np.float32
    voted = (given()[0]["label-model"]["asked"] >= 0).any(axis=1)
    assert not voted[:5].any()
    np.testing.assert_array_equal(np.isnan(likely), ~voted)
    # Three independent votes, each with a chance of a fifth not to be cast.
    assert ((likely > 0.5) == truth)[voted].mean() > 0.85
    assert found["seconds"] > 0


def test_the_classifier_learns_all_tasks_and_leaves_out_what_is_not_known(answered):
    found, wanted = answered[0]["multitask"], answered[1][1]
    assert found["said"].shape == (200, 2)
    assert ((found["said"] == 1) == wanted).mean(axis=0).min() > 0.93


@pytest.mark.skipif(
    importlib.util.find_spec("snorkel") is not None, reason="is about a Python without Snorkel"
)
def test_an_environment_without_snorkel_is_one_line():
    says = rf"{sys.executable}: Snorkel failed \(ModuleNotFoundError: No module named '\w+'\)"
    with pytest.raises(HostError, match=says):
        snorkel_side.single_task(Path(sys.executable), np.ones(30))
