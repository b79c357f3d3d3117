"""The budget of alerts: what is told, what is withheld, and when that is said."""

import json
from dataclasses import replace

import frames
import numpy as np
import pytest
from blocks import block_of, blocks_of
from command import START, sensor_command
from flow_rows import rows
from reference import Frame

from sensor.alerts import limit
from sensor.alerts.event import WithheldTask
from sensor.alerts.incidents import IncidentTracker
from sensor.alerts.limit import AlertLimit
from sensor.alerts.rule import CountingRule
from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.model.schema import FeatureSchema
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.run import Run

SECOND = 10**9
FLOW_RATE = ("counting-rule", "flow_rate")


def event(kind="start", seconds=0.0, address=1, opened=0.0):
    """An event of an incident about an address (IPv4), at so many seconds."""
    tracker = IncidentTracker(CountingRule(FeatureSchema()))
    tracker.add(rows({}), np.float32([[1]]))
    return replace(
        tracker.finish()[0],
        kind=kind,
        time_ns=round(seconds * SECOND),
        address=(4, 0, address),
        opened_ns=round(opened * SECOND),
    )


@pytest.fixture
def two_at_once(monkeypatch):
    """A budget of two events, one every half a second."""
    monkeypatch.setattr(limit, "AT_ONCE", 2)
    return AlertLimit()


def admitted(alerts, *events):
    return [alerts.admits(each) for each in events]


def test_the_budget_grows_back_with_packet_time_up_to_its_size(two_at_once):
    times = [0, 0, 0, 0.499999999, 0.5, 0.5, 0.999999999, 1, 100, 100, 100]
    told = admitted(two_at_once, *(event(seconds=time, address=k) for k, time in enumerate(times)))
    assert told == [True, True, False, False, True, False, False, True, True, True, False]


def test_a_told_incident_is_told_the_end_and_no_other(two_at_once):
    starts = [event(address=k) for k in range(3)]
    assert admitted(two_at_once, *starts) == [True, True, False]
    ends = [event("end", 0.1, k) for k in range(3)]
    assert admitted(two_at_once, *ends) == [True, True, False]
    # That was the end of them: nothing is owed to another incident of the address.
    assert admitted(two_at_once, event("end", 0.1, 0)) == [False]


def test_ends_spend_the_budget_where_there_is_some(two_at_once):
    assert admitted(two_at_once, event(), event("end", 0.1), event(address=2)) == [
        True,
        True,
        False,
    ]


def test_an_incident_that_grows_is_told_once_there_is_budget(two_at_once):
    assert admitted(two_at_once, *(event(address=k) for k in range(3))) == [True, True, False]
    later = (event("update", 0.5, 2), event("update", 0.6, 2), event("end", 0.7, 2))
    assert admitted(two_at_once, *later) == [True, False, True]


def test_incidents_of_one_address_are_told_apart(two_at_once):
    others = (replace(event(opened=1), task_index=1), replace(event(opened=1), detector="other"))
    assert admitted(two_at_once, event(opened=1), event(address=2)) == [True, True]
    ends = [replace(each, kind="end") for each in (event(opened=2), *others, event(opened=1))]
    assert admitted(two_at_once, *ends) == [False, False, False, True]


def test_what_is_withheld_is_summed_up_after_a_minute(two_at_once):
    kinds = ["start", "start", "start", "update", "end"]
    told = admitted(two_at_once, *(event(k, 3 + i / 100, i) for i, k in enumerate(kinds)))
    assert told == [True, True, False, False, False]
    first = 3.02
    assert two_at_once.due(round((first + 60) * SECOND), 0) is None
    summary = two_at_once.due(round((first + 60) * SECOND) + 1, 0)
    assert (summary.time_ns, summary.first_ns, summary.last_ns) == (
        63_020_000_000,
        3_020_000_000,
        3_040_000_000,
    )
    assert summary.tasks == (WithheldTask(*FLOW_RATE, 1, 1, 1),)
    assert two_at_once.due(10**18, 0) is None
    assert two_at_once.finish() is None


def test_the_end_of_a_stream_tells_what_is_left_in_order_of_tasks(two_at_once):
    assert two_at_once.finish() is None
    events = [event(address=k) for k in range(2)] + [
        replace(event(address=k), detector=name) for k, name in enumerate(("b", "a", "b"))
    ]
    admitted(two_at_once, *events)
    summary = two_at_once.finish()
    assert summary.tasks == (
        WithheldTask("a", "flow_rate", 1, 0, 0),
        WithheldTask("b", "flow_rate", 2, 0, 0),
    )
    assert summary.time_ns == 60 * SECOND


def test_a_clock_that_was_set_back_neither_fills_nor_empties_the_budget(two_at_once):
    times = [1_000, 1_000, 400, 400.5, 400.5]
    told = admitted(two_at_once, *(event(seconds=time, address=k) for k, time in enumerate(times)))
    assert told == [True, True, False, True, False]


def test_another_stream_leaves_nothing_of_the_one_before(two_at_once):
    admitted(two_at_once, *(event(seconds=1_000, address=k) for k in range(3)))
    assert two_at_once.due(1_001 * SECOND, 0) is None
    assert two_at_once.due(1_002 * SECOND, 1).time_ns == 1_060 * SECOND
    assert two_at_once.due(1_003 * SECOND, 1) is None


def test_nothing_is_held_of_incidents_that_are_over(two_at_once):
    for number in range(100):
        two_at_once.admits(event("start", number, number, number))
        two_at_once.admits(event("end", number, number, number))
    assert not two_at_once._told


def scan(victims, start_ns=START):
    """Frames with their times: 31 connections each to so many hosts, within two seconds."""
    contents = [
        frames.tcp_frame(f"10.1.{k}.1", 1000 + k, f"10.9.{v >> 8}.{v & 255}", 80, frames.SYN)
        for v in range(victims)
        for k in range(31)
    ]
    step = 2 * SECOND // len(contents)
    return contents, [start_ns + step * number for number in range(len(contents))]


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def kind(record):
    return record["alert"]["metadata"]["multa"]["event"]


def test_a_flood_of_incidents_is_held_to_the_budget_in_the_log(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(limit, "AT_ONCE", 20)
    # The same scan twice, ten minutes apart: the second time there is budget again.
    contents, times = scan(100)
    again = [time + 600 * SECOND for time in times]
    capture = frames.write_pcap(tmp_path / "x.pcap", contents * 2, times + again, frames.NANOS_LE)
    path = tmp_path / "alerts.json"
    outcome = sensor_command(capfd, "replay", capture, "--no-models", "-o", path, "--stats", "-")
    counted = json.loads(outcome.out)
    records = lines_of(path)
    kinds = [kind(record) for record in records]
    assert counted["incidents"] == {"counting-rule/flow_rate": 200}
    assert counted["alerts"] == {"counting-rule/flow_rate": 400}
    # 20 at once, and 3 in the 1.98 s that the starts take. All incidents end a minute later.
    assert kinds.count("start") == 2 * 23
    told = [r["alert"]["metadata"]["multa"] for r in records if kind(r) != "withheld"]
    begun = {each["alert_id"] for each in told if each["event"] == "start"}
    ended = [each["alert_id"] for each in told if each["event"] == "end"]
    assert len(ended) == len(set(ended))
    assert begun <= set(ended)
    assert counted["alerts_withheld"] == 400 - len(told)
    withheld = [r["alert"]["metadata"]["multa"] for r in records if kind(r) == "withheld"]
    assert sum(each["alerts"] for each in withheld) == counted["alerts_withheld"]
    assert sum(task["start"] for each in withheld for task in each["tasks"]) == 200 - 2 * 23
    stamps = [record["timestamp"] for record in records]
    assert stamps == sorted(stamps)
    assert counted["alerts_written"] == len(records)


def tick(time_ns):
    """What a silent live link delivers."""
    return replace(block_of([]), clock_ns=time_ns)


def found(path, blocks):
    log = EventLog(str(path), strict=True)
    Run(CaptureCounters(), build_lanes(Detecting()), log).over(blocks)
    log.close()
    return path.read_bytes()


def test_silence_and_sizes_of_blocks_do_not_matter(tmp_path, monkeypatch):
    monkeypatch.setattr(limit, "AT_ONCE", 20)
    contents, times = scan(60)
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    again = [each._replace(time_ns=each.time_ns + 600 * SECOND) for each in packets]
    wanted = found(tmp_path / "one", blocks_of(packets + again, 100_000))
    assert wanted.count(b'"withheld"') == 4
    ticks = [tick(START + seconds * SECOND) for seconds in range(2, 600, 7)]
    for size in (13, 500):
        blocks = [*blocks_of(packets, size), *ticks, *blocks_of(again, size)]
        assert found(tmp_path / f"ticked {size}", blocks) == wanted, size
        assert found(tmp_path / f"{size}", blocks_of(packets + again, size)) == wanted, size


@pytest.mark.parametrize("back_s", [11, 3_600])
def test_sizes_of_blocks_do_not_matter_where_the_clock_is_set_back(tmp_path, monkeypatch, back_s):
    monkeypatch.setattr(limit, "AT_ONCE", 20)
    contents, times = scan(60)
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    again = [each._replace(time_ns=each.time_ns - back_s * SECOND) for each in packets]
    wanted = found(tmp_path / "one", blocks_of(packets + again, 100_000))
    records = lines_of(tmp_path / "one")
    withheld = [r["alert"]["metadata"]["multa"] for r in records if kind(r) == "withheld"]
    # Starts and ends of either stream, summed up before the next one begins.
    assert [task["start"] > 0 for each in withheld for task in each["tasks"]] == [True, False] * 2
    for size in (13, 500):
        blocks = blocks_of(packets + again, size)
        assert found(tmp_path / f"{size}", blocks) == wanted, size


def test_a_silent_link_hears_of_withheld_alerts_after_a_minute(tmp_path, monkeypatch):
    monkeypatch.setattr(limit, "AT_ONCE", 20)
    contents, times = scan(60)
    packets = [Frame(*each) for each in zip(times, contents, strict=True)]
    path, seen = tmp_path / "alerts", []

    def blocks():
        yield from blocks_of(packets, 500)
        for seconds in range(1, 125):
            yield tick(START + seconds * SECOND)
            seen.append((seconds, path.read_text().count('"withheld"')))

    found(path, blocks())
    # The first start that is withheld comes in the first two seconds after the rows' first one,
    # the first end a minute after its row: each is told within a minute and a second more.
    first, second = (
        next(seconds for seconds, count in seen if count == wanted) for wanted in (1, 2)
    )
    assert 61 <= first <= 64
    assert 121 <= second <= 124
