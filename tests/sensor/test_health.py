import json
import os
import time

import numpy as np
import pytest
from blocks import blocks_of
from command import ROOT, START, flood
from prometheus_client.parser import text_string_to_metric_families
from reference import Frame, read_pcap
from test_symptoms import Source

from sensor.alerts.allow import AllowList, AllowRule
from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.errors import BundleError, ConfigurationError, OutputError
from sensor.model.score_counts import HOUR_NS
from sensor.service.evidence_store import EvidenceStore
from sensor.service.handover import Handover
from sensor.service.health.health import Health
from sensor.service.health.status_output import StatusOutput
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.run import Run

MODEL = ROOT / "models" / "iot-gateway"
NOW = 1_800_000_000 * 10**9


class Watched:
    """A run with the parts of a live one, and its health."""

    def __init__(self, folder, detecting=None, counters=None):
        self.path, self.text = folder / "status.json", folder / "metrics.prom"
        self.said = []
        self.output = StatusOutput(self.path, self.text, 2, self.said.append)
        self.source = Source()
        self.source.counters = counters or CaptureCounters()
        self.log = EventLog(str(folder / "alerts.json"), strict=False)
        self.lanes = build_lanes(detecting or Detecting())
        self.run = Run(self.source.counters, self.lanes, self.log)
        self.handover = Handover(lambda: False)
        self.health = Health(
            self.output,
            self.source,
            self.run.statistics,
            self.lanes,
            self.handover,
            self.log,
            self.said.append,
            silence_s=300,
        )
        self.begun = time.monotonic()

    def detect(self, packets):
        blocks = self.run.decoded(blocks_of(packets, 500))
        self.run.live(blocks, "eth0,eth1", self.handover, self.log.flush)

    def look(self, after_s):
        self.health.look(self.begun + after_s)
        return json.loads(self.path.read_text())


def frames_of(count):
    return [Frame(*each) for each in zip(*reversed(flood(count)), strict=True)]


def test_a_run_that_detects_is_healthy_and_tells_what_it_did(tmp_path):
    watched = Watched(tmp_path)
    watched.detect(frames_of(300))
    told = watched.look(1)
    assert (told["state"], told["reasons"]) == ("healthy", [])
    assert told["pid"] == os.getpid()
    assert told["statistics"] == {
        **json.loads(watched.run.statistics.line()),
        "seconds": told["statistics"]["seconds"],
    }
    assert told["coverage"]["frames"]["received"] == 300
    assert told["coverage"]["time"]["blind_share"] == 0
    assert told["interfaces"] == {"eth0": {"blind": None}, "eth1": {"blind": None}}
    assert [each["name"] for each in told["models"]] == ["counting-rule"]
    assert [each["event"] for each in told["recent"]] == ["start", "update", "update", "end"]
    assert told["flow_table"]["capacity"] == 65_536
    assert sum(told["measures"]["batch_seconds"]["counts"]) > 0
    assert sum(told["measures"]["scores"]["counting-rule/flow_rate"]) == 300


def test_latency_is_that_of_events_whose_time_has_come(tmp_path):
    """Those that only the end of the run decides have times that lie ahead."""
    watched = Watched(tmp_path)
    late = Frame(START + 100 * 10**9, flood(1)[0][0])
    watched.detect([*frames_of(300), late])
    latency = watched.look(0)["measures"]["latency_seconds"]
    # a start, two updates and an end, years after their packets
    assert latency["counts"] == [0] * len(latency["bounds"]) + [4]
    other = Watched(tmp_path)
    other.detect(frames_of(300))
    assert sum(other.look(0)["measures"]["latency_seconds"]["counts"]) == 0
    assert len(other.look(0)["recent"]) == 4


def test_it_is_written_every_interval_and_not_before(tmp_path):
    watched = Watched(tmp_path)
    first = watched.look(0)
    watched.run.statistics.frames.packets = 7
    assert watched.look(1.9) == first
    assert watched.look(2.1)["statistics"]["packets"] == 7


def test_trouble_is_told_in_the_status_and_once_in_the_log(tmp_path):
    watched = Watched(tmp_path)
    watched.look(0)
    watched.source.blind = {"eth0": "is down"}
    told = watched.look(2.1)
    assert told["state"] == "degraded"
    assert told["reasons"] == ["blind: interface eth0 is down, so nothing is seen there"]
    assert told["interfaces"]["eth0"] == {"blind": "is down"}
    assert told["blind"][0]["to"] is None
    watched.source.blind = {}
    told = watched.look(4.2)
    assert told["state"] == "healthy"
    assert told["blind"][0]["to"] is not None
    assert told["blind"][0]["seconds"] == pytest.approx(2.1, abs=0.2)
    # who watches the interfaces has said so already
    assert watched.said == []
    for second in range(300, 320, 5):
        told = watched.look(second)
    assert told["reasons"][0].startswith("no frame has come for 5 min")
    assert [text.split(":")[0] for text in watched.said] == ["degraded"]


def test_what_comes_and_goes_is_not_told_each_time(tmp_path):
    watched = Watched(tmp_path)
    store = EvidenceStore(tmp_path / "evidence", 1 << 20)
    watched.health.keeps(store)
    for second in range(0, 1_200, 3):
        watched.run.statistics.frames.packets += 1
        # four failures in ten minutes, each of which is told for one
        store.failures += second % 150 == 0
        told = watched.look(second)
        assert bool(told["reasons"]) == (second % 150 < 60)
    assert told["evidence"] == {"written": 0, "failures": 8, "deleted": 0}
    (text,) = watched.said
    assert text.startswith("degraded: 1 file of evidence could not be written in the last minute")


def test_kernel_drops_are_in_the_status_at_the_next_writing(tmp_path):
    counters = CaptureCounters()
    watched = Watched(tmp_path, counters=counters)
    watched.look(0)
    counters.kernel_drops = 50
    told = watched.look(2.1)
    assert told["state"] == "degraded"
    assert "50 frames were lost in the last minute" in told["reasons"][0]
    assert told["coverage"]["frames"]["lost_share"] == 1.0


def test_reloads_are_counted_and_a_failure_stays_until_one_succeeds(tmp_path):
    watched = Watched(tmp_path)
    watched.health.reloaded(None)
    watched.health.reloaded(BundleError("models/x: is corrupt"))
    told = watched.look(0)
    assert told["reasons"] == ["the last reload failed and changed nothing: models/x: is corrupt"]
    watched.health.reloaded(ConfigurationError("sensor.toml: line 3"))
    told = watched.look(2.1)
    assert told["reloads"]["failed"] == 2
    assert told["reloads"]["model_failures"] == {"bundle": 1}
    watched.health.reloaded(None)
    told = watched.look(4.2)
    assert (told["state"], told["reloads"]["ok"], told["reloads"]["failure"]) == ("healthy", 2, "")


def test_allow_rules_and_other_parts_are_told(tmp_path):
    watched = Watched(tmp_path)
    allow = AllowList([AllowRule("the audit of 2021", START - 10**9)])
    watched.health.allow_with(lambda: allow)
    watched.health.include("shadow", lambda: {"rows": 3})
    told = watched.look(0)
    assert told["allow"] == json.loads(json.dumps(allow.document()))
    assert told["shadow"] == {"rows": 3}
    assert "'the audit of 2021' expired at 2023-11-14 22:13 UTC" in told["reasons"][0]


def test_drift_that_no_alert_explains_is_told_with_what_to_do(tmp_path):
    """Two thousand rows of the running hour that score 0.4: no incident, and unlike training."""
    watched = Watched(tmp_path, Detecting([MODEL]))
    scores = watched.lanes.watches[0].scores
    scores.add(np.full(2_000, START), np.full((2_000, 6), 0.4, np.float32))
    told = watched.look(1)
    assert told["drift"]["iot-gateway/syn_dos"] > 0.25
    (window,) = told["drift_windows"]["iot-gateway/syn_dos"]
    assert (window["rows"], window["high"]) == (2_000, 0)
    assert window["from"] == "2023-11-14T22:00:00.000000+0000"
    drifts = [each for each in told["reasons"] if each.startswith("drift of iot-gateway/syn_dos")]
    assert "label its alerts" in drifts[0]
    assert any(text.startswith("degraded: drift of iot-gateway/syn_dos") for text in watched.said)


def test_an_attack_that_was_alerted_is_no_drift(tmp_path):
    watched = Watched(tmp_path, Detecting([MODEL]))
    watched.detect(frames_of(3_000))
    told = watched.look(1)
    assert told["drift"]["iot-gateway/syn_dos"] > 0.25
    assert told["reasons"] == []
    # In the next hour there is no alert, and what comes is unlike training.
    scores = watched.lanes.watches[0].scores
    scores.add(np.full(1_000, START + HOUR_NS), np.full((1_000, 6), 0.4, np.float32))
    told = watched.look(3)
    assert told["reasons"][0].startswith("drift of iot-gateway/syn_dos: in the hour from 23:00 UTC")


def test_metrics_say_what_the_status_says(tmp_path):
    watched = Watched(tmp_path, Detecting([MODEL]), CaptureCounters(kernel_drops=3))
    watched.detect(list(read_pcap((ROOT / "tests/captures/demo.pcap").read_bytes())))
    told = watched.look(1)
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(watched.text.read_text())
        for sample in family.samples
    }
    counts = told["statistics"]
    assert found["multa_packets_total", ()] == counts["packets"]
    assert found["multa_kernel_drops_total", ()] == 3
    alerts = found["multa_alerts_total", (("model", "iot-gateway"), ("task", "syn_dos"))]
    assert alerts == counts["alerts"]["iot-gateway/syn_dos"] > 0
    count = found["multa_score_count", (("model", "iot-gateway"), ("task", "syn_dos"))]
    assert count == told["coverage"]["models"]["iot-gateway"]["tasks"]["syn_dos"]["scored"]
    batches = found["multa_inference_seconds_count", ()]
    assert batches == sum(told["measures"]["batch_seconds"]["counts"]) > 0
    assert found["multa_state", (("state", "degraded"),)] == 1


def test_the_end_of_a_run_is_told(tmp_path):
    watched = Watched(tmp_path)
    with watched.output:
        assert json.loads(watched.path.read_text())["state"] == "starting"
        watched.detect(frames_of(10))
        watched.look(0)
    told = json.loads(watched.path.read_text())
    assert (told["state"], told["reasons"]) == ("down", ["stopped"])
    assert told["statistics"]["packets"] == 10
    failing = pytest.raises(OutputError)
    with failing, watched.output:
        raise OutputError("alerts.json: no")
    told = json.loads(watched.path.read_text())
    assert (told["state"], told["reasons"]) == ("down", ["ended: alerts.json: no"])


def test_a_status_that_can_not_be_written_stops_nothing(tmp_path):
    (tmp_path / "run").mkdir()
    watched = Watched(tmp_path / "run")
    watched.look(0)
    (tmp_path / "run").rename(tmp_path / "gone")
    watched.source.blind = {"eth0": "is down"}  # another state, so the metrics are written too
    for second in (3, 6, 9):
        watched.health.look(watched.begun + second)
    assert watched.output.failures == 4
    assert len(watched.said) == 2
    assert "status.json: can't be written (No such file or directory)" in watched.said[0]
    (tmp_path / "gone").rename(tmp_path / "run")
    assert watched.look(12)["status_failures"] == 4


@pytest.mark.parametrize(
    ("named", "what"),
    [(Health.tries, "what shadows find"), (Health.annotates, "what is said of flows")],
)
def test_what_another_log_can_not_take_is_told_until_it_can(named, what, tmp_path):
    watched = Watched(tmp_path)
    log = EventLog(str(tmp_path / "gone/other.json"), strict=False, at_once=False)
    named(watched.health, log)
    assert watched.look(1)["state"] == "healthy"
    log.write(b"{}\n")
    told = watched.look(4)
    assert told["state"] == "degraded"
    (reason,) = told["reasons"]
    assert reason.startswith(f"{tmp_path}/gone/other.json: {what} can't be written (1 ")
    assert "other.json" in watched.said[-1]
    (tmp_path / "gone").mkdir()
    log.flush()
    assert watched.look(7)["state"] == "healthy"
    log.close()


def test_a_model_that_is_less_often_right_than_in_its_test_is_told(tmp_path):
    model = ROOT / "models" / "traffic-class"
    watched = Watched(tmp_path, Detecting(models=(model,), rule=False))
    assert watched.look(1)["state"] == "healthy"
    (watch,) = watched.lanes.watches
    for tally in watch.annotator.tallies[:2]:
        tally.add(np.full(400, NOW), np.zeros(400, np.uint8), np.ones(400, np.uint8))
    told = watched.look(4)
    assert told["state"] == "degraded"
    named = [
        reason.split(" names the right class for 0% of 400 flows")[0] for reason in told["reasons"]
    ]
    assert named == ["traffic-class/bandwidth", "traffic-class/duration"]
