"""From quiet series to a bundle with which the sensor answers: `multa-trainer latency train`."""

import json
import os
import struct
from dataclasses import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click.testing
import frames
import numpy as np
import pytest
from command import sensor_command
from frames import NANOS_LE

pytest.importorskip("keras", reason="needs the extra `trainer`")

from sensor.model.bundle import Bundle
from trainer.cli import commands, main
from trainer.latency import deploying
from trainer.latency.series import TASKS

SECOND, START = 1_000_000_000, 1_700_000_000_000_000_000
PINGS = 40


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """Few short series, windows of four measurements and a network that learns next to nothing."""
    for name, value in (
        ("SCHEMA", replace(deploying.SCHEMA, lengths=(4,))),
        ("LESSON", replace(deploying.LESSON, experts=1, units=4, tower_units=(4,), epochs=2)),
        *(("LEARNT", 8), ("HELD_OUT", 2), ("TESTED", 2), ("LENGTH", 800)),
        *(("SAMPLED", 200), ("QUIET", 200), ("GOLDEN", 400)),
    ):
        monkeypatch.setattr(deploying, name, value)


def quiet(path, seed):
    """Pings of 5 ms and a little more, once a second."""
    rng = np.random.default_rng(seed)
    lines = (f"{START + k * SECOND},{5 + rng.random():.3f}" for k in range(300))
    path.write_text("\n".join(["time_ns,rtt_ms", *lines]) + "\n")
    return str(path)


def pings(path):
    """The same as packets, of which the last quarter is not answered."""
    sent = []
    for number in range(PINGS):
        rest, at = struct.pack("!HH", 7, number), START + number * SECOND
        sent.append((at, frames.icmp_frame("10.0.0.1", "192.0.2.1", 8, 0, rest)))
        if number < 3 * PINGS // 4:
            back = frames.icmp_frame("192.0.2.1", "10.0.0.1", 0, 0, rest)
            sent.append((at + 5_000_000, back))
    times, contents = zip(*sent, strict=True)
    return frames.write_pcap(path, contents, times, NANOS_LE)


def test_the_sensor_answers_with_what_has_been_trained(tmp_path, capfd):
    out, stats = tmp_path / "home", tmp_path / "stats.json"
    given = ["--quiet", quiet(tmp_path / "a.csv", 1), "--validation", quiet(tmp_path / "b.csv", 2)]
    made = click.testing.CliRunner().invoke(
        commands, ["latency", "train", *given, "--out", str(out), "--version", "7"]
    )
    assert made.exit_code == 0, made.output
    bundle = Bundle.read(out)
    assert (bundle.name, bundle.version) == ("home", "7")
    assert tuple(task.name for task in bundle.tasks) == TASKS
    said = ", ".join(f"{task.name} {task.threshold:.4f}" for task in bundle.tasks)
    assert made.output == f"{out}: home 7, thresholds {said}\n"
    # The sensor proves its golden vectors before it answers.
    models = ("-m", out, "--no-rule", "--stats", stats)
    outcome = sensor_command(capfd, "replay", pings(tmp_path / "pings.pcap"), *models)
    assert (outcome.status, outcome.err) == (0, "")
    answered = json.loads(stats.read_text())
    assert (answered["flows"], answered["scored"]) == (1, PINGS)
    assert {*answered["alerts"]} == {f"home/{task}" for task in TASKS}


def test_what_is_wrong_is_told_before_anything_is_learnt(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(deploying, "train", None)
    (tmp_path / "link.csv").symlink_to(quiet(tmp_path / "a.csv", 1))
    given = ["--quiet", tmp_path / "a.csv", "--validation", quiet(tmp_path / "b.csv", 2)]
    for wrong, status, told in (
        (["--test", tmp_path / "link.csv", "--out", "home"], 64, "link.csv: is given twice"),
        (["--out", tmp_path / "a.csv/home"], 74, "a.csv/home: Not a directory"),
        (["--out", tmp_path / "Home"], 64, "'Home' is none"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["latency", "train", *map(str, [*given, *wrong])])
        assert (end.value.code, told in capfd.readouterr().err) == (status, True)
