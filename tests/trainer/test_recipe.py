"""Recipes: read strictly, resumed where they stopped, and the shipped one fits the lab."""

import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from toy_recordings import toy_recording

from sensor.errors import ConfigurationError, MissingInputError
from sensor.model.bundle import Bundle
from trainer.cli import main
from trainer.datasets.dataset import load
from trainer.datasets.splits import PARTS
from trainer.lab.scenario import read_scenario
from trainer.recipe import _is_done, read_recipe
from trainer.runs import load as load_run

TOY = """
version = "3"
[training]
experts = 2
units = 8
epochs = 12
batch_size = 32
seeds = [4]
false_incidents_per_day = 2
"""
PARTS_OF = {"rec0": "train", "rec1": "train", "rec2": "validation", "rec3": "test"}


def recording(name, part, **changes):
    entry = {"name": name, "part": part, "scenario": "mixed", "seed": 1, "duration_s": 120}
    lines = (f"{key} = {value!r}" for key, value in {**entry, **changes}.items())
    return "[[recordings]]\n" + "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "toy.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_shipped_recipe_names_scenarios_of_the_lab_and_distinct_recordings():
    recipe = read_recipe("iot-gateway")
    names = [plan.name for plan in recipe.recordings]
    assert len(set(names)) == len(names)
    assert len({(plan.scenario, plan.seed) for plan in recipe.recordings}) == len(names)
    assert {plan.part for plan in recipe.recordings} == set(PARTS)
    for plan in recipe.recordings:
        read_scenario(plan.scenario)
    assert len(recipe.seeds) >= 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = ", "Invalid value"),
        ("version = '1'", "recordings, training is missing or unknown"),
        (TOY.replace("seeds", "seed") + recording("a", "train"), "training lacks seeds"),
        (TOY.replace("units", "unit") + recording("a", "train"), "training.unit is unknown"),
        (TOY + recording("a", "teach"), r"recordings\[0\].part is not one of train"),
        (TOY + recording("a", "train", snaplen=9), r"recordings\[0\]: snaplen is missing or unkn"),
    ],
)
def test_a_malformed_recipe_is_one_line_that_names_file_and_entry(write, text, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        read_recipe(write(text))
    assert str(raised.value).startswith(write(text))
    assert "\n" not in str(raised.value)


def test_a_recipe_that_is_not_there_names_those_that_are():
    with pytest.raises(MissingInputError, match=r"nothing: No such file .*iot-gateway"):
        read_recipe("nothing")


def test_a_recipe_goes_from_recordings_to_a_bundle_and_repeats_nothing(write, tmp_path, capsys):
    recordings = tmp_path / "out" / "recordings"
    for seed, name in enumerate(PARTS_OF):
        toy_recording(recordings / name, seed)
        (recordings / name / "recording.json").write_text("{}")
    text = TOY + "".join(recording(name, part) for name, part in PARTS_OF.items())
    arguments = ["recipe", write(text), "--work", str(tmp_path / "out")]
    main([*arguments, "--out", str(tmp_path / "models" / "toy")])
    first = capsys.readouterr()
    assert "rec3: 4" in first.err
    assert "run: training 1 networks" in first.err
    assert "run-in-source: training 1 networks" in first.err
    bundle = Bundle.read(tmp_path / "models" / "toy")
    assert bundle.version == "3"
    assert bundle.manifest["provenance"]["seed"] == 4
    assert set(bundle.manifest["metrics"]) == {"source_split", "time_split", "parity"}
    main([*arguments, "--out", str(tmp_path / "models" / "again")])
    second = capsys.readouterr()
    for line in (
        "rec0: unchanged",
        "rec3: unchanged",
        "run: unchanged",
        "run-in-source: unchanged",
    ):
        assert line in second.err
    again = Bundle.read(tmp_path / "models" / "again")
    assert again.model_sha256 == bundle.model_sha256
    assert again.tasks == bundle.tasks
    dataset = load([tmp_path / "out" / "dataset"])
    run, recipe = tmp_path / "out" / "run", read_recipe(write(text))
    split = load_run(run).split
    assert _is_done(run, recipe, dataset, split, (4,))
    assert not _is_done(run, recipe, dataset, split, (4, 5))
    longer = replace(recipe, settings=replace(recipe.settings, epochs=13))
    assert not _is_done(run, longer, dataset, split, (4,))
    relabelled = replace(dataset.sources[0], labels_sha256="0" * 64)
    changed = replace(dataset, sources=(relabelled, *dataset.sources[1:]))
    assert not _is_done(run, recipe, changed, split, (4,))
