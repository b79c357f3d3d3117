"""Incidents: hand-worked cases, and random streams against a plain second implementation."""

from dataclasses import fields, replace

import numpy as np
import pytest
from reference_incidents import SECOND, Limits, PlainRow, plain_incidents

from sensor.alerts import positives, task_incidents
from sensor.alerts.event import ROW_FLAGS
from sensor.alerts.incidents import IncidentTracker
from sensor.errors import BundleError
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import IncidentRule, TaskSpec

N = 4
START = 1_700_000_000 * SECOND


class Detector:
    name = "test"
    fingerprint = "f" * 64
    version, model_sha256 = "1", ""

    def __init__(self, *tasks):
        self.tasks = tasks


def task(
    open_flows=3, open_seconds=10, role="responder", threshold=0.5, service_port=0, open_rows=1
):
    rule = IncidentRule(role, open_flows, open_seconds, service_port, open_rows)
    return TaskSpec("flood", "first", threshold, 1, "signature", "category", 1, rule)


def stream(times, ordinals, addresses, **columns):
    """Rows at `times` (s after `START`) from 10.0.0.1 to the addresses (low words, IPv4)."""
    empty = SequenceBatch.empty(N)
    rows = len(times)
    values = {
        f.name: np.zeros_like(
            getattr(empty, f.name), shape=(rows, *getattr(empty, f.name).shape[1:])
        )
        for f in fields(SequenceBatch)
    }
    values["decided_ns"][:] = [START + round(time * SECOND) for time in times]
    for name in ("flow_start_ns", "first_packet_ns", "last_packet_ns"):
        values[name][:] = values["decided_ns"] - SECOND
    values["flow_ordinal"][:] = ordinals
    values["destination_low"][:] = addresses
    values["source_low"][:] = 0x0A000001
    values["version"][:] = 4
    values["length"][:] = 1
    values["flow_packets"][:] = np.arange(rows)  # a number for each row, to tell them apart
    for name, column in columns.items():
        values[name][:] = column
    return SequenceBatch(**values)


def run(batch, scores, *tasks, size=None, release=True):
    """Events of a batch fed in pieces of `size` rows; checks that they come out in order."""
    tracker = IncidentTracker(Detector(*tasks))
    scores = np.atleast_2d(np.asarray(scores, np.float32).T).T
    size = size or len(batch)
    events = []
    for start in range(0, len(batch), size):
        piece = slice(start, start + size)
        tracker.add(batch.take(piece), scores[piece])
        if release:
            clock = int(batch.decided_ns[piece][-1])
            released = tracker.release(clock)
            assert all(event.time_ns < clock for event in released)
            events += released
    events += tracker.finish()
    assert [event.order for event in events] == sorted({event.order for event in events})
    return events


def seconds(event):
    return (event.time_ns - START) / SECOND


def summary(events):
    return [(e.kind, seconds(e), e.address[2], e.flows, e.rows, e.reason) for e in events]


def test_opens_with_the_flow_that_completes_the_number_and_ends_after_a_quiet_minute():
    events = run(stream([0, 4, 9, 20], [0, 1, 2, 3], [7, 7, 7, 7]), np.ones(4), task())
    assert summary(events) == [
        ("start", 9, 7, 3, 3, ""),
        ("end", 80, 7, 4, 4, "quiet"),
    ]
    assert [e.first_packet_ns for e in events] == [START - SECOND] * 2
    assert [e.last_packet_ns for e in events] == [START + 8 * SECOND, START + 19 * SECOND]


@pytest.mark.parametrize(("last", "opens"), [(10, True), (10.000000001, False)])
def test_flows_exactly_open_seconds_apart_count_together(last, opens):
    events = run(stream([0, 5, last], [0, 1, 2], [7, 7, 7]), np.ones(3), task())
    assert bool(events) == opens


def test_a_flow_counts_once_towards_opening_and_rows_of_flows_are_counted_too():
    batch = stream([0, 1, 2, 3, 4], [0, 0, 1, 1, 2], [7] * 5)
    assert summary(run(batch, np.ones(5), task()))[0] == ("start", 4, 7, 3, 5, "")


def test_a_flow_that_is_positive_again_is_back_in_the_window():
    batch = stream([0, 9, 12, 13], [0, 0, 1, 2], [7] * 4)
    assert summary(run(batch, np.ones(4), task()))[0] == ("start", 13, 7, 3, 3, "")


@pytest.mark.parametrize(
    ("times", "ordinals", "opened"),
    [([0, 3], [0, 0], 3), ([0, 3], [0, 1], 3), ([0, 10.000000001, 11], [0, 0, 0], 11)],
)
def test_a_rule_may_ask_for_several_rows_of_one_flow_or_of_more(times, ordinals, opened):
    batch, wanted = stream(times, ordinals, [7] * len(times)), task(open_flows=1, open_rows=2)
    start, _ = run(batch, np.ones(len(times)), wanted)
    assert (start.kind, seconds(start), start.rows) == ("start", opened, 2)
    assert not run(batch.take(slice(1)), np.ones(1), wanted)


@pytest.mark.parametrize(("pause", "incidents_found"), [(60, 1), (60.000000001, 2)])
def test_a_row_exactly_at_the_end_belongs_to_the_incident(pause, incidents_found):
    batch = stream([0, pause], [0, 1], [7, 7])
    events = run(batch, np.ones(2), task(open_flows=1))
    assert [e.kind for e in events] == ["start", "end"] * incidents_found


def test_an_hour_after_it_opened_an_incident_ends_and_another_opens():
    times = [*range(0, 3601, 30), 3600.5]
    events = run(stream(times, range(len(times)), [7] * len(times)), np.ones(122), task(1))
    ends_and_starts = [entry for entry in summary(events) if entry[0] != "update"]
    assert ends_and_starts == [
        ("start", 0, 7, 1, 1, ""),
        ("end", 3600, 7, 121, 121, "longest"),
        ("start", 3600.5, 7, 1, 1, ""),
        ("end", 3660.5, 7, 1, 1, "quiet"),
    ]


@pytest.mark.parametrize(
    ("open_flows", "updates"),
    [(1, [10, 100, 1000]), (9, [10, 100, 1000]), (10, [100, 1000]), (99, [100, 1000])],
)
def test_updates_come_at_powers_of_ten_above_the_number_that_started_it(open_flows, updates):
    batch = stream(np.arange(1500) / 1000, range(1500), [7] * 1500)
    events = run(batch, np.ones(1500), task(open_flows))
    assert [e.flows for e in events if e.kind == "update"] == updates
    assert [seconds(e) for e in events if e.kind == "update"] == [(n - 1) / 1000 for n in updates]


def test_shows_the_earliest_of_the_highest_scores_and_the_first_five_flows():
    batch = stream(range(8), [0, 1, 1, 2, 3, 4, 5, 6], [7] * 8)
    *_, end = run(batch, [0.5, 0.6, 0.9, 0.9, 0.7, 0.5, 0.5, 0.5], task())
    assert (end.worst.flow_ordinal, end.worst.flow_packets) == (1, 2)
    assert end.worst.score == np.float32(0.9)
    assert [(f.flow_ordinal, f.flow_packets) for f in end.sample] == [
        (0, 0), (1, 1), (2, 3), (3, 4), (4, 5),
    ]  # fmt: skip


def test_rows_below_the_threshold_and_rows_that_do_not_count_are_nothing():
    scores = np.array([0.4999, np.nan, 0.5, 0.7], np.float32)
    events = run(stream(range(4), range(4), [7] * 4), scores, task(open_flows=2))
    assert summary(events)[0] == ("start", 3, 7, 2, 2, "")


def test_the_threshold_is_compared_in_the_precision_of_the_scores():
    events = run(stream([0], [0], [7]), np.float32([0.7]), task(1, threshold=0.7))
    assert len(events) == 2


def test_the_end_is_noticed_within_a_batch_and_in_its_place():
    batch = stream([0, 30, 200, 201], [0, 1, 2, 3], [7, 8, 8, 7])
    assert summary(run(batch, np.ones(4), task(1), release=False)) == [
        ("start", 0, 7, 1, 1, ""),
        ("start", 30, 8, 1, 1, ""),
        ("end", 60, 7, 1, 1, "quiet"),
        ("end", 90, 8, 1, 1, "quiet"),
        ("start", 200, 8, 1, 1, ""),
        ("start", 201, 7, 1, 1, ""),
        ("end", 260, 8, 1, 1, "quiet"),
        ("end", 261, 7, 1, 1, "quiet"),
    ]


def test_release_holds_back_what_may_still_be_preceded():
    tracker = IncidentTracker(Detector(task(1)))
    tracker.add(stream([5], [0], [7]), np.ones((1, 1), np.float32))
    assert tracker.release(START + 5 * SECOND) == []
    assert [e.kind for e in tracker.release(START + 5 * SECOND + 1)] == ["start"]
    assert tracker.release(START + 65 * SECOND) == []
    assert [e.kind for e in tracker.release(START + 65 * SECOND + 1)] == ["end"]
    assert tracker.finish() == []


def test_the_role_says_whose_address_it_is():
    # 10.0.0.1 asks 10.0.0.9; port 1900 belongs to nobody, the responder, the originator, both
    batch = stream(
        range(4), range(4), [0x0A000009] * 4,
        source_port=[5, 5, 1900, 1900], destination_port=[6, 1900, 6, 1900],
    )  # fmt: skip

    def found(role):
        events = run(batch, np.ones(4), task(1, role=role, service_port=1900))
        return {(e.address, e.rows) for e in events if e.kind == "end"}

    originator, responder = (4, 0, 0x0A000001), (4, 0, 0x0A000009)
    assert found("originator") == {(originator, 4)}
    assert found("responder") == {(responder, 4)}
    assert found("reflection_victim") == {(responder, 3), (originator, 1)}


def test_addresses_differ_by_version_and_by_every_word():
    batch = stream(
        [0, 0, 0, 0], range(4), [7, 7, 7, 8],
        version=[4, 6, 6, 6], destination_high=[0, 0, 1, 1],
    )  # fmt: skip
    starts = [e for e in run(batch, np.ones(4), task(1)) if e.kind == "start"]
    assert [e.address for e in starts] == [(4, 0, 7), (6, 0, 7), (6, 1, 7), (6, 1, 8)]


def test_tasks_are_independent_and_keep_their_place_in_the_order():
    batch = stream([0, 1], [0, 1], [7, 7])
    second = replace(task(1), name="other")
    events = run(batch, [[1, 0], [1, 1]], task(2), second)
    assert [(e.kind, e.task.name, e.task_index) for e in events] == [
        ("start", "flood", 0), ("start", "other", 1), ("end", "flood", 0), ("end", "other", 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flows", "window", "rows"), [(0, 1, 1), (1, 0, 1), (8193, 1, 1), (1, 1, 0), (1, 1, 8193)]
)
def test_impossible_rules_are_refused(flows, window, rows):
    with pytest.raises(BundleError, match="test: task flood"):
        IncidentTracker(Detector(task(flows, window, open_rows=rows)))


# Against the plain implementation

STEPS = [0, 0, 0, 1, SECOND // 3, SECOND, 4 * SECOND, 10 * SECOND, 10 * SECOND + 1]
PAUSES = [60 * SECOND, 60 * SECOND + 1, 59 * SECOND, 900 * SECOND]


def random_stream(seed):
    """Random rows of few addresses and flows, their scores, and the number of flows to open.

    A flow keeps its address; flows come back within `reach` flows of the newest.
    """
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 400))
    addresses, reach = ((1, 1), (2, 3), (5, 10), (40, 60))[rng.integers(4)]
    choices = STEPS + PAUSES * int(rng.integers(2))
    ordinals = np.maximum(np.arange(rows) // 2 - rng.integers(0, reach, rows), 0)
    times = np.cumsum(rng.choice(choices, rows)) / SECOND
    owner = rng.integers(0, addresses, rows)  # by flow
    batch = stream(times, ordinals, owner[ordinals])
    batch.first_packet_ns[:] -= rng.integers(0, 5, rows) * SECOND
    batch.last_packet_ns[:] -= rng.integers(0, 2, rows)
    for name in ROW_FLAGS:
        getattr(batch, name)[:] = rng.random(rows) < rng.random()
    scores = rng.choice(np.float32([0.2, 0.5, 0.5, 0.75, 0.9]), rows)
    scores[rng.random(rows) < 0.1] = np.nan
    return batch, scores, int(rng.choice([1, 2, 3, 10]))


def expected(batch, scores, chosen, limits=None):
    rows = [
        PlainRow(
            int(batch.decided_ns[i]),
            int(batch.flow_ordinal[i]),
            (4, 0, int(batch.destination_low[i])),
            float(scores[i]),
            int(batch.first_packet_ns[i]),
            int(batch.last_packet_ns[i]),
            i,
            tuple(bool(getattr(batch, name)[i]) for name in ROW_FLAGS),
        )
        for i in range(len(batch))
        if scores[i] >= chosen.threshold
    ]
    rule = chosen.incident
    return plain_incidents(rows, rule.open_flows, rule.open_seconds, rule.open_rows, limits)


def seen(events):
    return [
        {
            "kind": event.kind,
            "time": event.time_ns,
            "address": event.address,
            "first": event.first_packet_ns,
            "last": event.last_packet_ns,
            "flows": event.flows,
            "rows": event.rows,
            "flagged": event.flagged,
            "worst": event.worst.flow_packets,
            "score": event.worst.score,
            "sample": tuple(flow.flow_packets for flow in event.sample),
            "ordinal": event.flow_ordinal,
            "reason": event.reason,
        }
        for event in events
    ]


@pytest.mark.parametrize("open_seconds", [1, 10, 100])
def test_equals_the_plain_implementation_however_rows_are_batched(open_seconds):
    for seed in range(40):
        batch, scores, open_flows = random_stream(seed)
        chosen = task(open_flows, open_seconds, open_rows=(1, 2, 4)[seed % 3])
        wanted = expected(batch, scores, chosen)
        for size, release in ((1, True), (7, True), (1000, True), (7, False)):
            assert seen(run(batch, scores, chosen, size=size, release=release)) == wanted, seed


def test_equals_the_plain_implementation_at_its_limits(monkeypatch):
    monkeypatch.setattr(task_incidents, "EPOCH_ROWS", 16)
    monkeypatch.setattr(task_incidents, "REMEMBERED_ROWS", 5)
    monkeypatch.setattr(task_incidents, "OPEN_INCIDENTS", 3)
    for seed in range(60):
        batch, scores, open_flows = random_stream(seed)
        chosen = task(min(open_flows, 5), open_rows=(1, 3)[seed % 2])
        wanted = expected(batch, scores, chosen, Limits(16, 5, 3))
        for size in (1, 7, 1000):
            assert seen(run(batch, scores, chosen, size=size)) == wanted, seed


def test_flows_that_the_table_forgets_are_forgotten_however_rows_are_batched(monkeypatch):
    monkeypatch.setattr(positives, "COUNTED_FLOWS", 4)
    for seed in range(60):
        batch, scores, _ = random_stream(seed)
        one, seven, all_ = (seen(run(batch, scores, task(3), size=n)) for n in (1, 7, 1000))
        assert one == seven == all_, seed
    # Flow 4 has the place of flow 0; what opens an incident is counted exactly all the same.
    start, _ = run(stream(range(4), [0, 4, 0, 1], [7] * 4), np.ones(4), task(3))
    assert (start.flows, start.rows, len(start.sample)) == (3, 4, 3)


def test_a_flood_from_spoofed_sources_holds_no_more_than_the_limits():
    rows = 50_000
    rng = np.random.default_rng(1)
    sources = rng.permutation(rows).astype(np.uint64)
    batch = stream(np.arange(rows) / 1e5, range(rows), [7] * rows, source_low=sources)
    ones = np.ones((rows, 1), np.float32)

    patient = IncidentTracker(Detector(task(3, role="originator")))
    patient.add(batch, ones)
    held = patient._tasks[0]._remembered
    assert held.size <= task_incidents.REMEMBERED_ROWS + task_incidents.EPOCH_ROWS
    assert patient.rows_forgotten == rows - held.size
    assert patient.finish() == []

    hasty = IncidentTracker(Detector(task(1, role="originator")))
    hasty.add(batch, ones)
    held = hasty._tasks[0]._open
    assert len(held) <= task_incidents.OPEN_INCIDENTS + task_incidents.EPOCH_ROWS
    assert hasty.incidents_evicted == rows - len(held)
    events = hasty.finish()
    assert sum(event.kind == "start" for event in events) == rows
    assert sum(event.reason == "evicted" for event in events) == hasty.incidents_evicted


def test_remembered_rows_are_found_among_thousands_of_other_addresses():
    victims = np.random.default_rng(2).permutation(np.repeat(np.arange(1500), 3))
    batch = stream(np.arange(4500) / 1e3, range(4500), victims * 1_000_003)
    for size in (64, 4500):
        starts = [e for e in run(batch, np.ones(4500), task(), size=size) if e.kind == "start"]
        assert sorted(e.address[2] for e in starts) == [v * 1_000_003 for v in range(1500)]
        assert {e.flows for e in starts} == {3}


def test_many_incidents_at_once_are_each_counted_exactly():
    rows, victims = 30_000, 300
    batch = stream(np.arange(rows) / 1e4, np.arange(rows) // 2, np.arange(rows) // 2 % victims)
    ends = [e for e in run(batch, np.ones(rows), task(), size=4099) if e.kind == "end"]
    assert {(e.flows, e.rows) for e in ends} == {(rows // 2 // victims, rows // victims)}
    assert len(ends) == victims


@pytest.mark.parametrize("size", [1, 2, 8])
def test_a_sequence_that_is_scored_again_counts_once(size):
    # flows 0 and 1 are positive early, then again when silence ends them; flow 2 only then
    times, ordinals = [0, 0, 0, 121, 121, 121], [0, 1, 2, 0, 1, 2]
    batch = stream(times, ordinals, [7] * 6, row=[0, 0, 0, 1, 1, 1])
    events = run(batch, [1, 1, 0, 1, 1, 1], task(open_flows=2), size=size)
    assert summary(events) == [("start", 0, 7, 2, 2, ""), ("end", 60, 7, 2, 2, "quiet")]
    events = run(batch, [1, 1, 0, 1, 1, 1], task(open_flows=1), size=size)
    assert summary(events)[-2:] == [("start", 121, 7, 1, 1, ""), ("end", 181, 7, 1, 1, "quiet")]


def test_another_stream_begins_with_nothing_but_the_counters(monkeypatch):
    monkeypatch.setattr(task_incidents, "EPOCH_ROWS", 4)
    monkeypatch.setattr(task_incidents, "REMEMBERED_ROWS", 3)
    tracker = IncidentTracker(Detector(task(3)))
    first = stream([0, 1, 2, 3, 4], range(5), [7, 1, 2, 3, 7])
    tracker.add(first, np.ones((5, 1), np.float32))
    assert (tracker.finish(), tracker.rows_forgotten) == ([], 1)
    tracker.restart()
    # The flows of the first stream are in no window of the second, though its times lie before.
    second = stream([-20, 3, 3], [5, 6, 7], [7, 7, 7])
    tracker.add(second, np.ones((3, 1), np.float32))
    assert (tracker.finish(), tracker.rows_forgotten) == ([], 1)


def test_doubtful_rows_are_counted_whether_they_came_before_or_after_the_opening():
    saturated = [True, False, True, True]
    batch = stream([0, 1, 2, 3], range(4), [7] * 4, context_saturated=saturated)
    for size in (1, 2, 4):
        start, end = run(batch, np.ones(4), task(3), size=size)
        flagged = [dict(zip(ROW_FLAGS, event.flagged, strict=True)) for event in (start, end)]
        assert [each.pop("context_saturated") for each in flagged] == [2, 3]
        assert {count for each in flagged for count in each.values()} == {0}


def test_later_sequences_of_a_flow_count_each():
    batch = stream([0, 70, 140], [0, 0, 0], [7] * 3, row=[0, 1, 2], sequence_index=[0, 1, 2])
    assert [e.kind for e in run(batch, np.ones(3), task(open_flows=1))] == ["start", "end"] * 3
