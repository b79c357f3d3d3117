import json
import shutil
from pathlib import Path

import pytest
from command import assert_fails, sensor_command
from forged import with_file

from sensor.model.bundle import Bundle
from sensor.model.verification import verify
from sensor.service.models import model_install
from sensor.service.models.model_store import SHIPPED_MODEL, resolve, shipped_models


@pytest.fixture(autouse=True)
def configuration(monkeypatch, tmp_path):
    """That of a machine on which nothing was installed."""
    monkeypatch.setattr(
        "sensor.service.config.configuration.DEFAULT_PATH", tmp_path / "sensor.toml"
    )


@pytest.fixture
def two(tmp_path):
    """Two versions of the shipped bundle."""
    made = []
    for card in ("one", "two"):
        folder = tmp_path / card
        shutil.copytree(shipped_models() / SHIPPED_MODEL, folder)
        made.append(with_file(folder, "README.md", f"# {card}\n".encode()))
    return made


def folder_of(store: Path, bundle: Path) -> Path:
    manifest = json.loads((bundle / "manifest.json").read_text())
    return store / manifest["name"] / manifest["manifest_sha256"][:12]


def test_install_and_rollback_say_what_happened_and_what_to_do_next(capfd, two, tmp_path):
    store = tmp_path / "store"
    one, other = (folder_of(store, bundle) for bundle in two)
    outcome = sensor_command(capfd, "models", "install", two[0], "--store", store)
    assert outcome.status == 0
    assert outcome.out.startswith(f"{one}: iot-gateway 3  ok (64 golden rows, ")
    reload = "multa-sensor: a sensor that runs takes it with: systemctl reload multa-sensor\n"
    assert outcome.err == reload
    outcome = sensor_command(capfd, "models", "install", two[1], "--store", store)
    back = f"multa-sensor: {one} was used before; to go back: multa-sensor models rollback "
    assert outcome.err == f"{back}iot-gateway\n{reload}"
    outcome = sensor_command(capfd, "models", "rollback", "iot-gateway", "--store", store)
    assert outcome.out.startswith(f"{one}: iot-gateway 3  ok (")
    assert outcome.err.startswith(f"multa-sensor: {other} was used before; to go back: ")
    assert resolve("iot-gateway", store) == one


def test_install_without_use(capfd, two, tmp_path):
    store = tmp_path / "store"
    arguments = ["models", "install", "--store", store, "--json"]
    first = json.loads(sensor_command(capfd, *arguments, two[0]).out)
    assert (first["used"], first["before"], first["removed"]) == (True, None, [])
    assert first["path"] == str(folder_of(store, two[0]))
    outcome = sensor_command(capfd, *arguments, "--no-use", two[1])
    second = json.loads(outcome.out)
    assert (second["used"], second["before"]) == (False, first["path"])
    use = f"multa-sensor models install {second['path']}"
    assert outcome.err == f"multa-sensor: not in use; to use it: {use}\n"
    third = json.loads(sensor_command(capfd, *arguments, second["path"]).out)
    assert (third["used"], third["path"]) == (True, second["path"])
    again = sensor_command(capfd, *arguments, "--no-use", second["path"])
    assert json.loads(again.out)["used"], "it is, from before"


def test_a_model_that_the_configuration_does_not_name_is_told(capfd, two, tmp_path):
    file = tmp_path / "multa.toml"
    file.write_text(f'[models]\nactive = ["./other"]\nstore = "{tmp_path / "store"}"\n')
    outcome = sensor_command(capfd, "models", "install", two[0], "--config", file)
    assert 'write active = ["iot-gateway"] under [models]' in outcome.err


def test_versions_that_made_room_are_told(capfd, two, tmp_path, monkeypatch):
    proof = verify(Bundle.read(two[0]))
    monkeypatch.setattr(
        model_install, "read_proved", lambda path, trust: (Bundle.read(path, trust), proof)
    )
    store = tmp_path / "store"
    folders = []
    for number in range(4):
        bundle = with_file(two[0], "README.md", f"# {number}\n".encode())
        folders.append(folder_of(store, bundle))
        outcome = sensor_command(capfd, "models", "install", bundle, "--store", store)
    assert outcome.err.endswith(f"multa-sensor: removed {folders[0]}, as 3 versions are kept\n")


def test_what_is_refused_is_told_in_one_line(capfd, two, tmp_path):
    store = tmp_path / "store"
    (two[0] / "model.tflite").write_bytes(b"TFL3")
    outcome = sensor_command(capfd, "models", "install", two[0], "--store", store)
    assert_fails(outcome, 82, two[0] / "model.tflite", "SHA-256")
    outcome = sensor_command(capfd, "models", "rollback", "iot-gateway", "--store", store)
    assert_fails(outcome, 66, "no such model in the store")
    outcome = sensor_command(capfd, "models", "install", tmp_path / "none", "--store", store)
    assert_fails(outcome, 66, tmp_path / "none", "no such file or folder")
