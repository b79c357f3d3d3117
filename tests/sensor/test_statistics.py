import json

import frames
import numpy as np
import pytest
from blocks import block_of
from command import ROOT, START, flood
from reference import Frame

from sensor.capture.block import CaptureCounters
from sensor.errors import OutputError
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import detect
from sensor.service.lanes import build_lanes
from sensor.service.statistics import Statistics, StatisticsFile


def empty():
    return Statistics(CaptureCounters(), Decoder(), FlowTable(FeatureSchema()))


def test_every_entry_is_described():
    page = (ROOT / "docs" / "statistics.md").read_text()
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
    lanes, decoder = build_lanes([], rule=True), Decoder()
    statistics = Statistics(counters, decoder, lanes[0].table, lanes)
    assert statistics.document()["alerts"] == {"flow_rate": 0}
    for event in detect(statistics.counted([block]), decoder, lanes):
        statistics.count_event(event)
    counted = statistics.document()
    # Three frames had a tag of four bytes that the kernel stripped.
    assert counted["bytes"] == 60 * 54 + 60 + 3 * 4
    assert (counted["packets"], counted["decoded"], counted["flows"]) == (61, 60, 60)
    assert counted["refused"]["not_ip"] == 1
    assert sum(counted["refused"].values()) == 1
    assert counted["sequences"]["early"] == 60
    assert counted["alerts"] == {"flow_rate": 3}
    assert counted["incidents"] == {"flow_rate": 1}
    assert (counted["kernel_drops"], counted["offload_frames"]) == (7, 2)
    assert counted["first_packet"] == "2023-11-14T22:13:19.999995+0000"
    assert counted["last_packet"] == "2023-11-14T22:13:20.059000+0000"
    assert json.loads(statistics.line()).keys() == counted.keys()


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
