"""An open incident: what is counted of it until an event tells it (`docs/semantics.md` 14)."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.event import ROW_FLAGS, Address
from sensor.alerts.home import HomeTally
from sensor.alerts.kept_rows import KeptRows

QUIET_NS = 60 * 10**9
LONGEST_NS = 3_600 * 10**9


@dataclass(slots=True, eq=False)
class Incident:
    """An open incident; the `row` attributes are those of its last row.

    The attributes are what `sensor.alerts.event.IncidentEvent` tells; besides,

    Attributes:
        serial: number of the incident among those of its task, from 1.
        next_update: distinct flows at which it will be updated.
        score: of the row `worst`, an `EVIDENCE` record.
        home: how its flows pass the border of the home network, if there is one.
        kept: rows with their packets, where evidence is kept.
    """

    address: Address
    serial: int
    opened_ns: int
    first_packet_ns: int
    next_update: int
    row_ns: int
    row_position: int = 0
    row_ordinal: int = 0
    last_packet_ns: int = 0
    flows: int = 0
    rows: int = 0
    flagged: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(ROW_FLAGS), np.int64))
    score: float = -np.inf
    worst: Any = None
    sample: list[Any] = field(default_factory=list)
    home: HomeTally | None = None
    kept: KeptRows | None = None

    @property
    def deadline_ns(self) -> int:
        """Flow clock after which a row no longer belongs to it."""
        return min(self.row_ns + QUIET_NS, self.opened_ns + LONGEST_NS)


@dataclass(slots=True)
class Segment:
    """Neighbouring positive rows ``start:stop`` of one incident, which then may end."""

    incident: Incident
    start: int
    stop: int
    opens: bool
    ends: bool = False
