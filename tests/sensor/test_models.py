import json
import shutil

import pytest
from command import assert_fails, sensor_command
from forged import rewritten, with_file
from signing import made_key, sign


@pytest.fixture(autouse=True)
def configuration(monkeypatch, tmp_path):
    """That of a machine on which nothing was installed."""
    monkeypatch.setattr(
        "sensor.service.config.configuration.DEFAULT_PATH", tmp_path / "sensor.toml"
    )


@pytest.fixture
def bundle(random_bundle, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(random_bundle, tmp_path / "bundles" / "random")


def test_list_names_bundles_and_tasks(capfd, bundle):
    (bundle.parent / "no-bundle").mkdir()
    outcome = sensor_command(capfd, "models", "list", bundle.parent)
    (line,) = outcome.out.splitlines()
    assert line.startswith(f"{bundle}: random 0.0.1  ")
    assert (outcome.status, outcome.err) == (0, "")
    (record,) = map(
        json.loads,
        sensor_command(capfd, "models", "list", bundle.parent, "--json").out.splitlines(),
    )
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert record["manifest_sha256"] == manifest["manifest_sha256"]
    assert record["fingerprint"] == manifest["features"]["fingerprint"]
    assert record["tasks"] == [task["name"] for task in manifest["tasks"]]
    assert line.endswith(", ".join(record["tasks"]))


@pytest.fixture
def damaged(bundle):
    """Two more beside it, the first and the last by name, that can't be used."""
    before, after = bundle.parent / "a", bundle.parent / "z"
    for path in (before, after):
        shutil.copytree(bundle, path)
        (path / "model.tflite").write_bytes(b"TFL3")
    return before, after


def test_list_goes_on_after_a_bad_bundle_and_says_so_at_the_end(capfd, bundle, damaged):
    outcome = sensor_command(capfd, "models", "list", bundle.parent)
    first, good, last = outcome.out.splitlines()
    assert first.startswith(f"{damaged[0]}: UNUSABLE: {damaged[0] / 'model.tflite'}: does not have")
    assert good.startswith(f"{bundle}: random 0.0.1  ")
    assert last.startswith(f"{damaged[1]}: UNUSABLE: ")
    assert outcome.status == 82
    assert outcome.err.startswith(f"multa-sensor: error: {damaged[0] / 'model.tflite'}: does not")
    assert outcome.err.endswith("(and 1 more can't be used)\n")
    records = [
        json.loads(line)
        for line in sensor_command(
            capfd, "models", "list", bundle.parent, "--json"
        ).out.splitlines()
    ]
    assert [record["path"] for record in records] == [str(damaged[0]), str(bundle), str(damaged[1])]
    assert ["error" in record for record in records] == [True, False, True]
    assert "SHA-256" in records[0]["error"]


def test_verify_goes_on_after_a_bad_bundle(capfd, bundle, damaged):
    outcome = sensor_command(capfd, "models", "verify", damaged[1], bundle, bundle.parent / "none")
    bad, good, none = outcome.out.splitlines()
    assert bad.startswith(f"{damaged[1]}: UNUSABLE: ")
    assert good.startswith(f"{bundle}: ok (")
    assert none.endswith("no such file; give the folder of a model bundle")
    assert (outcome.status, outcome.err.count("\n")) == (82, 1)


def test_list_of_a_missing_folder(capfd, tmp_path):
    outcome = sensor_command(capfd, "models", "list", tmp_path / "none")
    assert_fails(outcome, 66, tmp_path / "none")
    outcome = sensor_command(capfd, "models", "list", tmp_path)
    assert (outcome.status, outcome.err) == (0, f"multa-sensor: no bundles in {tmp_path}\n")


def test_verify_answers_golden_vectors(capfd, bundle):
    outcome = sensor_command(capfd, "models", "verify", bundle, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    record = json.loads(outcome.out)
    assert record["golden_rows"] > 0
    assert 0 <= record["max_difference"] <= 1e-3
    assert f"{bundle}: ok (" in sensor_command(capfd, "models", "verify", bundle).out


def test_verify_refuses_a_changed_model(capfd, bundle):
    model = bundle / "model.tflite"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    outcome = sensor_command(capfd, "models", "verify", bundle)
    assert_fails(outcome, 82, model, "SHA-256")


def test_inspect_shows_the_manifest(capfd, bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert json.loads(sensor_command(capfd, "models", "inspect", bundle, "--json").out) == manifest
    card = sensor_command(capfd, "models", "inspect", bundle, "--card").out
    assert card == (bundle / "README.md").read_text()
    shown = sensor_command(capfd, "models", "inspect", bundle).out
    for task in manifest["tasks"]:
        assert f"task {task['name']}" in shown
        assert f"threshold {task['threshold']}" in shown
    assert manifest["features"]["fingerprint"] in shown


def test_a_bundle_writes_no_control_characters_on_the_terminal(capfd, bundle):
    with_file(bundle, "README.md", b"# Card\n\x1b]0;owned\x07\x1b[2J end\n")
    rewritten(bundle, lambda manifest: manifest.update(provenance={"commit": "\x1b[31mred"}))
    for arguments in ((), ("--card",)):
        shown = sensor_command(capfd, "models", "inspect", bundle, *arguments).out
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert shown.endswith("\n")


def test_list_without_a_folder_shows_the_store_and_what_was_shipped(capfd, bundle, tmp_path):
    store = tmp_path / "store"

    def listed(*arguments):
        out = sensor_command(capfd, "models", "list", *arguments, "--json").out
        return [json.loads(line) for line in out.splitlines()]

    shipped, latency, annotating = listed("--store", store)
    assert (latency["name"], latency["state"]) == ("latency", "shipped")
    assert (shipped["name"], shipped["state"]) == ("iot-gateway", "shipped")
    assert (annotating["name"], annotating["state"]) == ("traffic-class", "shipped")
    sensor_command(capfd, "models", "install", bundle, "--store", store)
    sensor_command(capfd, "models", "install", shipped["path"], "--store", store, "--no-use")
    versions = listed("--store", store)
    assert [(each["name"], each["state"]) for each in versions] == [
        ("iot-gateway", "kept"),
        ("random", "current"),
        ("iot-gateway", "shipped"),
        ("latency", "shipped"),
        ("traffic-class", "shipped"),
    ]
    # a store is a folder too
    assert listed(store) == versions[:2]
    sensor_command(capfd, "models", "install", shipped["path"], "--store", store)
    assert [each["state"] for each in listed("--store", store)] == [
        "current",
        "current",
        "shipped, not used",
        "shipped",
        "shipped",
    ]
    outcome = sensor_command(capfd, "models", "list", "--store", store)
    assert outcome.out.splitlines()[1].startswith(f"{versions[1]['path']}: random 0.0.1 (current)")


def test_a_store_of_the_configuration_is_used(capfd, bundle, tmp_path):
    file = tmp_path / "multa.toml"
    file.write_text(f'[models]\nstore = "{tmp_path / "elsewhere"}"\n')
    sensor_command(capfd, "models", "install", bundle, "--config", file)
    outcome = sensor_command(capfd, "models", "verify", "random", "--config", file)
    assert outcome.out.startswith(f"{tmp_path / 'elsewhere' / 'random'}/")
    assert outcome.status == 0
    outcome = sensor_command(capfd, "models", "inspect", "random", "--card", "--config", file)
    assert outcome.out == (bundle / "README.md").read_text()


def test_a_folder_comes_before_a_name(capfd, bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(bundle.parent)
    outcome = sensor_command(capfd, "models", "verify", "random", "--store", tmp_path / "none")
    assert outcome.out.startswith("random: ok (")
    outcome = sensor_command(capfd, "models", "verify", "randon", "--store", tmp_path / "none")
    assert_fails(outcome, 66, "randon: no such model", "there are: iot-gateway")


def test_verify_asks_for_what_the_configuration_trusts(capfd, bundle, tmp_path):
    private, public = made_key(tmp_path)
    digest = json.loads((bundle / "manifest.json").read_text())["manifest_sha256"]
    file = tmp_path / "multa.toml"
    file.write_text(f'[models]\nkeys = ["{public}"]\npermitted = ["{digest}"]\n')
    outcome = sensor_command(capfd, "models", "verify", bundle, "--config", file)
    assert_fails(outcome, 82, bundle / "manifest.json.sig", "is missing")
    sign(bundle, private)
    outcome = sensor_command(capfd, "models", "verify", bundle, "--config", file)
    assert (outcome.status, outcome.err) == (0, "")
    file.write_text(f'[models]\npermitted = ["{64 * "0"}"]\n')
    outcome = sensor_command(capfd, "models", "verify", bundle, "--config", file)
    assert_fails(outcome, 82, "is not a permitted bundle", digest)
    # options take the place of what is configured
    arguments = ["models", "verify", bundle, "--config", file]
    assert sensor_command(capfd, *arguments, "--permit", digest).status == 0
    _, other = made_key(tmp_path, "other")
    arguments += ["--permit", digest]
    assert sensor_command(capfd, *arguments, "--key", public, "--key", other).status == 0
    assert_fails(sensor_command(capfd, *arguments, "--key", other), 82, "is no signature")
    assert_fails(sensor_command(capfd, *arguments, "--permit", "abc"), 64, "is no SHA-256")
