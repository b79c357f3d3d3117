import sys
from pathlib import Path

import pytest

import sensor
from sensor.errors import MissingInputError
from sensor.service import model_store
from sensor.service.model_store import shipped_bundle, shipped_models


def test_shipped_models_are_those_of_the_tree_else_of_the_installation(monkeypatch, tmp_path):
    assert shipped_models() == Path(sensor.__file__).parents[1] / "models"
    monkeypatch.setattr(model_store.sensor, "__file__", str(tmp_path / "site" / "sensor" / "x.py"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert shipped_models() == tmp_path / "share" / "multa" / "models"
    with pytest.raises(MissingInputError, match="--no-models"):
        shipped_bundle()
    (shipped_models() / "iot-gateway").mkdir(parents=True)
    assert shipped_bundle() == shipped_models() / "iot-gateway"
