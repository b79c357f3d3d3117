"""What a file of evidence says of a row, against values that were put in by hand."""

import json

import numpy as np
from test_evidence import SCHEMA, told
from test_incidents import START, stream, task

from sensor.alerts.eve import Options, line
from sensor.alerts.eve import document as alert
from sensor.alerts.evidence_document import document

PACKETS = {
    "ip_length": [[60, 52, 1500, 0]],
    "payload_length": [[0, 0, 1448, 0]],
    "interarrival_us": [[70, 1_000, 2_500, 0]],
    "direction": [[1, -1, 1, 0]],
    "tcp_flags": [[2, 18, 24, 0]],
}


def test_a_row_is_told_with_its_packets_and_no_padding():
    batch = stream(
        [1.5], [7], [9], length=3, row=2, sequence_index=4, end_reason=3, context=[range(6)],
        midstream=True, protocol=6, source_port=1234, destination_port=80, **PACKETS,
    )  # fmt: skip
    wanted = task(open_flows=1)
    start, end = told(batch, [0.7], wanted)[1]
    read = json.loads(document(end.kept, line(start, Options())))
    assert list(read) == ["format", "alert", "features", "columns", "seen", "rows"]
    assert (read["format"], read["seen"]) == (1, 1)
    assert read["features"] == SCHEMA.to_manifest()
    assert read["columns"] == ["time_us", "direction", "ip_length", "payload_length", "tcp_flags"]
    (row,) = read["rows"]
    assert np.float32(row.pop("score")) == np.float32(0.7)
    assert row.pop("flow_id") == alert(start, Options())["flow_id"]
    names = ("srv_1s", "srv_10s", "src_1s", "src_10s", "dst_1s", "dst_10s")
    assert START == 1_700_000_000 * 10**9
    assert row == {
        "why": ["first", "highest", "sampled"],
        "src_ip": "10.0.0.1",
        "src_port": 1234,
        "dest_ip": "0.0.0.9",
        "dest_port": 80,
        "proto": "TCP",
        "start": "2023-11-14T22:13:20.500000+0000",
        "first_packet": "2023-11-14T22:13:20.500000+0000",
        "sequence_index": 4,
        "row": 2,
        "end_reason": "idle",
        "context": dict(zip(names, range(6), strict=True)),
        "quality": {"midstream": True, "context_saturated": False, "offloaded": False},
        "interarrival_us": 70,
        "packets": [[0, 1, 60, 0, 2], [1_000, -1, 52, 0, 18], [3_500, 1, 1500, 1448, 24]],
    }
