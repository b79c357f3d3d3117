import os
import sys
from pathlib import Path

import pytest

import sensor
from sensor.errors import BundleError, MissingInputError, PermissionDeniedError
from sensor.service.models import model_store
from sensor.service.models.model_store import (
    Version,
    linked,
    names,
    resolve,
    shipped_bundle,
    shipped_bundles,
    shipped_models,
    versions,
)


def test_shipped_models_are_those_of_the_tree_else_of_the_installation(monkeypatch, tmp_path):
    assert shipped_models() == Path(sensor.__file__).parents[1] / "models"
    monkeypatch.setattr(model_store.sensor, "__file__", str(tmp_path / "site" / "sensor" / "x.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert shipped_models() == tmp_path / "share" / "multa" / "models"
    with pytest.raises(MissingInputError, match="--no-models"):
        shipped_bundle()
    (shipped_models() / "iot-gateway").mkdir(parents=True)
    assert shipped_bundle() == shipped_models() / "iot-gateway"
    assert shipped_bundles() == []
    (shipped_bundle() / "manifest.json").touch()
    assert shipped_bundles() == [shipped_bundle() / "manifest.json"]


@pytest.fixture
def store(tmp_path):
    """A store with two versions of a name, as installing leaves it, and one of another."""
    for name, version, age in (("iot", "aaa", 30), ("iot", "bbb", 20), ("garage", "ccc", 10)):
        folder = tmp_path / "store" / name / version
        folder.mkdir(parents=True)
        (folder / "manifest.json").touch()
        os.utime(folder, (1_000 - age, 1_000 - age))
    (tmp_path / "store" / "iot" / "current").symlink_to("bbb")
    (tmp_path / "store" / "iot" / "previous").symlink_to("aaa")
    (tmp_path / "store" / ".install").mkdir()
    return tmp_path / "store"


def test_a_name_is_the_current_version_of_the_store(store):
    assert resolve("iot", store) == store / "iot" / "bbb"


def test_a_link_is_followed_once(store):
    """What was resolved before a switch still leads to one whole version after it."""
    before = resolve("iot", store)
    (store / "iot" / "current").unlink()
    (store / "iot" / "current").symlink_to("aaa")
    assert (before, resolve("iot", store)) == (store / "iot" / "bbb", store / "iot" / "aaa")


def test_a_name_that_the_store_has_no_current_version_of_is_the_shipped_one(store, tmp_path):
    shipped = shipped_models() / "iot-gateway"
    assert resolve("iot-gateway", store) == shipped
    assert resolve("iot-gateway", tmp_path / "none") == shipped
    (store / "iot-gateway").mkdir()
    assert resolve("iot-gateway", store) == shipped


def test_a_path_is_a_path(store, monkeypatch, tmp_path):
    assert resolve(str(store / "iot" / "current"), store) == store / "iot" / "bbb"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iot").mkdir()
    assert resolve("./iot", store) == tmp_path / "iot"
    assert resolve("iot", store) == store / "iot" / "bbb"


@pytest.mark.parametrize("name", ["", ".", "..", ".install", "IOT", "a b", "a\nb", "-x", "a" * 65])
def test_what_is_no_name_reaches_no_folder(store, name):
    with pytest.raises(MissingInputError, match="is no name of a model") as caught:
        resolve(name, store)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_told_with_those_that_there_are(store):
    with pytest.raises(MissingInputError, match="there are: garage, iot, iot-gateway"):
        resolve("iot-gatevay", store)


def test_a_link_to_nothing_is_an_error_and_never_another_model(store):
    (store / "iot" / "current").unlink()
    (store / "iot" / "current").symlink_to("gone")
    with pytest.raises(BundleError, match=r"leads to gone, which is not there.*rollback iot"):
        resolve("iot", store)
    (store / "iot" / "current").unlink()
    (store / "iot" / "current").mkdir()
    with pytest.raises(BundleError, match="is no symbolic link"):
        resolve("iot", store)


def test_a_store_that_may_not_be_read_is_an_error_and_never_the_shipped_model(store):
    store.chmod(0o700)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    else:
        store.chmod(0)
    try:
        for look in (lambda: resolve("iot", store), lambda: names(store)):
            with pytest.raises(PermissionDeniedError, match="permission denied"):
                look()
    finally:
        os.seteuid(user)
        store.chmod(0o700)


def test_names_and_versions(store, tmp_path):
    assert names(store) == ["garage", "iot"]
    iot = store / "iot"
    assert versions(store, "iot") == [
        Version(iot / "bbb", "current"),
        Version(iot / "aaa", "previous"),
    ]
    assert versions(store, "garage") == [Version(store / "garage" / "ccc", "")]
    assert (linked(store, "iot", "current"), linked(store, "garage", "current")) == (
        iot / "bbb",
        None,
    )
    assert (names(tmp_path / "none"), versions(store, "none")) == ([], [])


def test_a_switch_that_was_cut_short_has_one_current_version(store):
    (store / "iot" / "previous").unlink()
    (store / "iot" / "previous").symlink_to("bbb")
    assert [each.state for each in versions(store, "iot")] == ["current", ""]
