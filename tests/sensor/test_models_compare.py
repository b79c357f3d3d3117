import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from alert_lines import alert_line
from command import assert_fails, sensor_command
from forged import rewritten

from sensor.model.bundle import Bundle
from sensor.service.models.model_store import shipped_models

CAPTURE = Path(__file__).parents[1] / "captures/seven-tasks.pcap"
SHIPPED = shipped_models() / "iot-gateway"


@pytest.fixture(autouse=True)
def configuration(monkeypatch, tmp_path):
    """That of a machine on which a sensor has a log of its shadow in the test's folder."""
    path = tmp_path / "sensor.toml"
    path.write_text(f'[models]\nshadow_log = "{tmp_path / "shadow.json"}"\n')
    monkeypatch.setattr("sensor.service.config.configuration.DEFAULT_PATH", path)


@pytest.fixture(scope="module")
def blind(tmp_path_factory):
    """The shipped bundle, but that it finds no scans."""
    folder = tmp_path_factory.mktemp("blind") / "b"
    shutil.copytree(SHIPPED, folder)

    def change(manifest):
        manifest["version"] = "4"
        for task in manifest["tasks"]:
            if task["name"] == "scan":
                task["threshold"] = 1.0

    return rewritten(folder, change)


VERDICT = "missed 1 of 8 incidents of"


def test_two_bundles_on_a_capture(capfd, blind):
    outcome = sensor_command(capfd, "models", "compare", "iot-gateway", blind, CAPTURE)
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == f"  A  iot-gateway 3  {SHIPPED}"
    assert lines[1] == f"  B  iot-gateway 4  {blind}"
    assert lines[2].startswith("  9,145 packets in 750 flows of seven-tasks.pcap")
    assert lines[-1].startswith(f"B {VERDICT} A (scan) and found no other. Keep A")
    (missed,) = [line for line in lines if "scan: source 172.24.183.109" in line]
    assert missed.endswith("53 flows, highest score 0.964")
    assert max(map(len, lines)) <= 100


def test_the_same_as_json(capfd, blind):
    outcome = sensor_command(capfd, "models", "compare", SHIPPED, blind, CAPTURE, "--json")
    record = json.loads(outcome.out)
    assert (record["a"]["path"], record["b"]["version"]) == (str(SHIPPED), "4")
    tasks = {each["task"]: each for each in record["tasks"]}
    assert tasks["scan"]["agreement"]["only_a"] == tasks["scan"]["positive"]["a"] == 53
    assert tasks["scan"]["incidents"] == {"a": 1, "b": 0, "both": 0, "only_a": 1, "only_b": 0}
    assert tasks["syn_dos"]["incidents"]["both"] == 1
    assert record["incidents"] == {"a": 8, "b": 7, "both": 7, "only_a": 1, "only_b": 0}
    assert [(each["task"], each["address"]) for each in record["only_a"]] == [
        ("scan", "172.24.183.109")
    ]
    assert VERDICT in record["verdict"]


def test_a_bundle_and_itself(capfd):
    outcome = sensor_command(capfd, "models", "compare", SHIPPED, SHIPPED, CAPTURE)
    assert outcome.out.splitlines()[-1] == "A and B are the same bundle."


def test_a_bundle_that_lacks_tasks(capfd, random_bundle):
    outcome = sensor_command(capfd, "models", "compare", SHIPPED, random_bundle, CAPTURE)
    assert outcome.out.splitlines()[-1].startswith(
        "B does not look for scan, slow_http, udp_reflection. B "
    )


def test_bundles_with_other_features(capfd, tmp_path):
    later = Path(shutil.copytree(SHIPPED, tmp_path / "later"))
    schema = replace(Bundle.read(SHIPPED).schema, decide_after_ms=3_000)
    rewritten(later, lambda manifest: manifest.update(features=schema.to_manifest()))
    outcome = sensor_command(capfd, "models", "compare", SHIPPED, later, CAPTURE)
    assert "so they look at other rows: only incidents can be compared" in outcome.out


def test_two_logs(capfd, blind, tmp_path):
    """A replay with either bundle writes what a sensor and its shadow would."""
    active, shadow = tmp_path / "alerts.json", tmp_path / "shadow.json"
    for path, bundle in ((active, SHIPPED), (shadow, blind)):
        sensor_command(capfd, "replay", CAPTURE, "-m", bundle, "-o", path)
    outcome = sensor_command(capfd, "models", "compare", "--alerts", active)
    lines = outcome.out.splitlines()
    span = "2026-11-21 15:34:54 to 2026-11-21 15:36:01 UTC"
    assert lines[0] == f"  in use  {active}  iot-gateway 3  {span}"
    assert lines[1] == f"  shadow  {shadow}  iot-gateway 4  {span}"
    assert lines[-1].startswith(f"The shadow {VERDICT} the model in use (scan) and found no other")
    assert "flow_rate" not in outcome.out, "the counting rule is no model"
    arguments = ["models", "compare", "--alerts", active, "--shadow", shadow, "--json"]
    record = json.loads(sensor_command(capfd, *arguments).out)
    assert record["incidents"] == {"a": 8, "b": 7, "both": 7, "only_a": 1, "only_b": 0}
    assert record["b"]["models"] == ["iot-gateway 4"]
    # the last of what the scan is about was told a minute after it
    record = json.loads(sensor_command(capfd, *arguments, "--since", "2026-11-21T15:40:00Z").out)
    assert record["incidents"]["a"] == 0


def test_incidents_from_before_the_shadow_are_pointed_out(capfd, tmp_path):
    active, shadow = tmp_path / "alerts.json", tmp_path / "shadow.json"
    sensor_command(capfd, "replay", CAPTURE, "-m", SHIPPED, "-o", active)
    later = active.read_text().replace('"2026-11-21T15', '"2026-11-21T19')
    shadow.write_text(later)
    outcome = sensor_command(capfd, "models", "compare", "--alerts", active)
    assert "8 incidents of the model in use ended before the shadow's first alert." in outcome.out


def test_what_makes_no_sense_is_refused(capfd, tmp_path):
    outcome = sensor_command(capfd, "models", "compare", SHIPPED, SHIPPED)
    assert_fails(outcome, 64, "two models and at least one capture file")
    outcome = sensor_command(capfd, "models", "compare", SHIPPED, SHIPPED, CAPTURE, "--since", "1h")
    assert_fails(outcome, 64, "are for logs")
    outcome = sensor_command(capfd, "models", "compare", "--alerts", tmp_path / "a.json")
    assert_fails(outcome, 66, tmp_path / "shadow.json", "no shadow model has been tried")
    (tmp_path / "shadow.json").touch()
    outcome = sensor_command(capfd, "models", "compare", "--alerts", tmp_path / "a.json")
    assert_fails(outcome, 66, tmp_path / "a.json")
    file = tmp_path / "multa.toml"
    file.write_text('[models]\nshadow_log = ""\n')
    outcome = sensor_command(capfd, "models", "compare", "--config", file)
    assert_fails(outcome, 66, "shadow_log: no shadow model has been tried")
    file.write_text('[alerts]\noutput = "-"\n')
    outcome = sensor_command(capfd, "models", "compare", "--config", file)
    assert_fails(outcome, 64, "standard output", "--alerts")


def test_a_capture_that_was_cut_is_compared_as_far_as_it_goes(capfd, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(CAPTURE.read_bytes()[:500_000])
    outcome = sensor_command(capfd, "models", "compare", SHIPPED, SHIPPED, cut)
    assert outcome.status == 80
    assert outcome.out.splitlines()[-1] == "A and B are the same bundle."


def test_foreign_words_in_logs_are_not_obeyed(capfd, tmp_path):
    active, shadow = tmp_path / "alerts.json", tmp_path / "shadow.json"
    active.write_bytes(alert_line(task="\x1b[2J\ud800"))
    shadow.write_bytes(alert_line(flows=10**400))
    outcome = sensor_command(capfd, "models", "compare", "--alerts", active, "--shadow", shadow)
    assert outcome.status == 0
    assert "\x1b" not in outcome.out
    assert "missed 1 of 1 incident of the model in use (\\x1b[2J\\ud800" in outcome.out
    assert "1 line is no alert" in outcome.err
