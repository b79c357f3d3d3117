import frames
import numpy as np
import pytest
from command import SECOND, START, flood, sensor_command, sensor_process
from flow_rows import rows

from sensor.alerts.incidents import IncidentTracker
from sensor.alerts.rule import CountingRule
from sensor.capture.block import CaptureCounters
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.service.health.statistics import Statistics
from sensor.service.summary import SHOWN, Summary


def told(capfd, *paths):
    outcome = sensor_command(capfd, "replay", *paths, "--no-models", "-o", "/dev/null", "--summary")
    assert outcome.status == 0
    assert outcome.out == ""
    return outcome.err


def test_incident_is_told_with_its_time_and_size(capfd, tmp_path):
    contents, times = flood(1000)
    # The flood is the last second of ten.
    quiet = frames.udp_frame("10.0.0.9", 1, "10.0.0.8", 53)
    path = frames.write_pcap(tmp_path / "x.pcap", [quiet, *contents], [START - 9 * SECOND, *times])
    text = told(capfd, path)
    assert "x.pcap" in text
    assert "1,001 packets in 1,001 flows, 10 s from 2023-11-14 22:13:11 UTC on" in text
    assert "flow_rate: 1 incident (found by counting-rule)" in text
    (line,) = [line for line in text.splitlines() if "victim" in line]
    assert "victim 10.0.0.2" in line
    assert "22:13:20 for 1.0 s" in line
    assert "971 flows" in line  # those after the 29th
    assert "worst score 0.971" in line  # 1000 / 1030
    bar = line.split()[2]
    assert bar == "─" * 28 + "█" * 4


@pytest.mark.parametrize(
    ("networks", "whose"),
    [
        ("10.0.0.0/24", "victim is inside"),
        ("10.1.0.200", "1 source is inside"),
        ("10.1.0.0/27,10.0.0.0/24", "victim and 2 sources are inside"),
        ("10.1.0.0/26", "32 sources or more are inside"),
        ("10.1.0.0/16,10.0.0.2/32", "victim and 32 sources or more are inside"),
        ("192.168.0.0/16", "passing through"),
    ],
)
def test_incident_is_told_with_what_is_inside(capfd, tmp_path, networks, whose):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(200))
    text = told(capfd, path, "--home-net", networks)
    (line,) = [line for line in text.splitlines() if "victim 10.0.0.2" in line]
    assert line.endswith(f", {whose}")


def test_nothing_found_is_said(capfd, tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(5))
    text = told(capfd, path)
    assert "nothing of flow_rate" in text
    assert "victim" not in text


def test_empty_capture_has_no_time(capfd, tmp_path):
    assert "0 packets in 0 flows; looked at" in told(
        capfd, frames.write_pcap(tmp_path / "x.pcap", [])
    )


def test_worst_incidents_are_listed_and_the_others_counted(capfd, tmp_path):
    contents, times = [], []
    for number in range(SHOWN + 3):
        attack, at = flood(40 + number, victim=f"10.9.0.{number + 1}")
        contents += attack
        times += [time + number * 10 * SECOND for time in at]
    text = told(capfd, frames.write_pcap(tmp_path / "x.pcap", contents, times))
    assert f"flow_rate: {SHOWN + 3} incidents" in text
    victims = [line.split()[1] for line in text.splitlines() if "victim" in line]
    assert victims == [f"10.9.0.{number + 1}" for number in range(3, SHOWN + 3)]
    assert "… and 3 more" in text


def test_many_incidents_are_counted_and_few_are_kept(capfd):
    schema = FeatureSchema()
    lane = Lane(FlowTable(schema), [CountingRule(schema)])
    summary = Summary([lane])
    count, batch = 12_000, 1_000
    tracker = IncidentTracker(lane.detectors[0])
    # One flow each to 12,000 addresses; those in the middle of the stream score highest.
    scores = np.float32(0.6 + 0.3 * np.sin(np.pi * np.arange(count) / count))
    one = rows({})
    for start in range(0, count, batch):
        numbers = np.arange(start, start + batch)
        flows = one.take(np.zeros(batch, np.intp))
        flows.destination_low[:] = numbers
        flows.flow_ordinal[:] = numbers
        flows.decided_ns[:] = numbers * 1_000_000
        tracker.add(flows, scores[start : start + batch, None])
        for event in tracker.release(int(flows.decided_ns[-1])):
            summary.add(event)
    for event in tracker.finish():
        summary.add(event)
    statistics = Statistics(CaptureCounters(), Decoder(), Lanes([lane]))
    summary.show("flood", statistics)
    text = capfd.readouterr().err
    assert "flow_rate: 12,000 incidents" in text
    assert "… and 11,992 more" in text
    worst = sorted(range(count), key=lambda k: (-scores[k], k))[:SHOWN]
    assert all(5_900 < k < 6_100 for k in worst)
    shown = [line.split()[1] for line in text.splitlines() if "victim" in line]
    assert shown == [f"0.0.{k >> 8}.{k & 255}" for k in sorted(worst)]
    ((_, ended),) = summary._ended.items()
    assert len(ended.worst) == SHOWN


def test_several_files_are_named_by_the_first(capfd, tmp_path):
    paths = [frames.write_pcap(tmp_path / f"{k}.pcap", *flood(3)) for k in range(3)]
    assert "0.pcap and 2 more" in told(capfd, *paths)


def test_terminal_that_knows_no_lines_gets_others(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", *flood(100))
    done = sensor_process(
        "replay",
        path,
        "--no-models",
        "-o",
        "/dev/null",
        "--summary",
        environment={"PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0
    assert b"victim 10.0.0.2  ?" in done.stderr
