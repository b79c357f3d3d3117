"""The counting rule: 30 new flows a second to one address."""

import frames
import numpy as np
import pytest
from flow_rows import rows

from sensor.alerts.incidents import IncidentTracker
from sensor.alerts.rule import CountingRule
from sensor.capture.formats import open_capture
from sensor.flows.table import FlowTable
from sensor.model.schema import KEYS, FeatureSchema
from sensor.packets.decode import Decoder

SECOND = 10**9


def test_thirty_with_the_present_flow_are_too_many():
    rule = CountingRule(FeatureSchema())
    batch = rows(*({"context": [0, 0, 0, 0, others, 0]} for others in (0, 28, 29, 1000)))
    scores = rule.score(batch)
    assert scores.shape == (4, 1)
    assert scores.dtype == np.float32
    assert (scores[:, 0] >= rule.tasks[0].threshold).tolist() == [False, False, True, True]
    assert scores[:, 0].tolist() == pytest.approx([1 / 31, 29 / 59, 1 / 2, 1001 / 1031])


def test_only_the_first_row_of_a_flow_counts():
    full = {"context": [0, 0, 0, 0, 99, 0]}
    scores = CountingRule(FeatureSchema()).score(rows({**full, "row": 0}, {**full, "row": 1}))
    assert np.isnan(scores[:, 0]).tolist() == [False, True]


def test_needs_context_of_connections_and_its_fingerprint_covers_the_features():
    for schema in (FeatureSchema(context=()), *(FeatureSchema(key=key) for key in KEYS[1:])):
        with pytest.raises(ValueError, match="connections with context"):
            CountingRule(schema)
    rule, other = CountingRule(FeatureSchema()), CountingRule(FeatureSchema(decide_after_ms=500))
    assert rule.fingerprint != other.fingerprint
    assert len(rule.fingerprint) == 64


def test_a_flood_on_the_wire_becomes_one_incident_and_slow_traffic_none(tmp_path):
    # 10.0.0.3 gets a SYN every 10 ms for 2 s, 10.0.0.4 one every 50 ms.
    sent = [(k * SECOND // 100, "10.0.0.3", k) for k in range(200)]
    sent += [(k * SECOND // 20 + 1, "10.0.0.4", k) for k in range(40)]
    sent.sort()
    path = tmp_path / "flood.pcap"
    packets = [
        frames.tcp_frame("10.0.0.1", 1024 + k, victim, 80, flags=0x02) for _, victim, k in sent
    ]
    path.write_bytes(frames.pcap_bytes(packets, [SECOND + time for time, _, _ in sent]))

    schema = FeatureSchema()
    table, decoder, rule = FlowTable(schema), Decoder(), CountingRule(schema)
    tracker = IncidentTracker(rule)
    source = open_capture(path)
    batches = [table.add(decoder.decode(block)) for block in source]
    source.close()
    for batch in [*batches, *table.finish()]:
        tracker.add(batch, rule.score(batch))
    events = tracker.finish()

    assert {event.address for event in events} == {(4, 0, 0x0A000003)}
    assert [(e.kind, e.flows) for e in events] == [
        ("start", 1), ("update", 10), ("update", 100), ("end", 171),
    ]  # fmt: skip
    # The 30th flow begins 290 ms after the first and is decided a second later.
    assert events[0].first_packet_ns == pytest.approx(1.29 * SECOND, abs=1000)
    assert events[0].time_ns == pytest.approx(2.29 * SECOND, abs=1000)
