import json
import subprocess
import sys

import frames
import netns
import pytest
from command import ROOT, assert_fails, flood, sensor_command, sensor_process
from running import Running

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def path(tmp_path):
    """A configuration that says little."""
    path = tmp_path / "sensor.toml"
    path.write_text('[capture]\ninterfaces = ["lo"]\n[models]\nactive = []\n')
    return path


def test_check_tells_of_each_thing(capfd, path):
    outcome = sensor_command(capfd, "config", "check", path)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"configuration {path}: ok\n")
    assert "interface lo: ok (" in outcome.out


def test_check_fails_with_one_line(capfd, path):
    path.write_text("[capture]\nworkres = 2\n")
    outcome = sensor_command(capfd, "config", "check", path)
    assert_fails(outcome, 78, f"{path}:2: capture.workres: ", "did you mean workers?")
    assert_fails(sensor_command(capfd, "config", "check", path.with_name("x")), 66, "no such file")


def test_show_is_toml_and_json(capfd, path):
    shown = tomllib.loads(sensor_command(capfd, "config", "show", path).out)
    assert shown["capture"]["interfaces"] == ["lo"]
    document = json.loads(sensor_command(capfd, "config", "show", path, "--json").out)
    assert document["capture"]["interfaces"] == {"value": ["lo"], "from": f"{path}:2"}
    assert {table: set(content) for table, content in shown.items()} == {
        table: set(content)
        for table, content in document.items()
        if table not in ("files", "allow")
    }


def test_default_is_accepted_by_show(capfd, tmp_path):
    path = tmp_path / "sensor.toml"
    path.write_text(sensor_command(capfd, "config", "default").out)
    assert sensor_command(capfd, "config", "show", path).status == 0


def test_names_in_messages_write_no_control_characters(capfd, path):
    path.write_text('[capture]\n"a\\u001b[2J" = 2\n')
    assert_fails(sensor_command(capfd, "config", "check", path), 78, "a\\x1b[2J")


@pytest.mark.parametrize("command", ["check", "run", "replay"])
def test_commands_refuse_a_wrong_configuration(capfd, path, command, tmp_path):
    path.write_text("[capture]\nworkers = 0\n")
    arguments = [tmp_path / "x.pcap"] if command == "replay" else []
    frames.write_pcap(tmp_path / "x.pcap", [], [])
    outcome = sensor_command(capfd, command, *arguments, "--config", path)
    assert_fails(outcome, 78, f"{path}:2: capture.workers: 0 is no whole number from 1 to 64")


def test_run_needs_an_interface_from_somewhere(capfd, path):
    path.write_text("")
    outcome = sensor_command(capfd, "run", "--config", path)
    assert_fails(outcome, 78, f"{path}: capture.interfaces: names none", "-i NAME")


@pytest.mark.network
def test_check_takes_everything_from_the_configuration(capfd, path):
    bundle = ROOT / "models" / "iot-gateway"
    path.write_text(
        f"[capture]\ninterfaces = ['lo']\n[models]\nactive = ['{bundle}']\n"
        "[alerts]\noutput = 'alerts.json'\n"
    )
    outcome = sensor_command(capfd, "check", "--config", path)
    assert (outcome.status, outcome.err) == (0, "")
    configuration, model, log, interface = outcome.out.splitlines()
    assert configuration == f"configuration {path}: ok"
    assert model.startswith(f"model {bundle}: ok (iot-gateway ")
    assert log == f"alert log {path.parent}/alerts.json: ok (can be appended to)"
    assert interface == "interface lo: ok (up, capture permitted)"


def test_failure_of_a_process_is_one_line_and_78(path):
    path.write_text("[capture\n")
    done = sensor_process("config", "check", path)
    assert (done.returncode, done.stdout) == (78, b"")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.network
def test_run_takes_everything_from_the_configuration(tmp_path):
    with netns.link() as cable:
        path = tmp_path / "sensor.toml"
        path.write_text(
            f"[capture]\ninterfaces = ['{cable.port}']\n[models]\nactive = []\n"
            "shadow_log = ''\n[alerts]\noutput = 'alerts.json'\n[alerts.severity]\nflow_rate = 3\n"
            "[evidence]\ndirectory = ''\n[health]\nstatus = ''\nmetrics = ''\n"
        )
        command = [sys.executable, "-m", "sensor.cli", "run", "--config", path, "--count", "60"]
        process = subprocess.Popen(
            ["ip", "netns", "exec", cable.far, *command],
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running = Running(process)
        with process:
            running.wait_for_message("watching")
            netns.play(cable.near, cable.port, flood(60)[0])
            assert running.wait() == 0
    lines = (tmp_path / "alerts.json").read_text().splitlines()
    assert [json.loads(line)["alert"]["severity"] for line in lines] == [3, 3, 3]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["alerts.json", "sensor.toml"]
