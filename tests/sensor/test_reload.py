"""Reloads of a live run: what SIGHUP takes up, and what it refuses."""

import json
import os
import shutil
import signal
import threading
from dataclasses import replace

import netns
import pytest
from command import ROOT, flood
from forged import rewritten
from running import started, until
from test_symptoms import Source

from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.errors import ConfigurationError
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.bundle import Bundle
from sensor.model.schema import FeatureSchema
from sensor.service.config.setting_tables import Capture, Evidence, Models
from sensor.service.config.settings import Settings
from sensor.service.health.statistics import Statistics
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.live import Attendant
from sensor.service.reload import Reload
from sensor.service.signals import Signals

pytestmark = pytest.mark.network

SHIPPED = ROOT / "models/iot-gateway"


@pytest.fixture
def cable():
    with netns.link() as cable:
        yield cable


@pytest.fixture
def newer(tmp_path):
    """The shipped bundle as another version, in which a SYN flood takes more."""

    def change(manifest):
        manifest["version"] = "99"
        manifest["tasks"][0]["incident"]["open_flows"] = 25

    return rewritten(shutil.copytree(SHIPPED, tmp_path / "newer"), change)


class Configured:
    """A sensor's configuration and what it writes."""

    def __init__(self, folder):
        self.path, self.log = folder / "sensor.toml", folder / "alerts.json"
        self.shadow, self.status = folder / "shadow.json", folder / "status.json"
        self.text = f"""
[alerts]
output = "{self.log}"
[evidence]
directory = "{folder / "evidence"}"
[health]
status = "{self.status}"
metrics = "{folder / "metrics.prom"}"
interval_s = 1
"""

    def says(self, active, shadow=(), more=""):
        """Writes the configuration."""
        models = f"active = {json.dumps(active)}\nshadow = {json.dumps(shadow)}\n"
        models = f'[models]\n{models}shadow_log = "{self.shadow}"\n'
        self.path.write_text(self.text + models + more)

    def alerts(self, path=None):
        """Task, version of the model, event and reason of every alert."""
        path = path or self.log
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line)["alert"] for line in lines]
        return [
            (each["task"], each["model"]["version"], each["event"], each.get("reason", ""))
            for each in (alert["metadata"]["multa"] for alert in found)
        ]


@pytest.fixture
def configured(tmp_path):
    return Configured(tmp_path)


def floods(cable, victim="10.0.0.2"):
    """A SYN flood, long enough for the counting rule from a slow sender too."""
    netns.play(cable.near, cable.port, flood(400, victim)[0])


def test_another_bundle_takes_over_and_the_former_incidents_end(cable, configured, newer):
    configured.says([str(SHIPPED)])
    with started(cable, "--config", str(configured.path)) as sensor:
        floods(cable)
        until(lambda: ("syn_dos", "3", "start", "") in configured.alerts(), "the first start")
        configured.says([str(newer)])
        sensor.process.send_signal(signal.SIGHUP)
        said = sensor.wait_for_message("reloaded: ")
        assert "iot-gateway 99 begins, iot-gateway 3 ends" in said
        floods(cable, "10.0.0.3")
        until(lambda: ("syn_dos", "99", "start", "") in configured.alerts(), "the second start")
        assert sensor.end() == 0
    alerts = configured.alerts()
    assert [each for each in alerts if each[:2] == ("syn_dos", "3")][-1][2:] == ("end", "reload")
    assert [each for each in alerts if each[:2] == ("syn_dos", "99")][-1][2:] == ("end", "quiet")
    # the rule was wanted again, so its incidents went on
    reasons = [each[3] for each in alerts if each[0] == "flow_rate" and each[2] == "end"]
    assert reasons == ["quiet", "quiet"]


def test_what_is_wrong_is_refused_and_everything_goes_on(cable, configured, newer):
    configured.says([str(SHIPPED)])
    with started(cable, "--config", str(configured.path)) as sensor:

        def reloads(expected):
            sensor.process.send_signal(signal.SIGHUP)
            return sensor.wait_for_message(expected)

        configured.says([str(SHIPPED)], more="[capture]\ninterfacse = []\n")
        said = reloads("reload failed, everything goes on as before: ")
        assert "did you mean" in said
        assert "interfaces" in said
        (newer / "model.tflite").write_bytes(b"no model")
        configured.says([str(newer)])
        assert "SHA-256" in reloads("reload failed")
        until(lambda: "reload" in str(_status(configured)["reasons"]), "the status to tell")
        configured.says([str(SHIPPED)], more="[capture]\nworkers = 2\n")
        reloads("the same detectors go on")
        assert "capture.workers" in sensor.wait_for_message("takes effect with a restart only")
        floods(cable)
        until(lambda: ("syn_dos", "3", "start", "") in configured.alerts(), "an alert")
        assert sensor.end() == 0
    status = _status(configured)
    assert (status["state"], status["reloads"]["ok"], status["reloads"]["failed"]) == ("down", 1, 2)


def test_a_shadow_scores_and_tells_a_log_of_its_own(cable, configured, newer):
    configured.says([str(SHIPPED)], [str(newer)])
    with started(cable, "--config", str(configured.path)) as sensor:
        floods(cable)
        until(lambda: configured.alerts(configured.shadow), "the shadow's alert")
        assert sensor.end() == 0
    assert {version for task, version, *_ in configured.alerts() if task == "syn_dos"} == {"3"}
    assert {version for _, version, *_ in configured.alerts(configured.shadow)} == {"99"}
    agreement = _status(configured)["shadow"]["iot-gateway 99"]["syn_dos"]
    assert agreement["both"] >= 60
    assert (agreement["only_active"], agreement["largest_difference"]) == (0, 0.0)


def test_allow_rules_and_severities_are_taken_up(cable, configured):
    configured.says([str(SHIPPED)])
    with started(cable, "--config", str(configured.path)) as sensor:
        rule = '[[allow]]\ncomment = "ours"\nexpires = "never"\ntask = "syn_dos"\n'
        severe = "[alerts.severity]\nflow_rate = 3\n"
        configured.says([str(SHIPPED)], more=f'{severe}{rule}destination = "10.0.0.0/8"\n')
        sensor.process.send_signal(signal.SIGHUP)
        sensor.wait_for_message("the same detectors go on; changed: alerts.severity, allow")
        floods(cable)
        until(configured.alerts, "the rule's alert")
        assert sensor.end() == 0
    assert {task for task, *_ in configured.alerts()} == {"flow_rate"}
    (line, *_) = configured.log.read_text().splitlines()
    assert json.loads(line)["alert"]["severity"] == 3
    (allowed,) = _status(configured)["allow"]
    assert allowed["matched"] >= 60


class Reloads:
    """Reloads of a run with the counting rule alone, by the settings that are given."""

    def __init__(self, settings, adoption=lambda _: lambda: None):
        self.settings, self.said = settings, []
        self.lanes = build_lanes(Detecting())
        read = lambda: self.settings  # noqa: E731
        self.reload = Reload(settings, read, self.lanes, set(), adoption, self.said.append)

    def now(self, **settings):
        """What is said of a reload with other settings."""
        self.settings = replace(self.settings, **settings)
        self.said.clear()
        self.reload.begin()
        until(self.reload.finish, "the reload")
        return self.said


RULE = Models(active=(), rule=True)
MINIMAL = Settings(models=RULE, evidence=Evidence(directory=None))


def test_what_can_not_be_taken_up_fails_the_reload_and_not_the_run():
    def adoption(_):
        raise ConfigurationError("no such device") from KeyError("device")

    reloads = Reloads(MINIMAL, adoption)
    before = reloads.lanes.watches
    (said,) = reloads.now()
    assert said == "reload failed, everything goes on as before: no such device"
    assert reloads.lanes.watches == before
    failure = reloads.reload.failure
    # nothing of what was read stays in memory with it
    assert (failure.__traceback__, failure.__context__, failure.__cause__) == (None, None, None)


def test_a_thread_too_many_fails_the_reload_and_not_the_run(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't start new thread")

    reloads = Reloads(MINIMAL)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        (said,) = reloads.now()
    assert "can't start new thread" in said
    assert "go on" in reloads.now()[0]


def test_what_takes_a_restart_is_as_it_was_at_the_start(tmp_path):
    reloads = Reloads(replace(MINIMAL, capture=Capture(cut_off=True)))
    before = reloads.lanes.watches
    said = reloads.now(capture=Capture(), evidence=Evidence(directory=tmp_path))
    waiting = "takes effect with a restart only: capture.cut_off, evidence.directory"
    assert said == ["reloaded: the same detectors go on", waiting]
    assert reloads.lanes.watches == before
    assert reloads.now()[1] == waiting
    # the kernel still drops what the features of the start do not need
    others = FlowTable(replace(FeatureSchema(), idle_timeout_ms=5_000))
    reloads.reload.lanes = Lanes([Lane(others)])
    (said,) = reloads.now()
    assert "has other features than the cut-off was made for" in said


def test_what_is_compared_with_whole_flows_does_not_come_to_a_cut_off(annotating_bundle):
    reloads = Reloads(replace(MINIMAL, capture=Capture(cut_off=True)))
    reloads.reload.lanes = Lanes([Lane(FlowTable(Bundle.read(annotating_bundle).schema))])
    (said,) = reloads.now(models=Models(active=(str(annotating_bundle),), rule=False))
    assert "annotating: is compared with whole flows, and the cut-off leaves packets out" in said


def test_nothing_is_reloaded_once_the_run_is_ending(tmp_path):
    reloads, signals, log = (
        Reloads(MINIMAL),
        Signals(),
        EventLog(str(tmp_path / "log"), strict=True),
    )
    statistics = Statistics(CaptureCounters(), None, reloads.lanes, log)
    attendant = Attendant(Source(), log, None, statistics, signals, reloads.said.append)
    attendant.reload_with(reloads.reload)
    with signals.handled():
        os.kill(os.getpid(), signal.SIGHUP)
        assert list(attendant.attended([])) == []
    assert (reloads.reload.busy, reloads.said) == (False, [])
    log.close()


def _status(configured):
    return json.loads(configured.status.read_text())
