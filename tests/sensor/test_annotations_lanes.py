"""What is said of flows in blocks of any size, while detectors and clocks change."""

from collections import Counter

import numpy as np
import pytest
from blocks import headers_of
from flow_rows import rows
from traffic import Mixture, flood_packets, random_packets

from sensor.alerts.incidents import IncidentTracker
from sensor.annotations.flow_event import END, PREDICTION
from sensor.exchange import Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane, Watch
from sensor.model.schema import AnnotationSpec, FeatureSchema
from sensor.pipeline import Decided, Detection, decide

SCHEMA = FeatureSchema(lengths=(4, 8), idle_timeout_ms=5_000, policies=("first",))
OTHER = FeatureSchema(lengths=(4, 6), idle_timeout_ms=5_000, policies=("first",))
SIZE = AnnotationSpec("size", ("small", "large"), 3, 0.0, "bandwidth", (20_000.0,))
BUSY = Mixture(hosts=4, ports=40)


class Says:
    """A detector without binary tasks: which class depends on the flow's number and itself."""

    model_sha256 = fingerprint = ""
    tasks, annotations = (), (SIZE,)

    def __init__(self, version):
        self.name, self.version = "says", str(version)

    def look(self, batch):
        best = (batch.flow_ordinal + int(self.version)) % 2
        columns = np.where(best[:, None] == np.arange(2), 0.75, 0.25).astype(np.float32)
        columns[(batch.length < 3) | (batch.sequence_index > 0)] = np.nan
        return columns


class Silent:
    """A detector that says nothing of flows."""

    name, version, model_sha256, fingerprint, tasks = "silent", "0", "", "", ()

    def score(self, batch):
        return np.zeros((len(batch), 0), np.float32)


def watch(detector, *, shadow=False):
    return Watch(detector, IncidentTracker(detector), shadow)


def run(packets, size, detector, exchanged=None, schema=SCHEMA):
    """Detects; `exchanged` are watches that are in force after the numbered blocks, of `schema`.

    Returns all events as (stream, who, event), and the lanes.
    """
    lanes = Lanes([Lane(FlowTable(SCHEMA), [detector])])

    def blocks():
        for place, start in enumerate(range(0, len(packets), size)):
            if exchanged and place in exchanged:
                lanes.exchange([(schema, [exchanged[place]])])
            yield headers_of(packets[start : start + size]), 0

    detection, events = Detection(lanes, flow_events=True), []
    for decided in decide(blocks(), lanes):
        detection.take(decided)
        events += [(detection.stream, *each) for each in detection.take_flow_events()]
    return events, lanes


def plain(events):
    return [(stream, by.version, event) for stream, by, event in events]


@pytest.mark.parametrize("size", [1, 50, 700])
def test_events_do_not_depend_on_the_size_of_blocks_and_are_in_order(size):
    packets = random_packets(11, 1_500, BUSY)
    told, _ = run(packets, size, Says(0))
    whole, lanes = run(packets, 1_500, Says(0))
    assert plain(told) == plain(whole)
    order = [(event.time_ns, event.flow_ordinal, event.kind) for _, _, event in told]
    assert order == sorted(order)
    ends = Counter(event.flow_ordinal for _, _, event in told if event.kind == END)
    assert set(ends.values()) == {1}
    predictions = Counter(event.flow_ordinal for _, _, event in told if event.kind == PREDICTION)
    assert predictions.keys() <= ends.keys()
    assert max(predictions.values()) == 2
    (annotator,) = [each.annotator for each in lanes.watches]
    assert annotator.predicted == annotator.ended == len(ends) > 100
    assert annotator.open == annotator.forgotten == 0


def test_a_detector_that_is_replaced_answers_for_what_it_has_said():
    packets = random_packets(11, 3_000, BUSY)
    second = watch(Says(1))
    events, lanes = run(packets, 100, first := Says(0), {15: second})
    spoken = set()
    for _, by, event in events:
        assert event.told == [(event.flow_ordinal + int(by.version)) % 2]
        if event.kind == END:
            assert event.flow_ordinal not in spoken  # of each flow one of them tells the end
            spoken.add(event.flow_ordinal)
    of_first = [event for _, by, event in events if by is first and event.kind == END]
    of_second = [event for _, by, event in events if by is second.detector and event.kind == END]
    assert len(of_first) > 50
    # Its flows end after the exchange too, for as long as it waits for rows.
    until_ns = second.since.clock_ns
    assert any(event.time_ns > until_ns for event in of_first)
    annotator = second.annotator
    assert annotator.ended == len(of_second) == annotator.predicted > 50
    # The table goes on counting, so what began under the second one is known whole.
    assert any(event.whole for event in of_second)
    assert lanes.watches == (second,)


def test_one_that_comes_to_a_table_that_kept_no_ends_gets_them_from_then_on():
    packets = random_packets(11, 3_000, BUSY)
    coming = watch(Says(1))
    events, lanes = run(packets, 100, Silent(), {10: coming})
    assert lanes.watches == (coming,)
    alone, _ = run(packets, 100, Says(1))
    since_ns = coming.since.clock_ns
    later = [each for each in plain(events) if each[2].flow_start_ns > since_ns]
    assert later == [each for each in plain(alone) if each[2].flow_start_ns > since_ns]
    assert any(event.whole for _, _, event in later)
    older = [event for _, _, event in events if event.flow_start_ns <= since_ns]
    assert not any(event.whole for event in older)  # not all of their packets were counted
    annotator = coming.annotator
    assert annotator.predicted == annotator.ended + annotator.open + annotator.forgotten
    assert annotator.ended > 100


def test_another_table_begins_while_the_old_one_goes_on_and_the_order_holds():
    packets = random_packets(11, 3_000, BUSY)
    second = watch(Says(1))
    events, lanes = run(packets, 100, first := Says(0), {15: second}, OTHER)
    for detector in (first, second.detector):
        kinds = Counter(event.kind for _, by, event in events if by is detector)
        assert min(kinds[PREDICTION], kinds[END]) > 30
    order = [(event.time_ns, by.name, event.flow_ordinal, event.kind) for _, by, event in events]
    assert order == sorted(order)
    last_of_first = max(event.time_ns for _, by, event in events if by is first)
    assert second.since.clock_ns < last_of_first <= second.since.until_ns
    assert lanes.watches == (second,)


def test_a_shadow_measures_itself_and_is_not_heard():
    packets = random_packets(11, 1_500, BUSY)
    events, lanes = run(packets, 100, Silent(), {2: watch(Says(0), shadow=True)})
    (shadow,) = [each for each in lanes.watches if each.shadow]
    assert events == []
    assert shadow.annotator.ended > 50
    assert shadow.annotator.tallies[0].confusion.sum() == shadow.annotator.ended


def test_where_the_clock_is_set_back_flows_end_and_nothing_is_carried_over():
    packets = random_packets(11, 1_500, BUSY)
    back = 3_600 * 10**9
    later = [(time_ns - back, packet) for time_ns, packet in packets]
    alone, _ = run(packets, 100, Says(0))
    events, lanes = run([*packets, *later], 100, Says(0))
    (annotator,) = [each.annotator for each in lanes.watches]
    assert annotator.forgotten == annotator.open == 0
    assert {stream for stream, _, _ in events} == {0, 1}
    first = [event for stream, _, event in events if stream == 0]
    assert len(first) >= len(alone)  # with the 63 packets before the step was told
    second = [event.time_ns for stream, _, event in events if stream == 1]
    assert second == sorted(second)
    assert annotator.ended == sum(event.kind == END for _, _, event in events)


def test_of_a_flood_no_end_goes_further_than_the_table():
    packets = [*flood_packets(3_000, 1_000), *random_packets(11, 500, BUSY)]
    lanes = Lanes([Lane(FlowTable(SCHEMA), [Says(0)])])
    blocks = [(headers_of(packets), 0)]
    ends = [each.ends for each in decide(iter(blocks), lanes) if isinstance(each, Decided)]
    packets_of_ends = np.concatenate([each.packets.sum(axis=1) for each in ends])
    assert packets_of_ends.min() == 3
    assert packets_of_ends.size < 500
    none = Lanes([Lane(FlowTable(SCHEMA), [Silent()])])
    assert not any(len(each.ends) for each in decide(iter(blocks), none))
    assert not none.running[0].table.keeps_ends


def test_flows_whose_ends_were_shed_are_forgotten_when_the_clock_is_set_back():
    lane = Lane(FlowTable(SCHEMA), [Says(0)])
    lane.detect(rows({"direction": [1, -1, 1]}, {"direction": [1], "flow_ordinal": 1}), 10)
    (says,) = lane.watches
    assert (says.annotator.predicted, says.annotator.open) == (1, 1)
    lane.restart()
    assert (says.annotator.open, says.annotator.forgotten) == (0, 1)
