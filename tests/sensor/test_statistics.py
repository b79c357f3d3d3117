import json
import os
from collections import Counter
from dataclasses import replace
from ipaddress import ip_network

import frames
import numpy as np
import pytest
from blocks import block_of
from command import ROOT, START, flood
from flow_rows import rows
from reference import Frame
from test_bounded_state import packets

from sensor.alerts import task_incidents
from sensor.alerts.allow import AllowList, AllowRule
from sensor.alerts.incidents import IncidentTracker
from sensor.alerts.rule import CountingRule
from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.errors import OutputError
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane, Watch
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.packets.headers import UDP
from sensor.pipeline import detect
from sensor.service.health.statistics import Statistics, StatisticsFile
from sensor.service.lanes import Detecting, build_lanes


def empty():
    return Statistics(CaptureCounters(), Decoder(), Lanes([Lane(FlowTable(FeatureSchema()))]))


def test_every_entry_is_described():
    page, *_ = (ROOT / "docs" / "statistics.md").read_text().partition("\n## ")
    described = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert described == list(empty().document())


def test_run_is_counted():
    contents, times = flood(60)
    contents.append(frames.arp_frame("10.0.0.1", "10.0.0.2"))
    times.append(START - 5_000)
    block = block_of([Frame(*each) for each in zip(times, contents, strict=True)])
    tagged = np.zeros(61, np.uint16)
    tagged[:3] = 0x8100
    object.__setattr__(block, "vlan_tpid", tagged)
    counters = CaptureCounters(kernel_drops=7, offload_frames=2)
    lanes, decoder = build_lanes(Detecting()), Decoder()
    statistics = Statistics(counters, decoder, lanes)
    assert statistics.document()["alerts"] == {"counting-rule/flow_rate": 0}
    for event in detect(statistics.frames.of([block]), decoder, lanes):
        statistics.count_event(event)
    counted = statistics.document()
    # Three frames had a tag of four bytes that the kernel stripped.
    assert counted["bytes"] == 60 * 54 + 60 + 3 * 4
    assert (counted["packets"], counted["decoded"], counted["flows"]) == (61, 60, 60)
    assert counted["refused"]["not_ip"] == 1
    assert sum(counted["refused"].values()) == 1
    assert counted["sequences"]["early"] == 60
    assert counted["alerts"] == {"counting-rule/flow_rate": 3}
    assert counted["incidents"] == {"counting-rule/flow_rate": 1}
    assert (counted["kernel_drops"], counted["offload_frames"]) == (7, 2)
    assert counted["first_packet"] == "2023-11-14T22:13:19.999995+0000"
    assert counted["last_packet"] == "2023-11-14T22:13:20.059000+0000"
    assert json.loads(statistics.line()).keys() == counted.keys()


def test_what_the_decoder_counts_is_told():
    inner = frames.udp("10.0.0.1", 1, "10.0.0.2", 2, bytes(40))
    contents = [
        frames.snap(frames.ipv4(inner, 17, "10.0.0.1", "10.0.0.2")),
        frames.ethernet(frames.ipv4(inner, 17, "10.0.0.1", "10.0.0.2", total_length=1_501)),
        frames.ethernet(frames.ipv4(inner, 17, "10.0.0.1", "10.0.0.2", fragment=5)),
        frames.ethernet(frames.mpls(inner, 9), 0x8847),
    ]
    decoder = Decoder()
    decoder.decode(block_of([Frame(START, content) for content in contents]))
    counted = Statistics(
        CaptureCounters(), decoder, Lanes([Lane(FlowTable(FeatureSchema()))])
    ).document()
    assert (counted["slow"], counted["offloaded"], counted["fragments_unmatched"]) == (1, 1, 1)
    assert (counted["decoded"], counted["refused"]["mpls_depth"]) == (3, 1)


def test_a_capture_may_begin_at_time_zero():
    statistics = empty()
    content = flood(1)[0][0]
    for time_ns in (0, 5 * 10**9, 2 * 10**9):
        list(statistics.frames.of([block_of([Frame(time_ns, content)])]))
    counted = statistics.document()
    assert counted["first_packet"] == "1970-01-01T00:00:00.000000+0000"
    assert counted["last_packet"] == "1970-01-01T00:00:05.000000+0000"


def test_frames_that_were_not_recorded_are_told():
    statistics = empty()
    statistics.unrecorded = 3
    assert statistics.document()["frames_unrecorded"] == 3


class Recognizer:
    """Detectors with different names and one task of the same name."""

    fingerprint, tasks = "0" * 64, CountingRule(FeatureSchema()).tasks
    version, model_sha256 = "1", ""

    def __init__(self, name):
        self.name = name


def test_tasks_of_one_name_are_counted_apart():
    lane = Lane(FlowTable(FeatureSchema()), [Recognizer("one"), Recognizer("two")])
    statistics = Statistics(CaptureCounters(), Decoder(), Lanes([lane]))
    tracker = IncidentTracker(lane.detectors[1])
    tracker.add(rows({}), np.float32([[1]]))
    for event in tracker.finish():
        statistics.count_event(event)
    counted = statistics.document()
    assert counted["alerts"] == {"one/flow_rate": 0, "two/flow_rate": 2}
    assert counted["incidents"] == {"one/flow_rate": 0, "two/flow_rate": 1}


def test_naming_tasks_again_loses_no_count_of_another_thread():
    counted = ["counting-rule/flow_rate"] * 5

    class Shared(Counter):
        """The other thread counts once more whenever this one has looked."""

        def get(self, key, default=None):
            before = super().get(key, default)
            counted.append(key)
            self[key] = len(counted)
            return before

    lanes = build_lanes(Detecting())
    statistics = Statistics(CaptureCounters(), Decoder(), lanes)
    statistics.alerts = Shared({"counting-rule/flow_rate": len(counted)})
    statistics.expect(lanes)
    assert dict(statistics.alerts) == {"counting-rule/flow_rate": len(counted)}


def test_what_any_table_lost_is_told():
    """The second lane's flows are connections, of the first lane's there is one."""
    schemas = [FeatureSchema(key=key, repeat_all=1) for key in ("host_pair", "five_tuple")]
    lanes = [Lane(FlowTable(schema)) for schema in schemas]
    ports = np.arange(65_536)
    # every connection has a packet, then the first of them four sequences of 16
    headers = packets(START + np.append(ports, np.full(64, ports.size)), 1,
                      np.append(ports, np.zeros(64, int)), 2, 443, UDP, 0)  # fmt: skip
    for lane in lanes:
        lane.table.add(headers)
    counted = Statistics(CaptureCounters(), Decoder(), Lanes(lanes)).document()
    assert counted["flows"] == 1
    # after packet 65,536 all slots are taken, and a quarter is made free
    assert counted["flows_evicted"] == lanes[1].table.evicted == 16_384
    assert counted["conversations_evicted"] == lanes[0].table.conversations_evicted == 16_384
    assert counted["sequences_skipped"] == sum(lane.table.skipped for lane in lanes)
    assert 0 < lanes[0].table.skipped < counted["sequences_skipped"]


def test_what_the_trackers_gave_up_is_told(monkeypatch):
    monkeypatch.setattr(task_incidents, "EPOCH_ROWS", 4)
    monkeypatch.setattr(task_incidents, "REMEMBERED_ROWS", 5)
    monkeypatch.setattr(task_incidents, "OPEN_INCIDENTS", 2)
    lane = Lane(FlowTable(FeatureSchema()), [Recognizer("one"), Recognizer("two")])
    statistics = Statistics(CaptureCounters(), Decoder(), Lanes([lane]))
    patient = replace(lane.detectors[0].tasks[0].incident, open_flows=5)
    detector = Recognizer("patient")
    detector.tasks = (replace(detector.tasks[0], incident=patient),)
    lane.watches = (*lane.watches, Watch(detector, IncidentTracker(detector)))
    # Eight victims: six of them one too many for two open incidents, three for five rows.
    batch = rows(*({"destination": (f"10.0.0.{k}", 80), "flow_ordinal": k} for k in range(8)))
    for tracker in lane.trackers[1:]:
        tracker.add(batch, np.ones((8, 1), np.float32))
    counted = statistics.document()
    assert counted["incidents_evicted"] == 6
    assert counted["rows_forgotten"] == 3


def test_what_rules_allowed_is_told():
    rules = AllowList([AllowRule("known", destination=ip_network("10.0.0.2/31"))])
    lane = Lane(FlowTable(FeatureSchema()), [Recognizer("one"), Recognizer("two")])
    statistics = Statistics(CaptureCounters(), Decoder(), Lanes([lane]))
    batch = rows(*({"destination": (f"10.0.0.{k}", 80), "flow_ordinal": k} for k in range(8)))
    for tracker in lane.trackers:
        tracker.allow = rules
        tracker.add(batch, np.ones((8, 1), np.float32))
    assert statistics.document()["rows_allowed"] == 2 * 2


def test_the_state_of_the_log_is_told(tmp_path):
    log = EventLog(str(tmp_path / "alerts.json"), strict=False, limit_bytes=5)
    statistics = Statistics(
        CaptureCounters(), Decoder(), Lanes([Lane(FlowTable(FeatureSchema()))]), log
    )
    for line in (b"one\n", b"two\n"):
        log.write(line)
    (tmp_path / "alerts.json").unlink()
    tmp_path.rename(tmp_path.with_name("moved"))
    log.write(b"three\n")
    log.close()
    counted = statistics.document()
    names = ("alerts_written", "alerts_lost", "alert_log_failures", "alert_log_rotations")
    # A failure as it was written, and another one as the log was closed.
    assert [counted[name] for name in names] == [2, 1, 2, 1]


def test_file_is_emptied_at_once_and_written_at_the_end(tmp_path):
    path = tmp_path / "stats.json"
    path.write_text("old")
    file = StatisticsFile(str(path))
    assert path.read_text() == ""
    file.write(empty())
    assert json.loads(path.read_text())["packets"] == 0


def test_full_disk_and_missing_folder_are_named(tmp_path):
    with pytest.raises(OutputError, match="no such file"):
        StatisticsFile(str(tmp_path / "none" / "stats.json"))
    file = StatisticsFile("/dev/full")
    with pytest.raises(OutputError, match="/dev/full: statistics can't be written"):
        file.write(empty())


def test_a_live_run_waits_for_no_reader_of_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OutputError, match=r"pipe: .*start its reader first"):
        StatisticsFile(str(path), waits=False)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    StatisticsFile(str(path), waits=False).write(empty())
    assert json.loads(os.read(reader, 1 << 16))["packets"] == 0
    file = StatisticsFile(str(path), waits=False)
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    os.write(writer, bytes(1 << 20))  # as much as it takes
    with pytest.raises(OutputError, match="stands still"):
        file.write(empty())
    os.close(writer)
    file = StatisticsFile(str(path), waits=False)
    os.close(reader)
    with pytest.raises(OutputError, match="any more"):
        file.write(empty())
