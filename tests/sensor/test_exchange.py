"""Detectors that are exchanged in a run: no row lost, none scored twice, each by the right one."""

import random
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from blocks import headers_of
from traffic import Mixture, random_packets

from sensor.alerts.incidents import IncidentTracker
from sensor.exchange import BOUNDARIES, Lanes
from sensor.flows.table import FlowTable
from sensor.lane import Lane, Watch
from sensor.model.schema import FeatureSchema, IncidentRule, TaskSpec
from sensor.pipeline import Decided, Detection, decide

SCHEMA = FeatureSchema(lengths=(4,), idle_timeout_ms=5_000)
OTHER = replace(SCHEMA, lengths=(8,))
EVERY_ROW = TaskSpec("any", "repeat", 0.5, 7, "any", "any", 1, IncidentRule("responder", 1, 1))
BUSY = Mixture(hosts=4, ports=40)


class Seen:
    """A detector to which every row is positive; it keeps what it looked at."""

    fingerprint, tasks = "", (EVERY_ROW,)

    def __init__(self, version):
        self.name, self.version, self.model_sha256 = "seen", str(version), f"{version:064d}"
        self.rows = []

    def score(self, batch):
        self.rows += [
            (ordinal, row, first, at)
            for ordinal, row, first, at in zip(
                batch.flow_ordinal.tolist(),
                batch.row.tolist(),
                batch.first_packet_ns.tolist(),
                batch.decided_ns.tolist(),
                strict=True,
            )
        ]
        return np.ones((len(batch), 1), np.float32)


def watch(detector):
    return Watch(detector, IncidentTracker(detector))


def run(packets, size, exchanges, schemas=(SCHEMA,)):
    """Detects with another detector after each of the numbered blocks.

    Returns the detectors, the boundaries between them, the events and the lanes.
    """
    detectors = [Seen(0)]
    lanes = Lanes([Lane(FlowTable(schemas[0]), detectors[:1])])
    boundaries = []

    def blocks():
        for place, start in enumerate(range(0, len(packets), size)):
            for _ in range(exchanges.count(place)):
                number = len(detectors)
                detectors.append(Seen(number))
                lanes.exchange([(schemas[number % len(schemas)], [watch(detectors[-1])])])
                boundaries.append(lanes._boundaries[-1])
            yield headers_of(packets[start : start + size]), 0

    detection, events = Detection(lanes), []
    for decided in decide(blocks(), lanes):
        events += detection.take(decided)
    return detectors, boundaries, events, lanes


def rows_of(detectors):
    return Counter(row for detector in detectors for row in detector.rows)


@pytest.mark.parametrize("size", [1, 50, 400])
def test_every_row_is_looked_at_once_however_often_detectors_are_exchanged(size):
    packets = random_packets(11, 2_000, BUSY)
    (alone,), _, _, _ = run(packets, size, [])
    chance = random.Random(size)
    places = sorted(chance.choices(range(1, len(packets) // size), k=6))
    detectors, boundaries, _, lanes = run(packets, size, places)
    assert rows_of(detectors) == rows_of([alone])
    assert max(rows_of(detectors).values()) == 1
    assert sum(bool(detector.rows) for detector in detectors) > 2
    # each by the one that was in force when the row began, unless too many came after it
    for number, detector in enumerate(detectors):
        for _, _, first_ns, at_ns in detector.rows:
            in_force = sum(first_ns > each.clock_ns for each in boundaries)
            assert number >= in_force
            assert number == in_force or at_ns > boundaries[in_force].until_ns
    assert lanes.counts()["flows"] == sum(row == 0 for _, row, _, _ in rows_of([alone]))


def test_a_row_waits_for_its_detector_as_long_as_flows_are_idle():
    packets = random_packets(3, 1_200, BUSY)
    detectors, (boundary,), _, _ = run(packets, 100, [6])
    assert boundary.until_ns - boundary.clock_ns == SCHEMA.idle_timeout_ms * 10**6
    old = [(first, at) for _, _, first, at in detectors[0].rows if at >= boundary.clock_ns]
    assert old
    assert all(first <= boundary.clock_ns and at <= boundary.until_ns for first, at in old)


def test_more_exchanges_than_boundaries_leave_no_more_detectors_waiting():
    packets = random_packets(3, 1_200, BUSY)
    most = 0
    detectors = [Seen(k) for k in range(9)]
    lanes = Lanes([Lane(FlowTable(SCHEMA), detectors[:1])])

    def blocks():
        for place, start in enumerate(range(0, len(packets), 50)):
            if 4 <= place < 12:
                lanes.exchange([(SCHEMA, [watch(detectors[place - 3])])])
            yield headers_of(packets[start : start + 50]), 0

    detection = Detection(lanes)
    for decided in decide(blocks(), lanes):
        detection.take(decided)
        if isinstance(decided, Decided):
            most = max(most, len(decided.lane.watches))
    (alone,), _, _, _ = run(packets, 50, [])
    assert most == BOUNDARIES + 1
    assert rows_of(detectors) == rows_of([alone])


def test_incidents_end_with_their_detector_and_events_name_theirs():
    packets = random_packets(11, 2_000, BUSY)
    _, (boundary,), events, lanes = run(packets, 50, [20])
    assert [event.order for event in events] == sorted(event.order for event in events)
    open_then = {}
    for event in events:
        assert event.model_sha256 == f"{int(event.version):064d}"
        key = (event.version, event.address)
        if event.kind == "start":
            assert key not in open_then
            open_then[key] = event
        elif event.kind == "end":
            began = open_then.pop(key)
            assert began.opened_ns == event.opened_ns
            wanted = {"reload"} if event.version == "0" and event.time_ns > boundary.clock_ns else {
                "quiet", "longest"}  # fmt: skip
            assert event.reason in wanted
    assert not open_then
    assert {event.version for event in events} == {"0", "1"}
    assert lanes.counts()["incidents_evicted"] == 0


def test_other_features_begin_with_a_table_of_their_own_and_the_old_one_goes():
    packets = random_packets(11, 2_000, BUSY)
    detectors, (boundary,), events, lanes = run(packets, 50, [4], (SCHEMA, OTHER))
    old, new = detectors
    assert {event.version for event in events} == {"0", "1"}
    assert all(first <= boundary.clock_ns for _, _, first, _ in old.rows)
    assert all(first > boundary.clock_ns for _, _, first, _ in new.rows)
    assert [lane.table.schema for lane in lanes] == [OTHER]
    (alone,), _, _, _ = run(packets, 50, [])
    began = [
        row for row in alone.rows if row[2] <= boundary.clock_ns and row[3] <= boundary.until_ns
    ]
    assert Counter(old.rows) == Counter(began)
    assert int(lanes.decided().sum()) >= len(old.rows) + len(new.rows)


def test_an_exchange_survives_a_clock_that_is_set_back():
    packets = random_packets(8, 900, BUSY)
    stepped = packets[:600] + [(time - 3_600 * 10**9, packet) for time, packet in packets[600:]]
    (alone,), _, _, _ = run(stepped, 50, [])
    for place in (9, 11, 12, 13):
        detectors, _, _, lanes = run(stepped, 50, [place])
        assert rows_of(detectors) == rows_of([alone])
        assert lanes.counts()["clock_steps"] == 1
        detectors, _, _, lanes = run(stepped, 50, [place], (SCHEMA, OTHER))
        assert len(lanes.running) == 1
        assert detectors[1].rows


def test_what_is_in_force_and_wanted_again_goes_on_as_it_is():
    lanes = Lanes([Lane(FlowTable(SCHEMA), [Seen(0), Seen(1)])])
    first, second = lanes.watches
    lanes.exchange([(SCHEMA, [first, second])])
    assert list(lanes.changes()) == []
    third = watch(Seen(2))
    lanes.exchange([(SCHEMA, [second, third])])
    (change,) = lanes.changes()
    assert (change.ended, [each for _, each in change.begun]) == ((first,), [third])
    assert lanes.watches == (second, third)


def test_counts_that_are_asked_for_while_lanes_go_are_not_twice_theirs():
    _, _, _, lanes = run(random_packets(8, 900, BUSY), 50, [])
    (first,) = lanes
    lanes.exchange([(OTHER, [watch(Seen(1))])])
    second = lanes.running[0]
    before, answers = lanes.counts(), []
    asking = threading.Thread(target=lambda: answers.append(lanes.counts()))

    class Asked:
        """A table behind whose first counter another thread asks for all of them."""

        def __init__(self, table):
            self.table = table

        def __getattr__(self, name):
            if not asking.ident:
                asking.start()
                asking.join(0.2)  # it answers meanwhile, or waits until the lane is gone
            return getattr(self.table, name)

    second.table = Asked(second.table)
    lanes.forget([first, second])
    asking.join()
    assert before["looked_at"] > 100
    assert answers[0]["looked_at"] == lanes.counts()["looked_at"] == before["looked_at"]
