"""Evidence keeps what an alert shows of a row."""

import numpy as np
from flow_rows import rows

from sensor.alerts.event import (
    EVIDENCE,
    MEASURED_EVIDENCE,
    ROW_FLAGS,
    FlowEvidence,
    SeriesEvidence,
    evidence,
    evidence_type,
)
from sensor.flows.sequences import MEASURED_TYPES, SequenceBatch


def test_evidence_sums_packets_and_bytes_by_direction():
    batch = rows(
        {},
        {
            "source": ("fe80::1", 40_000),
            "destination": ("10.0.0.9", 443),
            "direction": [1, -1, -1, 1],
            "ip_length": [40, 1500, 1500, 65_535],
            "context": [1, 2, 3, 4, 5, 6],
            "flow_ordinal": 77,
            "row": 3,
            "sequence_index": 2,
            "end_reason": 1,
            "midstream": True,
            "start": 5,
            "last": 6,
            "decided": 7,
        },
    )
    records = evidence(batch, np.array([1, 0]), np.float32([0.75, 0.5]))
    flow = FlowEvidence.of(records[0])
    assert (flow.packets_from_originator, flow.packets_to_originator) == (2, 2)
    assert (flow.bytes_from_originator, flow.bytes_to_originator) == (65_575, 3_000)
    assert (flow.context, flow.length, flow.score) == ((1, 2, 3, 4, 5, 6), 4, 0.75)
    assert (flow.flow_ordinal, flow.row, flow.sequence_index, flow.end_reason) == (77, 3, 2, 1)
    assert (flow.flow_start_ns, flow.last_packet_ns, flow.decided_ns) == (5e9, 6e9, 7e9)
    assert (flow.source_high, flow.source_low, flow.source_port) == (0xFE80 << 48, 1, 40_000)
    assert [name for name, flag in zip(ROW_FLAGS, flow.flags, strict=True) if flag] == [
        "midstream",
        "offloaded",
    ]
    assert FlowEvidence.of(records[1]).packets_from_originator == 0


def test_evidence_has_the_order_of_the_records():
    assert FlowEvidence.__slots__ == EVIDENCE.names


def test_evidence_of_measurements_counts_failures_and_has_the_lower_median():
    batch = SequenceBatch.zeros(12, 3, MEASURED_TYPES)
    batch.length[:], batch.kind[:] = [6, 12, 2], [2, 0, 3]
    for place, (rtt, answered) in enumerate(
        [([30, 10, 0, 20, 40, 9], [1, 1, 0, 1, 1, 0]), (range(100, 112), [1] * 12), ([0, 0], [0])]
    ):
        batch.rtt[place, : len(rtt)], batch.answered[place, : len(answered)] = rtt, answered
    batch.rtt_usual[0, 4:6], batch.rtt_usual[1] = [7, 8], range(12)
    assert evidence_type(batch) == MEASURED_EVIDENCE
    records = evidence(batch, np.arange(3), np.float32([0.5, 0.6, 0.7]), evidence_type(batch))
    echo, syn, silent = map(FlowEvidence.of, records)
    assert isinstance(echo, SeriesEvidence)
    assert (echo.kind, echo.length, echo.failed, echo.median_us) == ("echo", 6, 2, 20)
    assert (echo.usual_us, syn.usual_us, silent.usual_us) == (8, 11, 0)
    assert echo.last_us == (30, 10, None, 20, 40, None)
    assert (syn.kind, syn.failed, syn.median_us) == ("syn", 0, 105)
    assert syn.last_us == tuple(range(104, 112))
    assert (silent.kind, silent.failed, silent.median_us) == ("timestamp", 2, 0)
    assert silent.last_us == (None, None)
    assert (SeriesEvidence.__slots__) == MEASURED_EVIDENCE.names[len(EVIDENCE.names) :]
    assert evidence_type(rows({})) == EVIDENCE
