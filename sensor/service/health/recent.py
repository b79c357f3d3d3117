"""The last alerts in short, for the status."""

from collections import deque
from typing import Any

from sensor.alerts.eve import alert_id, timestamp
from sensor.alerts.event import IncidentEvent, SeriesEvidence
from sensor.flows.columns import address_text

KEPT = 50


class Recent:
    """The last `KEPT` alerts about incidents that were told. One thread adds, any may read."""

    def __init__(self) -> None:
        """Starts without alerts."""
        self._last: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, event: IncidentEvent) -> None:
        """Takes in the next one."""
        self._last.append(
            {
                "timestamp": timestamp(event.time_ns),
                "alert_id": alert_id(event),
                "event": event.kind,
                **({"reason": event.reason} if event.reason else {}),
                "model": event.detector,
                "task": event.task.name,
                "signature": event.task.signature,
                "severity": event.task.severity,
                "role": event.role,
                **({"kind": event.worst.kind} if isinstance(event.worst, SeriesEvidence) else {}),
                "address": address_text(*event.address),
                "score": round(event.worst.score, 4),
                "flows": event.flows,
                "rows": event.rows,
            }
        )

    def document(self) -> list[dict[str, Any]]:
        """They, the oldest first."""
        return list(self._last)
