"""Live, over workers and after an exchange, a bundle says of flows what it says in a replay."""

import json
import shutil
import signal

import netns
import pytest
from command import sensor_command
from running import started, until
from test_live_equals_replay import traffic
from test_workers import play, stamped_once

from sensor.model.bundle import Bundle

pytestmark = pytest.mark.network


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def said(path, *, live):
    """Lines without what only live ones have, which is there or not as it should be."""
    found = lines(path)
    for line in found:
        variables = line["metadata"]["flowvars"]
        emitted = [each for each in variables if each["key"] == "multa.emitted_at"]
        for each in emitted:
            variables.remove(each)
        own = [line.pop("host", ""), line.pop("in_iface", ""), emitted]
        assert all(own) if live else not any(own)
    return found


def test_lines_and_accuracy_are_those_of_the_replay_and_of_workers(
    capfd, tmp_path, annotating_bundle
):
    place = {name: tmp_path / f"{name}.json" for name in ("one", "two", "again", "status", "stats")}
    record = tmp_path / "record.pcap"
    (tmp_path / "one.toml").write_text(
        f"""
[models]
active = ["{annotating_bundle}"]
shadow_log = ""
rule = false
[alerts]
output = "{tmp_path / "alerts.json"}"
[flows]
log = "{place["one"]}"
[evidence]
directory = ""
[health]
status = "{place["status"]}"
metrics = "{tmp_path / "metrics.prom"}"
"""
    )
    sent = traffic()
    models = ["-m", str(annotating_bundle), "--no-rule"]
    with netns.link() as cable, stamped_once(cable):
        one = started(cable, "--config", str(tmp_path / "one.toml"), "--record", str(record))
        two = started(
            cable, *models, "--workers", "2", "-o", "/dev/null", "--flows", str(place["two"])
        )
        with one as first, two as second:
            play(cable, sent)
            first.wait_for_recording(record, sent)
            for sensor in (first, second):
                assert sensor.end() == 0
    outputs = ("-o", tmp_path / "a", "--flows", place["again"], "--stats", place["stats"])
    outcome = sensor_command(capfd, "replay", record, *models, *outputs)
    assert (outcome.status, outcome.err) == (0, "")
    expected = said(place["again"], live=False)
    assert len(expected) > 60
    assert said(place["one"], live=True) == expected
    assert said(place["two"], live=True) == expected
    status = json.loads(place["status"].read_text())["statistics"]
    again = json.loads(place["stats"].read_text())
    assert status["annotations"] == again["annotations"]
    assert again["annotations"]["annotating"]["tasks"]["seconds"]["judged"] > 10
    assert status["flow_events_written"] == len(expected)
    metrics = (tmp_path / "metrics.prom").read_text()
    assert f"multa_flow_events_written_total {len(expected)}\n" in metrics
    assert 'multa_annotations_judged_total{model="annotating",task="seconds"}' in metrics


def test_a_bundle_that_comes_with_a_reload_begins_the_log(tmp_path, annotating_bundle):
    configuration, log = tmp_path / "sensor.toml", tmp_path / "flows.json"
    newer = shutil.copytree(annotating_bundle, tmp_path / "newer")
    _renamed(newer)

    def configure(*active):
        configuration.write_text(
            f"[models]\nactive = {json.dumps(active)}\nshadow_log = ''\n"
            f"[alerts]\noutput = '{tmp_path / 'alerts.json'}'\n[flows]\nlog = '{log}'\n"
            f"[evidence]\ndirectory = ''\n[health]\nstatus = ''\nmetrics = ''\n"
        )

    def bundles(path=log):
        found = lines(path) if path.exists() else []
        return [each["metadata"]["flowvars"][1]["value"] for each in found]

    sent = traffic()
    configure("iot-gateway")
    with netns.link() as cable, started(cable, "--config", str(configuration)) as sensor:
        play(cable, sent)
        configure(str(annotating_bundle))
        sensor.process.send_signal(signal.SIGHUP)
        sensor.wait_for_message("reloaded: annotating 0.0.1 begins")
        assert not log.exists()
        play(cable, sent)
        until(bundles, "the first line")
        log.rename(tmp_path / "flows.json.1")
        configure(str(newer))
        sensor.process.send_signal(signal.SIGHUP)
        sensor.wait_for_message("reloaded: ")
        play(cable, sent)
        until(lambda: "newer" in bundles(), "a line of the other bundle")
        assert sensor.end() == 0
    # What the former bundle has said before is in the file that was moved away, whole.
    assert set(bundles(tmp_path / "flows.json.1")) == {"annotating"}
    assert set(bundles()) <= {"annotating", "newer"}


def _renamed(folder):
    made = Bundle.read(folder)
    Bundle.write(
        folder,
        version=made.version,
        schema=made.schema,
        tasks=made.tasks,
        annotations=made.annotations,
        model=made.model,
        golden=made.golden,
        card=made.card,
        histograms={},
        provenance={},
        metrics={},
    )
