"""Labels of sessions with services: the class of every connection, proved on the capture.

Format and meaning: rule 17 of `docs/semantics.md`. The task is categorical.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sensor.errors import LabelError
from trainer.lab.catalogue import SERVICES
from trainer.lab.service_shapes import SHAPES
from trainer.lab.truth import AFTER_S, BEFORE_S, MIN_SEEN, CapturedFlow, nanoseconds, span

TASK = "traffic_class"
DECLARATION = f"{TASK}{{{'|'.join(SHAPES)}}}"
"""As the first line of a label file has it."""

_WHOLE = ("done", "left", "over", "lost")
"""Ends of connections that were made and that the capture holds to their last packet."""


@dataclass(frozen=True)
class ConnectionRow:
    """A row about one connection."""

    client: str
    port: int
    server: str
    start_ns: int
    end_ns: int
    value: str

    def line(self) -> str:
        """The row as the file has it."""
        service_port = SERVICES["quic"][0][0]
        ends = f"{self.client}/32,{self.port},{self.server}/32,{service_port},udp"
        return f"{span(self.start_ns, self.end_ns)},{ends},{TASK},{self.value}"


def connection_rows(
    sessions: Sequence[dict[str, Any]], flows: Sequence[CapturedFlow]
) -> list[ConnectionRow]:
    """The rows of all connections that the capture holds.

    One that was not made, or was open when the recording ended, is of no known class.

    Args:
        sessions: as `trainer.lab.service_accounts.Session.report` gives them.
        flows: of the capture.

    Raises:
        LabelError: too few connections are in the capture, or one is more than one flow; the
            recording is not to be used.
    """
    rows = [
        ConnectionRow(
            session["client"],
            each["port"],
            session["server"],
            nanoseconds(each["made"] - BEFORE_S),
            # Its tuple is used once, so the span may hold repeated first packets too.
            nanoseconds(max(each["made"], each["closed"]) + AFTER_S),
            session["service"] if each["end"] in _WHOLE else "unknown",
        )
        for session in sessions
        for each in session["connections"]
    ]
    begun: dict[tuple[str, int, str], list[int]] = {}
    for flow in flows:
        if (flow.protocol, flow.destination_port) == ("udp", SERVICES["quic"][0][0]):
            key = (flow.source, flow.source_port, flow.destination)
            begun.setdefault(key, []).append(flow.first_ns)
    found = [row for row in rows if (row.client, row.port, row.server) in begun]
    for row in found:
        times = begun[row.client, row.port, row.server]
        if len(times) > 1 or not row.start_ns <= times[0] <= row.end_ns:
            raise LabelError(
                f"the connection {row.client}:{row.port} to {row.server} is not one flow of the "
                "capture; record again, with fewer hosts if the machine is busy"
            )
    if len(found) < MIN_SEEN * len(rows):
        raise LabelError(
            f"{len(rows)} connections were made, but the capture holds {len(found)}; record again, "
            "with fewer hosts if the machine is busy"
        )
    return found
