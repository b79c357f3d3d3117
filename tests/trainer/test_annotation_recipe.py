"""Recipes of bundles that annotate: read strictly."""

import pytest

from sensor.errors import ConfigurationError
from trainer.annotating.annotation_recipe import TABLE, annotation_recipe, settings
from trainer.cli import main
from trainer.models import lmmoe
from trainer.recipe import SHIPPED, read_document

VALUES = {
    "experts": 2,
    "units": 16,
    "tower_units": [16],
    "pooling": "last",
    "epochs": 3,
    "learning_rate": 0.01,
    "class_weight": 2,
    "buckets": 3,
    "seed": 4,
    "right": 0.8,
    "told": 0,
}


def document(**changes):
    return {"version": "1", "recordings": "quic", TABLE: VALUES | changes}


def test_the_shipped_recipe():
    recipe = annotation_recipe(*read_document("traffic-class"))
    assert (recipe.version, recipe.recordings.name) == ("1", "quic")
    assert set(recipe.recordings.parts().values()) == {"train", "validation", "test"}


def test_a_manifest_tells_all_settings():
    recipe = annotation_recipe(document(), "x.toml")
    assert settings(recipe) == VALUES
    assert recipe.tower_units == (16,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experts": 0}, "annotating.experts is not a whole number from 1 to 64"),
        ({"units": 1.5}, "annotating.units is not"),
        ({"tower_units": 8}, "annotating.tower_units is not a list"),
        ({"pooling": "first"}, "annotating.pooling is not one of last, peak_mean"),
        ({"epochs": True}, "annotating.epochs is not"),
        ({"learning_rate": 0}, "annotating.learning_rate is not a number above 0"),
        ({"class_weight": float("inf")}, "annotating.class_weight is not"),
        ({"buckets": 1}, "annotating.buckets is not"),
        ({"seed": -1}, "annotating.seed is not"),
        ({"right": 1.1}, "annotating.right is not a number from 0 to 1"),
        ({"told": "all"}, "annotating.told is not"),
        ({"patience": 3}, "annotating.patience is missing or unknown"),
    ],
)
def test_a_malformed_entry_is_one_line_that_names_it(changes, message):
    with pytest.raises(ConfigurationError, match=rf"^x\.toml: {message}"):
        annotation_recipe(document(**changes), "x.toml")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": ["scan"]}, "x.toml: tasks is missing or unknown"),
        ({"version": 1}, "version is no text"),
        ({"recordings": 1}, 'write recordings = "quic"'),
        ({TABLE: []}, 'write recordings = "quic"'),
    ],
)
def test_a_malformed_recipe_is_one_line(changed, message):
    with pytest.raises(ConfigurationError, match=message):
        annotation_recipe({**document(), **changed}, "x.toml")


def test_poolings_are_those_of_the_network():
    for pooling in ("last", "peak_mean"):
        assert f'"{pooling}"' in str(lmmoe.Pooling).replace("'", '"')


@pytest.mark.parametrize("option", [("--seed", "3"), ("--data", "quic:nowhere")])
def test_what_is_for_annotations_alone_is_refused_elsewhere(option, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "iot-gateway", *option, "--out", str(tmp_path / "b")])
    assert ended.value.code == 64
    said = capsys.readouterr().err
    assert f"{option[0]} goes with recipes that annotate; iot-gateway raises alerts" in said


def test_a_seed_that_is_none(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["recipe", "traffic-class", "--seed", "-1", "--out", str(tmp_path / "b")])
    assert ended.value.code == 64
    assert "--seed" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", ["iot-gateway", "traffic-class"])
@pytest.mark.parametrize(
    ("folder", "status", "message"),
    [
        ("Mine", 64, "'Mine' is none"),
        ("file/mine", 74, "file/mine: Not a directory; name a folder that can be written"),
    ],
)
def test_where_no_bundle_can_be_nothing_is_recorded_or_learnt(
    recipe, folder, status, message, tmp_path, capsys
):
    (tmp_path / "file").touch()
    work = tmp_path / "work"
    with pytest.raises(SystemExit) as ended:
        main(["recipe", recipe, "--work", str(work), "--out", str(tmp_path / folder)])
    assert ended.value.code == status
    assert message in capsys.readouterr().err
    assert not work.exists()


def test_a_version_that_no_bundle_can_have_is_refused_before(tmp_path, capsys):
    mine = tmp_path / "mine.toml"
    lines = (SHIPPED / "traffic-class.toml").read_text().replace('"1"', '"Beta"')
    mine.write_text(lines)
    with pytest.raises(SystemExit) as ended:
        main(["recipe", str(mine), "--data", "quic:nowhere", "--out", str(tmp_path / "b")])
    assert ended.value.code == 64
    assert "'Beta' is none" in capsys.readouterr().err
