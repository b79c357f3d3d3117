import threading

import frames
from blocks import blocks_of
from command import ROOT, START, flood
from flow_rows import rows
from reference import Frame, read_pcap

from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane, Watch
from sensor.model.schema import FeatureSchema
from sensor.service.handover import Handover
from sensor.service.health.coverage import funnel, label, networks
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.run import Run

MODEL = ROOT / "models" / "iot-gateway"
CAPTURE = ROOT / "tests" / "captures" / "demo.pcap"


def assert_adds_up(found, *, waiting=0):
    frame, flow, row = found["frames"], found["flows"], found["rows"]
    assert frame["received"] == frame["lost"] + frame["delivered"]
    assert frame["delivered"] == frame["decoded"] + sum(frame["refused"].values())
    assert flow["began"] == flow["undecided"] + flow["looked_at"] + flow["shed"] + flow["waiting"]
    assert row["decided"] == row["looked_at"] + row["shed"] + row["waiting"]
    assert row["waiting"] == waiting
    for model in found["models"].values():
        for task in model["tasks"].values():
            assert model["looked_at"] == task["scored"] + task["not_counted"]


def test_numbers_of_a_real_replay_add_up(tmp_path):
    """Each number is counted in another place, by another part."""
    packets = list(read_pcap(CAPTURE.read_bytes()))
    log = EventLog(str(tmp_path / "alerts.json"), strict=True)
    lanes = build_lanes(Detecting([MODEL]))
    run = Run(CaptureCounters(kernel_drops=11), lanes, log)
    run.over(blocks_of(packets, 500))
    counts = run.statistics.document()
    found = funnel(counts, lanes)
    assert_adds_up(found)
    assert found["frames"]["delivered"] == len(packets)
    assert found["frames"]["received"] == len(packets) + 11
    assert found["flows"] == {
        "began": counts["flows"],
        "undecided": 0,
        "looked_at": counts["flows"],
        "shed": 0,
        "waiting": 0,
    }
    model, rule = found["models"]["iot-gateway"], found["models"]["counting-rule"]
    assert model["looked_at"] == rule["looked_at"] == sum(counts["sequences"].values())
    # All tasks look at first sequences; those that repeat are looked at by tasks of that policy.
    assert max(task["scored"] for task in model["tasks"].values()) == counts["scored"]
    assert model["tasks"]["syn_dos"]["not_counted"] > 0


def test_what_is_shed_is_told_and_flows_are_counted_once(tmp_path):
    """Detection stands still until all packets have been read, and the ring is said to be full."""
    contents, times = flood(9_000)
    contents += [frames.arp_frame("10.0.0.1", "10.0.0.2")] * 5
    times += [times[-1]] * 5
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    log = EventLog(str(tmp_path / "alerts.json"), strict=True)
    lanes = build_lanes(Detecting())
    run = Run(CaptureCounters(), lanes, log)
    handover, read = Handover(lambda: True), threading.Event()
    during = []

    def blocks():
        yield from blocks_of(packets, 1_000)
        counts = run.statistics.document()
        during.append(funnel(counts, lanes, shed=handover.shed, shed_flows=handover.shed_flows))
        read.set()

    first = lanes.running[0].watches[0].detector
    score = first.score
    first.score = lambda batch: read.wait(60) and score(batch)
    run.live(run.decoded(blocks()), "eth0", handover, log.flush)
    counts = run.statistics.document()
    found = funnel(counts, lanes, shed=handover.shed, shed_flows=handover.shed_flows)
    assert_adds_up(found)
    assert found["frames"]["refused"] == {"not_ip": 5}
    assert found["flows"]["began"] == found["rows"]["decided"] == 9_000
    assert found["rows"]["shed"] == found["flows"]["shed"] == handover.shed > 0
    assert found["rows"]["looked_at"] == found["models"]["counting-rule"]["looked_at"] >= 4_096
    # Of the flows of the last second no row had been decided, and of the others many waited.
    waiting = during[0]["rows"]["waiting"]
    assert_adds_up(during[0], waiting=waiting)
    assert during[0]["flows"]["undecided"] > 900
    assert waiting == during[0]["flows"]["waiting"] >= 4_096 - 1_000


def test_a_flow_that_is_scored_twice_is_one_flow():
    lane = Lane(FlowTable(FeatureSchema()))
    lane.count(rows({"row": 0}, {"row": 1}, {"row": 0}))
    lane.table.flows = 5
    lanes = Lanes([lane])
    lane.detect(rows({"row": 0}, {"row": 1}), 0)
    counts = {
        **dict.fromkeys(("packets", "kernel_drops", "decoded", "cut", "bypassed"), 0),
        "refused": {},
        "sequences": {"full": 3},
        "sequences_skipped": 0,
        "answers_ambiguous": 6,
        "measurements_unknown": 7,
    }
    assert funnel(counts, lanes, shed=1, shed_flows=1) == {
        "frames": {
            **dict.fromkeys(("received", "lost", "delivered", "decoded", "cut", "bypassed"), 0),
            "lost_share": 0.0,
            "refused": {},
        },
        "flows": {"began": 5, "undecided": 3, "looked_at": 1, "shed": 1, "waiting": 0},
        "rows": {
            "decided": 3,
            "looked_at": 2,
            "shed": 1,
            "waiting": 0,
            "skipped": 0,
            "ambiguous": 6,
            "unknown": 7,
        },
        "models": {},
    }


def test_a_model_in_the_shadow_has_another_label():
    lanes = build_lanes(Detecting([MODEL]))
    light, rule = lanes.watches
    shadow = Watch(light.detector, light.tracker, shadow=True)
    assert [label(each) for each in (light, shadow, rule)] == [
        "iot-gateway",
        "iot-gateway (shadow)",
        "counting-rule",
    ]
    told = networks([light, shadow, rule])
    assert [each["shadow"] for each in told] == [False, True, False]
    assert told[0]["manifest_sha256"] == light.detector.bundle.manifest_sha256
    assert (told[2]["sha256"], told[2]["manifest_sha256"]) == ("", "")


def test_lost_share_is_of_what_the_kernel_received():
    lanes = build_lanes(Detecting())
    packets = [Frame(START, content) for content in flood(3)[0]]
    run = Run(CaptureCounters(kernel_drops=1), lanes, EventLog("/dev/null", strict=True))
    run.over(blocks_of(packets, 3))
    assert funnel(run.statistics.document(), lanes)["frames"]["lost_share"] == 0.25
