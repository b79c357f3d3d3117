"""Evidence keeps what an alert shows of a row."""

import numpy as np
from flow_rows import rows

from sensor.alerts.event import EVIDENCE, ROW_FLAGS, FlowEvidence, evidence


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
