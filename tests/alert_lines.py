"""Lines of an alert log, written down by hand as `docs/alerts.md` describes them."""

import json
from datetime import datetime, timedelta, timezone

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def written(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f+0000")


def alert_line(
    second=0.0,
    event="start",
    task="syn_dos",
    address="10.0.0.2",
    *,
    alert_id="00000000000000a1",
    severity=2,
    role="victim",
    score=0.9,
    flows=20,
    model="iot-gateway",
    began=None,
    lasted=2.0,
    source="10.9.0.1",
    sample=(),
    reason=None,
    **more,
):
    """An event of an incident, so many seconds after `NOON`; with its newline."""
    time = NOON + timedelta(seconds=second)
    first = NOON + timedelta(seconds=second if began is None else began)
    multa = {
        "alert_id": alert_id,
        "event": event,
        "task": task,
        "role": role,
        "address": address,
        "score": score,
        "threshold": 0.5,
        "flows": flows,
        "rows": flows + 1,
        "first_packet": written(first),
        "last_packet": written(first + timedelta(seconds=lasted)),
        "sample": [
            {"src_ip": each, "dest_ip": address, "proto": "TCP", "score": 0.8} for each in sample
        ],
        "model": {"name": model, "version": "3", "sha256": "ab" * 32},
        "features": {"fingerprint": "cd" * 32},
        **({"reason": reason} if reason else {}),
        **more,
    }
    document = {
        "timestamp": written(time),
        "event_type": "alert",
        "src_ip": source,
        "dest_ip": address,
        "proto": "TCP",
        "alert": {
            "signature": f"MULTA {task}",
            "severity": severity,
            "metadata": {"mitre_technique_id": ["T1499.001"], "multa": multa},
        },
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def withheld_line(second=0.0, **counts):
    """What tells of withheld alerts: starts by task."""
    multa = {
        "event": "withheld",
        "alerts": sum(counts.values()),
        "first": written(NOON),
        "last": written(NOON),
        "tasks": [
            {"model": "iot-gateway", "task": task, "start": count, "update": 0, "end": 0}
            for task, count in counts.items()
        ],
    }
    document = {
        "timestamp": written(NOON + timedelta(seconds=second)),
        "event_type": "alert",
        "alert": {"severity": 2, "metadata": {"multa": multa}},
    }
    return json.dumps(document).encode() + b"\n"
