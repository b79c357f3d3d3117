"""Recipes: read strictly, resumed where they stopped, and the shipped one fits the lab."""

import json
import os
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest
from toy_recordings import toy_recording

from sensor.errors import ConfigurationError, MissingInputError, ScenarioError
from sensor.model.bundle import Bundle
from trainer.cli import main
from trainer.datasets.dataset import load
from trainer.datasets.splits import PARTS
from trainer.lab.scenario import read_scenario
from trainer.recipe import _is_done, read_recipe, record_missing
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


def account(folder, **changes):
    made = {"scenario": "mixed", "seed": 1, "duration_s": 120.0, **changes}
    (folder / "recording.json").write_text(json.dumps(made))


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
        (TOY + recording("a", "train") * 2, "two recordings are called a"),
        (TOY + recording("../a", "train"), r"recordings\[0\].name is not made of letters"),
        (TOY + recording("a", "train", seed=-1), r"recordings\[0\].seed is no number from 0"),
        (TOY + recording("a", "train", duration_s="1"), r"recordings\[0\].duration_s is no number"),
        (TOY + recording("a", "train", scenario=3), r"recordings\[0\].scenario is no text"),
        ("recordings = 3\n" + TOY, r"write \[\[recordings\]\] and \[training\]"),
        (TOY.replace('"3"', "3") + recording("a", "train"), "version is no text"),
        (TOY.replace("[4]", "[-4]") + recording("a", "train"), "training.seeds is no list of num"),
        (TOY.replace("= 2\nunits", "= 0\nunits") + recording("a", "train"), "training.experts is"),
        (TOY.replace("12", "1.5") + recording("a", "train"), "training.epochs is not a whole num"),
        (
            TOY.replace("units = 8", "learning_rate = nan") + recording("a", "train"),
            "training.learning_rate is not a number above 0",
        ),
        (
            TOY.replace("units = 8", "task_weights = [1, -1]") + recording("a", "train"),
            "training.task_weights is not a list",
        ),
        (
            TOY.replace("units = 8", "tower_units = 8") + recording("a", "train"),
            "training.tower_units is not a list",
        ),
        (
            TOY.replace("day = 2", "day = inf") + recording("a", "train"),
            "training.false_incidents_per_day is no number",
        ),
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


@pytest.mark.parametrize("changes", [{"seed": 2}, {"scenario": "benign"}, {"duration_s": 60.0}])
def test_a_recording_of_another_plan_is_not_taken_for_the_recipe_s(write, tmp_path, changes):
    recipe = read_recipe(write(TOY + recording("a", "train") + recording("b", "test")))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        account(tmp_path / name)
    assert [each.name for each in record_missing(recipe, tmp_path, print)] == ["a", "b"]
    account(tmp_path / "b", **changes)
    with pytest.raises(ConfigurationError, match=r"b: is of scenario, .* remove the folder"):
        record_missing(recipe, tmp_path, print)
    (tmp_path / "b" / "recording.json").write_text('{"scenario": ')
    with pytest.raises(ConfigurationError, match="damaged; remove the folder"):
        record_missing(recipe, tmp_path, print)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"scenario": "nothing"}, MissingInputError, "recording b: nothing: No such file"),
        ({"duration_s": 1}, ScenarioError, "recording b: duration: a recording takes from 3"),
    ],
)
def test_all_scenarios_are_looked_at_before_the_first_is_played(
    write, tmp_path, changes, kind, message
):
    recipe = read_recipe(write(TOY + recording("a", "train") + recording("b", "test", **changes)))
    said = []
    with pytest.raises(kind, match=message):
        record_missing(recipe, tmp_path, said.append)
    assert said == []


def test_a_recipe_goes_from_recordings_to_a_bundle_and_repeats_nothing(write, tmp_path, capsys):
    recordings = tmp_path / "out" / "recordings"
    for seed, name in enumerate(PARTS_OF):
        toy_recording(recordings / name, seed)
        account(recordings / name)
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
