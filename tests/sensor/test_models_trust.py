from pathlib import Path

import pytest

from sensor.cli.models_trust import folder_of, settings
from sensor.errors import UsageError
from sensor.service.models.model_store import shipped_models


@pytest.fixture(autouse=True)
def configuration(monkeypatch, tmp_path):
    """That of a machine on which nothing was installed."""
    monkeypatch.setattr(
        "sensor.service.config.configuration.DEFAULT_PATH", tmp_path / "sensor.toml"
    )


def test_without_a_configuration_everybody_is_trusted():
    found, trust = settings(None, None)
    assert (trust.permitted, trust.keys) == (frozenset(), ())
    assert found.models.store == Path("/var/lib/multa/models")


def test_options_take_the_place_of_the_configuration(tmp_path):
    file = tmp_path / "multa.toml"
    one, two = 64 * "1", 64 * "2"
    file.write_text(f'[models]\nstore = "/a"\nkeys = ["/k1", "/k2"]\npermitted = ["{one}"]\n')
    found, trust = settings(file, None)
    assert (found.models.store, trust.keys) == (Path("/a"), (Path("/k1"), Path("/k2")))
    assert trust.permitted == {one}
    found, trust = settings(file, Path("/b"), (Path("/k3"),), (two,))
    assert (found.models.store, trust.keys) == (Path("/b"), (Path("/k3"),))
    assert trust.permitted == {two}


@pytest.mark.parametrize("digest", ["", "1" * 63, "1" * 65, "g" * 64, "A" * 64])
def test_what_is_no_digest_is_refused(digest):
    with pytest.raises(UsageError, match="is no SHA-256"):
        settings(None, None, (), (digest,))


def test_a_folder_is_taken_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert folder_of("iot-gateway", tmp_path) == shipped_models() / "iot-gateway"
    (tmp_path / "iot-gateway").mkdir()
    assert folder_of("iot-gateway", tmp_path) == Path("iot-gateway")
    assert folder_of("./none", tmp_path) == Path("none")
