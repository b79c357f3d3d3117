"""Recipes: read strictly, and resumed where they stopped."""

import json
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
from trainer.recipe import _is_done, read_recipe
from trainer.runs import load as load_run

TOY = """
version = "3"
recordings = "homes"
tasks = ["syn_dos", "ssdp_flood", "ssl_renegotiation"]
[training]
experts = 2
units = 8
epochs = 12
batch_size = 32
seeds = [4]
false_incidents_per_day = 2
"""
PARTS_OF = {"mixed-0": "train", "mixed-1": "train", "mixed-2": "validation", "mixed-3": "test"}


def account(folder, seed):
    made = {"scenario": "mixed", "seed": seed, "duration_s": 120.0}
    (folder / "recording.json").write_text(json.dumps(made))


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "toy.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_shipped_recipe_has_all_parts_and_three_seeds():
    recipe = read_recipe("iot-gateway")
    assert set(recipe.recordings.parts().values()) == set(PARTS)
    assert len(recipe.seeds) >= 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = ", "Invalid value"),
        ("version = '1'", "recordings, tasks, training is missing or unknown"),
        (TOY.replace("seeds", "seed"), "training lacks seeds"),
        (TOY.replace("units", "unit"), "training.unit is unknown"),
        (TOY.replace('"homes"', "3"), "write recordings = "),
        (TOY.replace('"3"', "3"), "version is no text"),
        (TOY.replace('["syn_dos"', '[1, "syn_dos"'), "tasks is no list of names"),
        (TOY.replace('"ssdp_flood"', '"syn_dos"'), "tasks names syn_dos twice"),
        (TOY.replace('"ssdp_flood"', '"syn_doz"'), "tasks: unknown task 'syn_doz'; known are"),
        (TOY.replace("[4]", "[-4]"), "training.seeds is no list of num"),
        (TOY.replace("= 2\nunits", "= 0\nunits"), "training.experts is"),
        (TOY.replace("12", "1.5"), "training.epochs is not a whole num"),
        (
            TOY.replace("units = 8", "learning_rate = nan"),
            "training.learning_rate is not a number above 0",
        ),
        (TOY.replace("units = 8", "task_weights = [1, -1]"), "training.task_weights is not a list"),
        (TOY.replace("units = 8", "tower_units = 8"), "training.tower_units is not a list"),
        (
            TOY.replace("day = 2", "day = inf"),
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


def test_a_set_that_is_not_there_names_those_that_are(write):
    with pytest.raises(MissingInputError, match=r"villages: No such file .*homes"):
        read_recipe(write(TOY.replace("homes", "villages")))


def test_a_recipe_goes_from_recordings_to_a_bundle_and_repeats_nothing(write, tmp_path, capsys):
    recordings = tmp_path / "out" / "recordings"
    listed = tmp_path / "list.toml"
    lines = ['version = "1"', 'description = "Toys."']
    for seed, (name, part) in enumerate(PARTS_OF.items()):
        toy_recording(recordings / name, seed)
        account(recordings / name, seed)
        entry = {"scenario": "mixed", "seed": seed, "duration_s": 120, "part": part}
        lines += ["[[recordings]]", *(f"{key} = {value!r}" for key, value in entry.items())]
    listed.write_text("\n".join(lines))
    text = TOY.replace("homes", str(listed))
    arguments = ["recipe", write(text), "--work", str(tmp_path / "out")]
    main([*arguments, "--out", str(tmp_path / "models" / "toy")])
    first = capsys.readouterr()
    assert "mixed-3: 4" in first.err
    assert "run: training 1 networks" in first.err
    assert "run-in-source: training 1 networks" in first.err
    bundle = Bundle.read(tmp_path / "models" / "toy")
    assert bundle.version == "3"
    assert bundle.manifest["provenance"]["seed"] == 4
    assert set(bundle.manifest["metrics"]) == {"source_split", "time_split", "parity"}
    main([*arguments, "--out", str(tmp_path / "models" / "again")])
    second = capsys.readouterr()
    for line in (
        "mixed-0: unchanged",
        "mixed-3: unchanged",
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
    fewer = replace(recipe, tasks=recipe.tasks[:2])
    assert not _is_done(run, fewer, dataset, split, (4,))
    longer = replace(recipe, settings=replace(recipe.settings, epochs=13))
    assert not _is_done(run, longer, dataset, split, (4,))
    relabelled = replace(dataset.sources[0], labels_sha256="0" * 64)
    changed = replace(dataset, sources=(relabelled, *dataset.sources[1:]))
    assert not _is_done(run, recipe, changed, split, (4,))
