import subprocess

import netns
import pytest
from command import assert_fails, sensor_command, sensor_process
from test_pcap import unprivileged


def test_model_and_log_are_told(capfd, random_bundle, tmp_path):
    log = tmp_path / "alerts.json"
    outcome = sensor_command(capfd, "check", "-m", random_bundle, "-o", log)
    assert (outcome.status, outcome.err) == (0, "")
    model, told_log = outcome.out.splitlines()
    assert model.startswith(f"model {random_bundle}: ok (random 0.0.1, ")
    assert told_log == f"alert log {log}: ok (can be appended to)"
    assert not log.exists()  # it would be its maker's, and the service could not write it


def test_log_behind_a_link_is_not_left_behind_either(capfd, tmp_path):
    log = tmp_path / "alerts.json"
    log.symlink_to(tmp_path / "elsewhere.json")
    assert sensor_command(capfd, "check", "--no-models", "-o", log).status == 0
    assert log.is_symlink()
    assert not log.exists()


def test_existing_log_is_left_alone(capfd, tmp_path):
    log = tmp_path / "alerts.json"
    for content in ("line\n", ""):
        log.write_text(content)
        assert sensor_command(capfd, "check", "--no-models", "-o", log).status == 0
        assert log.read_text() == content


def test_the_configuration_of_an_installation_is_checked(capfd, monkeypatch, tmp_path):
    config, log = tmp_path / "sensor.toml", tmp_path / "alerts.json"
    config.write_text(f'[models]\nactive = []\n[alerts]\noutput = "{log}"\n')
    monkeypatch.setattr("sensor.cli.check.DEFAULT_PATH", config)
    outcome = sensor_command(capfd, "check")
    # A run with it would not start either.
    assert (outcome.status, outcome.out.splitlines()[0]) == (78, f"configuration {config}: ok")
    assert "capture.interfaces: names none" in outcome.err
    config.write_text(config.read_text() + '[capture]\ninterfaces = ["none0", "none1"]\n')
    assert "none0" in sensor_command(capfd, "check").err
    outcome = sensor_command(capfd, "check", "--no-models", "-i", "none2", "-i", "none3")
    assert "none2" in outcome.err
    assert str(config) not in outcome.out


def test_the_flow_log_is_tried_where_a_bundle_annotates(
    capfd, annotating_bundle, random_bundle, tmp_path
):
    config, log = tmp_path / "sensor.toml", tmp_path / "flows.json"
    rest = f'[alerts]\noutput = "-"\n[flows]\nlog = "{log}"\n[capture]\ninterfaces = ["none0"]\n'
    config.write_text(f'[models]\nactive = ["{annotating_bundle}"]\n{rest}')
    assert f"flow log {log}: ok" in sensor_command(capfd, "check", "--config", config).out
    assert not log.exists()
    log.mkdir()
    outcome = sensor_command(capfd, "check", "--config", config)
    assert (outcome.status, outcome.err.count("\n")) == (74, 1)
    assert f"{log}: flow events can't be opened (is a directory)" in outcome.err
    config.write_text(f'[models]\nactive = ["{random_bundle}"]\n{rest}')
    assert "none0" in sensor_command(capfd, "check", "--config", config).err


def test_a_cut_off_that_a_run_would_refuse_is_refused(capfd, annotating_bundle, tmp_path):
    config = tmp_path / "sensor.toml"
    rest = '[alerts]\noutput = "-"\n[capture]\ninterfaces = ["lo"]\ncut_off = true\n'
    config.write_text(f'[models]\nactive = ["{annotating_bundle}"]\nrule = false\n{rest}')
    outcome = sensor_command(capfd, "check", "--config", config)
    assert (outcome.status, outcome.err.count("\n")) == (64, 1)
    assert "--cut-off: annotating" in outcome.err
    config.write_text(config.read_text().replace("cut_off = true", "cut_off = false"))
    assert "cut-off" not in sensor_command(capfd, "check", "--config", config).out


def test_unwritable_log_fails(capfd, tmp_path):
    log = tmp_path / "none" / "alerts.json"
    assert_fails(sensor_command(capfd, "check", "--no-models", "-o", log), 74, log)


def test_unknown_interface_fails(capfd):
    outcome = sensor_command(capfd, "check", "--no-models", "-i", "none0")
    assert outcome.status in (69, 77)  # without the capability one does not get as far
    assert outcome.err.count("\n") == 1


def test_missing_capability_fails(capfd):
    with unprivileged():
        outcome = sensor_command(capfd, "check", "--no-models", "-i", "lo")
    assert_fails(outcome, 77, "CAP_NET_RAW")


@pytest.mark.network
@pytest.mark.parametrize(
    ("state", "says"), [("up", "up"), ("down", "is down, a run would wait for it")]
)
def test_interface_is_told(state, says):
    with netns.link() as cable, netns.inside(cable.far):
        subprocess.run(["ip", "link", "set", cable.port, state], check=True)
        done = sensor_process("check", "--no-models", "-i", cable.port)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == [
        f"interface {cable.port}: ok ({says}, capture permitted)"
    ]
