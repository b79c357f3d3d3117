import copy
import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785
from forged import rewritten, with_file

from sensor.errors import BundleError, MissingInputError, OutputError, PermissionDeniedError
from sensor.model import canonical
from sensor.model.bundle import Bundle
from sensor.model.schema import FeatureSchema, IncidentRule


@pytest.fixture
def folder(random_bundle, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(random_bundle, tmp_path / "copy"))


def refused(folder: Path, words: str) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        Bundle.read(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_bundle_is_read(random_bundle):
    bundle = Bundle.read(random_bundle)
    assert (bundle.name, bundle.version) == ("random", "0.0.1")
    assert bundle.schema == FeatureSchema()
    assert [task.name for task in bundle.tasks] == ["syn_dos", "ssdp_flood", "ssl_renegotiation"]
    assert bundle.tasks[1].incident == IncidentRule("reflection_victim", 20, 10, 1900)
    assert bundle.tasks[2].policy == "repeat"
    assert bundle.tasks[0].calibration == (1.5, -1.0)
    model = (random_bundle / "model.tflite").read_bytes()
    assert bundle.model == model
    assert bundle.model_sha256 == hashlib.sha256(model).hexdigest()
    assert bundle.card.startswith("# Random weights")
    assert len(bundle.golden.rows) == 64


def test_the_manifest_hash_is_that_of_rfc_8785(random_bundle):
    manifest = json.loads((random_bundle / "manifest.json").read_text())
    stated = manifest.pop("manifest_sha256")
    assert stated == hashlib.sha256(rfc8785.dumps(manifest)).hexdigest()


def test_writing_a_bundle_again_gives_the_same_bytes(random_bundle, tmp_path):
    first = Bundle.read(random_bundle)
    manifest = first.manifest
    second = Bundle.write(
        tmp_path / "deep" / "random",
        version=first.version,
        schema=first.schema,
        tasks=first.tasks,
        model=first.model,
        golden=first.golden,
        card=first.card,
        histograms=manifest["histograms"],
        provenance=manifest["provenance"],
        metrics=manifest["metrics"],
    )
    names = sorted(entry.name for entry in second.path.iterdir())
    assert names == ["README.md", "golden.npz", "manifest.json", "model.tflite"]
    for name in names:
        assert (second.path / name).read_bytes() == (random_bundle / name).read_bytes()


def written(bundle: Bundle, path: Path, **changes) -> Bundle:
    given = {
        "version": bundle.version,
        "schema": bundle.schema,
        "tasks": bundle.tasks,
        "model": bundle.model,
        "golden": bundle.golden,
        "card": bundle.card,
        "histograms": {},
        "provenance": {},
        "metrics": {},
    }
    return Bundle.write(path, **{**given, **changes})


def test_what_could_not_be_read_is_not_written_silently(random_bundle, tmp_path):
    bundle = Bundle.read(random_bundle)
    with pytest.raises(BundleError, match="can't be hashed"):
        written(bundle, tmp_path / "a", metrics={"auc": float("nan")})
    with pytest.raises(BundleError, match="does not have the tensors"):
        written(bundle, tmp_path / "b", tasks=bundle.tasks[:2])
    with pytest.raises(BundleError, match="signature n32"):
        written(bundle, tmp_path / "c", schema=replace(bundle.schema, lengths=(4, 8, 16, 32)))
    impossible = replace(bundle.tasks[0], threshold=1.5)
    with pytest.raises(BundleError, match="threshold"):
        written(bundle, tmp_path / "d", tasks=(impossible, *bundle.tasks[1:]))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write"):
        written(bundle, tmp_path / "file" / "e")


def test_a_policy_that_the_features_lack_is_refused(random_bundle, tmp_path):
    bundle = Bundle.read(random_bundle)
    schema = replace(bundle.schema, policies=("first",))
    with pytest.raises(BundleError, match="ssl_renegotiation wants policy 'repeat'"):
        written(bundle, tmp_path / "policy", schema=schema)


def test_bounds_belong_to_what_is_allowed(folder):
    def change(manifest):
        manifest["tasks"][0].update(threshold=0, signature_id=2**31 - 1)
        manifest["tasks"][1].update(threshold=1)
        manifest["tasks"][1]["incident"].update(service_port=65_535)

    tasks = Bundle.read(rewritten(folder, change)).tasks
    assert [task.threshold for task in tasks[:2]] == [0, 1]
    assert (tasks[0].signature_id, tasks[1].incident.service_port) == (2**31 - 1, 65_535)


def test_no_bundle_there(tmp_path):
    with pytest.raises(MissingInputError, match="no such file"):
        Bundle.read(tmp_path / "nowhere")


def test_a_bundle_that_may_not_be_read(folder):
    (folder / "manifest.json").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        with pytest.raises(PermissionDeniedError, match="permission denied"):
            Bundle.read(folder)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz", "README.md"])
def test_one_changed_bit_in_any_file_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, f"{name}: does not have the SHA-256")


@pytest.mark.parametrize("name", ["model.tflite", "golden.npz", "README.md"])
def test_a_missing_or_shortened_file_is_refused(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    refused(folder, f"{name}: does not have the SHA-256")
    (folder / name).unlink()
    refused(folder, f"{name}: is missing")


def test_a_huge_file_is_refused_by_its_size(folder):
    with (folder / "model.tflite").open("r+b") as file:
        file.truncate(1 << 40)
    refused(folder, "larger than 16 MiB")


@pytest.mark.parametrize("name", ["model.tflite", "manifest.json"])
def test_what_is_no_regular_file_is_refused_without_waiting(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused(folder, f"{name}: is no regular file")
    (folder / name).unlink()
    (folder / name).mkdir()
    refused(folder, rf"{name}: can't be read \(Is a directory\)")


def test_a_changed_manifest_is_refused(folder):
    def lower(manifest):
        manifest["tasks"][0]["threshold"] = 0.01

    refused(rewritten(folder, lower, seal=False), "changed after the bundle was made")


def test_a_manifest_that_is_only_laid_out_otherwise_is_accepted(folder):
    place = folder / "manifest.json"
    manifest = json.loads(place.read_text())
    place.write_text(json.dumps(dict(reversed(manifest.items()))))
    assert Bundle.read(folder).name == "random"


FORGERIES = {
    "format": (lambda m: m.update(format_version=2), "bundle format 1"),
    "entry missing": (lambda m: m.pop("metrics"), "'metrics' is missing or unknown"),
    "entry unknown": (lambda m: m.update(colour=1), "'colour' is missing or unknown"),
    "feature entry of two lines": (
        lambda m: m["features"].update({"a\nb": 1}),
        r"features: entry 'a\\nb' is missing or unknown",
    ),
    "name": (lambda m: m.update(name="../x"), "name is not a short"),
    "version": (lambda m: m.update(version="1 0"), "version is not a short"),
    "files": (lambda m: m["files"].pop("README.md"), "SHA-256"),
    "more files": (lambda m: m["files"].update({"/etc/passwd": {}}), "SHA-256"),
    "fingerprint": (lambda m: m["features"].update(decide_after_ms=2), "fingerprint"),
    "features": (lambda m: m.update(features=[]), "features is not an object"),
    "field": (
        lambda m: m["features"]["fields"].append("hops"),
        "'hops', which this version does not implement",
    ),
    "no tasks": (lambda m: m.update(tasks=[]), "not a list of tasks"),
    "task not an object": (lambda m: m["tasks"].insert(0, 3), r"tasks\[0\]: is malformed"),
    "task twice": (lambda m: m["tasks"].append(copy.copy(m["tasks"][0])), "the same name"),
    "task entry": (
        lambda m: m["tasks"][1].pop("severity"),
        r"tasks\[1\]: entry 'severity' is missing",
    ),
    "task name": (lambda m: m["tasks"][1].update(name="A b"), "name can't be"),
    "kind": (lambda m: m["tasks"][1].update(kind="regression"), "kind can't be"),
    "policy": (lambda m: m["tasks"][1].update(policy="last"), "policy can't be"),
    "threshold above 1": (lambda m: m["tasks"][1].update(threshold=1.01), "threshold can't be"),
    "threshold below 0": (lambda m: m["tasks"][1].update(threshold=-0.01), "threshold can't be"),
    "threshold": (lambda m: m["tasks"][1].update(threshold="0.5"), "threshold can't be"),
    "calibration": (lambda m: m["tasks"][1].update(calibration=[1]), "calibration can't be"),
    "severity": (lambda m: m["tasks"][1].update(severity=True), "numbers can't be"),
    "severity 0": (lambda m: m["tasks"][1].update(severity=0), "numbers can't be"),
    "a large number": (lambda m: m["tasks"][1].update(signature_id=2**31), "numbers can't be"),
    "technique": (lambda m: m["tasks"][1].update(mitre_technique_id=[1]), "signature, category"),
    "no list": (lambda m: m["tasks"][1].update(mitre_technique_id="T1498"), "mitre_technique_id"),
    "role": (lambda m: m["tasks"][1]["incident"].update(role="all"), "incident can't be"),
    "rows": (lambda m: m["tasks"][1]["incident"].update(open_rows=0), "numbers can't be"),
    "port": (lambda m: m["tasks"][1]["incident"].update(service_port=65_536), "incident can't"),
    "port below 0": (lambda m: m["tasks"][1]["incident"].update(service_port=-1), "incident can't"),
    "incident": (
        lambda m: m["tasks"][1].update(incident={}),
        "incident: entry 'open_flows' is missing",
    ),
    "signatures": (lambda m: m["signatures"].pop(), "signatures do not fit"),
    "task order": (lambda m: m["tasks"].reverse(), "signatures do not fit"),
    "other tasks": (lambda m: m["tasks"][0].update(name="dns"), "does not have the tensors"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_manifest_that_contradicts_itself_is_refused_even_with_a_right_hash(folder, forgery):
    change, words = FORGERIES[forgery]
    refused(rewritten(folder, change), words)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format_version": 1, "format_version": 1}'])
def test_what_is_no_manifest_is_refused(folder, text):
    (folder / "manifest.json").write_text(text)
    refused(folder, "is not a manifest|bundle format 1")


def test_a_deeply_nested_entry_is_refused(folder):
    """Deep enough for the hash, not for the parser of JSON."""
    place = folder / "manifest.json"
    text = place.read_text()
    assert text.count('"version": "0.0.1"') == 1
    nested = "[" * 700 + "]" * 700
    place.write_text(text.replace('"version": "0.0.1"', f'"version": {nested}'))
    refused(folder, "nested too deeply")


def test_a_card_that_is_no_text_is_refused_even_with_a_right_hash(folder):
    refused(with_file(folder, "README.md", b"\xff\xfe"), "README.md: is not UTF-8")


def test_foreign_models_and_vectors_are_refused_even_with_right_hashes(folder):
    words = "golden.npz: not an archive of golden vectors .*copy the bundle again"
    refused(with_file(folder, "golden.npz", b"PK\3\4"), words)
    refused(with_file(folder, "model.tflite", b"\x89PNG" * 100), "is not a TFLite model")


def test_a_model_with_another_operator_is_refused_even_with_right_hashes(folder):
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf((folder / "model.tflite").read_bytes(), 0)
    model.operatorCodes[0].version = 99
    builder = flatbuffers.Builder(1 << 17)
    builder.Finish(model.Pack(builder), b"TFL3")
    refused(with_file(folder, "model.tflite", bytes(builder.Output())), "uses the operator .* 99")


def test_the_canonical_form_decides_not_the_text(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    body = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    assert canonical.sha256(body) == manifest["manifest_sha256"]


@pytest.mark.parametrize("number", [1_000, 1_001, 1_099])
def test_signatures_of_the_sensor_itself_are_not_a_bundles(folder, number):
    def change(manifest):
        manifest["tasks"][0].update(signature_id=number)

    refused(rewritten(folder, change), r"tasks\[0\]: signature_id")
