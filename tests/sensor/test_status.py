"""The command; `test_status_page.py` has the page."""

import json
import os

import pytest
from alert_lines import alert_line
from command import assert_fails, sensor_command
from test_symptoms import NOW

from sensor.reporting.labels import Label, append
from sensor.service.health.status_output import StatusOutput


@pytest.fixture
def path(tmp_path):
    return tmp_path / "status.json"


def write(path, state, *reasons):
    StatusOutput(path, None, 2, print, lambda: NOW).write(state, list(reasons), {"blind": []})


@pytest.mark.parametrize(
    ("state", "status"), [("healthy", 0), ("degraded", 1), ("starting", 1), ("down", 2)]
)
def test_exit_status_tells_the_state(capfd, path, state, status):
    write(path, state, "because")
    outcome = sensor_command(capfd, "status", "--file", path)
    assert (outcome.status, outcome.err) == (status, "")
    assert outcome.out.startswith(state.upper())
    assert "  · because\n" in outcome.out


def test_no_status_is_down(capfd, path):
    outcome = sensor_command(capfd, "status", "--file", path)
    assert (outcome.status, outcome.err) == (2, "")
    reason = f"{path}: there is no status; no sensor runs that writes it there"
    assert outcome.out == f"DOWN\n  · {reason}\n"


def test_json_tells_what_is_so_now(capfd, path):
    write(path, "healthy")
    written = json.loads(path.read_text())
    path.write_text(json.dumps({**written, "boottime": written["boottime"] - 1_000}))
    outcome = sensor_command(capfd, "status", "--file", path, "--json")
    told = json.loads(outcome.out)
    assert (outcome.status, told["state"]) == (2, "down")
    assert "it has written nothing for 1" in told["reasons"][0]
    assert told["age_s"] >= 1_000
    assert told["pid"] == os.getpid()
    none = sensor_command(capfd, "status", "--file", path.with_name("none"), "--json")
    assert json.loads(none.out)["state"] == "down"


def test_the_file_is_that_of_the_configuration(capfd, path, tmp_path):
    configuration = tmp_path / "sensor.toml"
    configuration.write_text(f'[health]\nstatus = "{path}"\n')
    write(path, "healthy")
    assert sensor_command(capfd, "status", "--config", configuration).status == 0
    configuration.write_text('[health]\nstatus = ""\n')
    outcome = sensor_command(capfd, "status", "--config", configuration)
    assert_fails(outcome, 66, "no status is written", "--file")


def test_what_operators_said_is_compared_with_what_was_claimed(capfd, path, tmp_path):
    write(path, "healthy")
    log, labels = tmp_path / "alerts.json", tmp_path / "labels.json"
    configuration = tmp_path / "sensor.toml"
    configuration.write_text(f'[alerts]\noutput = "{log}"\n[health]\nstatus = "{path}"\n')
    log.write_bytes(alert_line(task="scan", score=0.9, alert_id="00000000000000a1"))
    given = ("status", "--config", configuration, "--labels", labels)
    assert "Labels" not in sensor_command(capfd, *given).out
    append(labels, Label("00000000000000a1", False, "scan", "me", "", ""))  # noqa: FBT003
    shown = sensor_command(capfd, *given).out
    assert "scan: 0 of 1 labelled alerts were right (0%); their scores claimed 90%" in shown
    labels.write_text("nonsense\n")
    assert sensor_command(capfd, *given).status == 0
