"""A sensor on a cable tells what it did not see, and its numbers are those of what was sent."""

import itertools
import json
import signal
import subprocess

import netns
import pytest
from command import flood, sensor_command
from running import started, until
from test_coverage import assert_adds_up

pytestmark = pytest.mark.network

FLOWS = 100
REPEATED = 1_200
"""120,000 frames of 54 bytes, more than a ring of 2 MiB holds."""


@pytest.fixture(scope="module")
def cable():
    if missing := netns.missing_requirements():
        pytest.skip(f"needs {', '.join(missing)}")
    with netns.link() as made:
        yield made


def configured(folder):
    path = folder / "sensor.toml"
    path.write_text(
        f"""
[capture]
buffer_mib = 2
[models]
active = []
store = "{folder}/models"
shadow_log = ""
[alerts]
output = "{folder}/alerts.json"
[evidence]
directory = ""
[health]
status = "{folder}/status.json"
metrics = "{folder}/metrics.prom"
interval_s = 1
"""
    )
    return path


def read(folder):
    return json.loads((folder / "status.json").read_text())


def frames_of(told):
    """None of them while it starts."""
    return told.get("coverage", {}).get("frames", {})


def test_overflow_and_blindness_are_told_and_nothing_is_missing(cable, tmp_path, capfd):
    contents, _ = flood(FLOWS)
    sent = FLOWS * (REPEATED + 2)
    asked = ("status", "--file", tmp_path / "status.json")
    with started(cable, "--config", str(configured(tmp_path))) as sensor:
        netns.play(cable.near, cable.port, contents)
        until(lambda: frames_of(read(tmp_path)).get("delivered") == FLOWS, "the first frames")
        assert sensor_command(capfd, *asked).out.startswith("HEALTHY")

        sensor.process.send_signal(signal.SIGSTOP)
        until(sensor.is_stopped, "it to stand still")
        netns.play(cable.near, cable.port, itertools.chain(*itertools.repeat(contents, REPEATED)))
        sensor.process.send_signal(signal.SIGCONT)
        sensor.wait_for_message("the kernel dropped")
        until(lambda: frames_of(read(tmp_path))["lost"], "the loss in the status")
        told = read(tmp_path)
        assert told["state"] == "degraded"
        assert "lost in the last minute" in told["reasons"][0]
        assert sensor_command(capfd, *asked).status == 1

        for state, blind in (("down", "is down"), ("up", None)):
            command = ["ip", "-n", cable.far, "link", "set", cable.port, state]
            subprocess.run(command, check=True)
            until(
                lambda blind=blind: read(tmp_path)["interfaces"][cable.port]["blind"] == blind,
                f"the interface to be {state} in the status",
            )
        netns.play(cable.near, cable.port, contents)
        until(lambda: frames_of(read(tmp_path))["received"] == sent, "all frames to be counted")
        assert sensor.end() == 0
    told = read(tmp_path)
    assert (told["state"], told["reasons"]) == ("down", ["stopped"])
    assert_adds_up(told["coverage"])
    assert frames_of(told)["received"] == sent
    assert frames_of(told)["lost"] == told["statistics"]["kernel_drops"] > 0
    assert told["coverage"]["flows"]["began"] == FLOWS
    (interval,) = told["blind"]
    assert (interval["interface"], interval["why"]) == (cable.port, "is down")
    assert interval["seconds"] == told["coverage"]["time"]["blind_seconds"][cable.port] > 0
    outcome = sensor_command(capfd, *asked)
    assert outcome.status == 2
    assert outcome.out.startswith("DOWN")


def test_a_sensor_that_is_killed_is_down_at_once_and_the_next_one_tells_the_gap(
    cable, tmp_path, capfd
):
    asked = ("status", "--file", tmp_path / "status.json")
    with started(cable, "--config", str(configured(tmp_path))) as sensor:
        until(lambda: read(tmp_path)["state"] == "healthy", "it to be healthy")
        assert sensor.end(signal.SIGKILL) == -signal.SIGKILL
    outcome = sensor_command(capfd, *asked)
    assert outcome.status == 2
    assert f"its process {sensor.process.pid} is gone" in outcome.out
    with started(cable, "--config", str(configured(tmp_path))) as sensor:
        until(lambda: read(tmp_path)["state"] == "healthy", "it to be healthy again")
        (gap,) = read(tmp_path)["blind"]
        assert (gap["interface"], gap["why"]) == (None, "the sensor was not running")
        assert gap["seconds"] > 0
        assert sensor.end() == 0
