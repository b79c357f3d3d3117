"""Rows that an incident has kept, as JSON (`docs/evidence.md`), by EVE's keys where it has some."""

import json
from typing import Any

import numpy as np

from sensor.alerts.eve import flow_id, flow_tuple, timestamp
from sensor.alerts.event import ROW_FLAGS, FlowEvidence, SeriesEvidence
from sensor.alerts.kept_rows import WHY, KeptRows
from sensor.flows.sequences import CONTEXT_COLUMNS, END_REASONS
from sensor.model.schema import PEER_LATENCY, FeatureSchema

FORMAT = 1

COLUMNS = ("time_us", "direction", "ip_length", "payload_length", "tcp_flags")
"""What there is of each packet, first; columns that a schema adds stand behind them.

``time_us`` is the time since the row's first packet, with gaps as the model sees them: whole
microseconds, at most 60 s, and 0 where the packet is older than one before it.
"""


def columns(schema: FeatureSchema) -> tuple[str, ...]:
    """What there is of each packet of a schema's rows, or of each measurement."""
    return schema.optional if schema.key == PEER_LATENCY else (*COLUMNS, *schema.optional)


def document(kept: KeptRows, line: bytes) -> bytes:
    """The content of a file of evidence.

    Args:
        kept: rows of the incident.
        line: of the alert log, that told of it last.
    """
    rows = [
        {"why": [name for name, wanted in zip(WHY, why, strict=True) if wanted], **_row(record)}
        for record, why in zip(kept.records, kept.why().tolist(), strict=True)
    ]
    rest = {
        "features": kept.schema.to_manifest(),
        "columns": columns(kept.schema),
        "seen": kept.seen,
        "rows": rows,
    }
    text = json.dumps(rest, separators=(",", ":"), allow_nan=False)
    head = f'{{"format":{FORMAT},"alert":'.encode()
    return head + line.rstrip(b"\n") + b"," + text[1:].encode("ascii") + b"\n"


def _row(record: Any) -> dict[str, Any]:
    flow = FlowEvidence.of(record)
    packets = record["packets"][: flow.length]
    row = {
        "score": float(str(record["score"])),  # the shortest digits that give the float32 again
        "flow_id": flow_id(flow),
        **flow_tuple(flow),
        "start": timestamp(flow.flow_start_ns),
        "first_packet": timestamp(flow.first_packet_ns),
        "sequence_index": flow.sequence_index,
        "row": flow.row,
        "end_reason": END_REASONS[flow.end_reason],
    }
    if isinstance(flow, SeriesEvidence):
        return {**row, "kind": flow.kind, "measurements": packets.tolist()}
    # The first packet's gap lies before the row.
    times = np.concatenate([[0], np.cumsum(packets["interarrival_us"][1:], dtype=np.int64)])
    names = (*COLUMNS[1:], *(packets.dtype.names or ())[len(COLUMNS) :])
    return {
        **row,
        "context": dict(zip(CONTEXT_COLUMNS, flow.context, strict=True)),
        "quality": dict(zip(ROW_FLAGS, flow.flags, strict=True)),
        "interarrival_us": int(packets["interarrival_us"][0]),
        "packets": [
            [time, *values]
            for time, *values in zip(
                times.tolist(), *(packets[name].tolist() for name in names), strict=True
            )
        ],
    }
