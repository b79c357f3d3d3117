"""Evidence in incidents: whose rows are kept, with their packets, within the bound."""

from dataclasses import replace

import numpy as np
import pytest
from test_incidents import Detector, N, stream, task

from sensor.alerts import evidence, positives, task_incidents
from sensor.alerts.event import EVIDENCE, FlowEvidence, with_packets
from sensor.alerts.incidents import IncidentTracker
from sensor.flows.rows import packet_type
from sensor.model.schema import FeatureSchema

SCHEMA = FeatureSchema(lengths=(N,))
PACKETS = ("ip_length", "payload_length", "interarrival_us", "direction", "tcp_flags")


def told(batch, scores, *tasks, size=None, schema=SCHEMA):
    """Events of a batch that is fed in pieces of `size` rows."""
    tracker = IncidentTracker(Detector(*tasks), schema=schema)
    scores = np.atleast_2d(np.asarray(scores, np.float32).T).T
    events = []
    for start in range(0, len(batch), size or len(batch)):
        piece = slice(start, start + (size or len(batch)))
        tracker.add(batch.take(piece), scores[piece])
        events += tracker.release(int(batch.decided_ns[piece][-1]))
    return tracker, [*events, *tracker.finish()]


def noise(rows, seed, addresses=6, span=100):
    """Rows of random packets to a few addresses."""
    random = np.random.default_rng(seed)
    columns = {
        "length": random.integers(1, N + 1, rows),
        "row": random.integers(0, 2, rows),
        "context": random.integers(0, 90, (rows, 6)),
        **{name: random.integers(1, 100, (rows, N)) for name in PACKETS},
    }
    times = np.sort(random.uniform(0, span, rows))
    to = random.integers(0, addresses, rows)
    return stream(times, np.arange(rows), to, **columns), random.uniform(0.3, 1, rows)


def summary(events):
    """What is kept of each ended incident, as plain values."""
    ends = [event for event in events if event.kind == "end"]
    assert all(event.kept.seen == event.rows for event in ends)
    return [
        (event.task_index, event.address, event.kept.records.tobytes(), event.kept.why().tolist())
        for event in ends
    ]


@pytest.mark.parametrize("size", [1, 64, 5000])
def test_what_is_kept_does_not_depend_on_batches(size):
    batch, scores = noise(3_000, 5, span=400)
    wanted = task(open_flows=3), task(open_flows=1, role="originator")
    scores = np.stack([scores, scores[::-1]], axis=1)
    _, events = told(batch, scores, *wanted, size=size)
    _, together = told(batch, scores, *wanted, size=777)
    assert summary(events) == summary(together)
    assert len(summary(events)) >= 7


@pytest.mark.parametrize("size", [None, 1])
def test_rows_that_open_an_incident_keep_their_packets(size):
    batch, _ = noise(10, 1, addresses=1, span=5)
    _, (_, end) = told(batch, np.ones(10), task(open_flows=10), size=size)
    assert end.rows == len(end.kept) == 10
    for place, record in enumerate(end.kept.records):
        assert record["flow_ordinal"] == place
        for name in PACKETS:
            assert record["packets"][name].tolist() == getattr(batch, name)[place].tolist()


def test_nothing_is_kept_unless_it_is_asked_for_and_events_are_the_same():
    batch, scores = noise(500, 2)
    _, without = told(batch, scores, task(), schema=None)
    _, kept = told(batch, scores, task())
    assert without == kept
    assert {event.kept for event in without} == {None}


@pytest.mark.parametrize(
    ("to", "left"),
    [
        # After the 8th row, 1 (silent since the 4th) and 2 hold 4 each; 1 must go.
        ([1] * 4 + [2] * 4 + [3] * 2, {1: (0, True), 2: (4, False), 3: (2, False)}),
        # After the 16th, 2 (silent since the 8th) and 3; 1 has had rows again, and keeps none.
        ([1] * 4 + [2] * 4 + [3] * 6 + [1] * 2, {1: (0, True), 2: (0, True), 3: (6, False)}),
    ],
)
@pytest.mark.parametrize("size", [None, 1, 3])
def test_the_open_incident_that_is_silent_for_longest_gives_its_rows_up(
    to, left, size, monkeypatch
):
    monkeypatch.setattr(task_incidents, "EPOCH_ROWS", 8)
    monkeypatch.setattr(evidence, "TASK_BYTES", 6 * with_packets(SCHEMA).itemsize)
    batch = stream(range(len(to)), range(len(to)), to)
    tracker, events = told(batch, np.ones(len(to)), task(open_flows=1), size=size)
    ends = {event.address[2]: event for event in events if event.kind == "end"}
    found = {key: (len(event.kept), event.kept.given_up) for key, event in ends.items()}
    assert found == left
    assert tracker.evidence_given_up == sum(given_up for _, given_up in left.values())
    assert {key: event.rows for key, event in ends.items()} == {key: to.count(key) for key in left}


def test_memory_stays_within_the_bound_whatever_the_traffic():
    rows = 3 * task_incidents.EPOCH_ROWS
    batch, _ = noise(rows, 3, addresses=1_000, span=50)
    tracker = IncidentTracker(Detector(task(open_flows=1)), schema=SCHEMA)
    tracker.add(batch, np.ones((rows, 1), np.float32))
    (of_task,) = tracker._tasks
    held = sum(incident.kept.records.nbytes for incident in of_task._open.values())
    assert 0.9 * evidence.TASK_BYTES < held <= evidence.TASK_BYTES
    holding = sum(len(incident.kept) > 0 for incident in of_task._open.values())
    assert tracker.evidence_given_up + holding == 1_000


def test_a_record_with_packets_is_the_evidence_that_an_alert_shows():
    batch, scores = noise(5, 4)
    rows, scores = np.arange(5), scores.astype(np.float32)
    schema = replace(SCHEMA, fields=(*SCHEMA.fields, "ttl"))
    wide = with_packets(schema)
    assert wide["packets"].shape == (N,)
    assert wide["packets"].base == packet_type(("ttl",))
    records = positives.evidence(batch, rows, scores, with_packets(SCHEMA))
    plain = positives.evidence(batch, rows, scores)
    assert list(map(FlowEvidence.of, records)) == list(map(FlowEvidence.of, plain))
    assert plain.dtype == EVIDENCE
