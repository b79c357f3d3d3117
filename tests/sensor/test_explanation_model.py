"""Which bundle an explanation uses: the one with the very network that scored the alert."""

import json
import shutil

import pytest
from demo_evidence import BUNDLE

from sensor.errors import BundleError
from sensor.model.bundle import Bundle
from sensor.reporting.explanation_model import find_bundle

SHA256 = Bundle.read(BUNDLE).model_sha256


@pytest.mark.parametrize("levels", [(), ("iot-gateway",), ("iot-gateway", "bb033898e5f2")])
def test_it_is_found_in_its_folder_among_bundles_and_in_a_store(tmp_path, levels):
    folder = tmp_path.joinpath("place", *levels)
    shutil.copytree(BUNDLE, folder)
    found = find_bundle(SHA256, [tmp_path / "gone", tmp_path / "place"])
    assert found is not None
    assert (found.path, found.model_sha256) == (folder, SHA256)


def test_another_network_a_file_and_nonsense_are_passed_by(tmp_path):
    for place, text in enumerate(("not json", "[]", '{"files": 3}', "{}")):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / "manifest.json").write_text(text)
    (tmp_path / "manifest.json").mkdir()
    assert find_bundle(SHA256, [tmp_path, tmp_path / "0" / "manifest.json"]) is None
    assert find_bundle("0" * 64, [BUNDLE.parent]) is None


def test_a_damaged_bundle_of_that_name_is_said(tmp_path):
    shutil.copytree(BUNDLE, tmp_path / "damaged")
    model = tmp_path / "damaged" / "model.tflite"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(BundleError, match="does not have the SHA-256"):
        find_bundle(SHA256, [tmp_path])
    manifest = json.loads((tmp_path / "damaged" / "manifest.json").read_text())
    assert manifest["files"]["model.tflite"]["sha256"] == SHA256
