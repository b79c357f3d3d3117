"""Scores the same captures with two bundles, row by row where both look at the same rows."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.agreement import RowAgreement
from sensor.alerts.event import IncidentEvent
from sensor.alerts.incidents import IncidentTracker
from sensor.capture.block import PacketBlock
from sensor.exchange import Lanes
from sensor.flows.columns import address_text
from sensor.lane import SCORED_ROWS, Lane
from sensor.model.bundle import Bundle
from sensor.model.detector import BundleDetector
from sensor.packets.decode import Decoder
from sensor.pipeline import Decided, decide, decoded
from sensor.reporting.comparison import Incident, Told
from sensor.tables import table_of


@dataclass(slots=True)
class TaskRows(RowAgreement):
    """How two bundles judged rows for one task, each by itself too.

    Attributes:
        rows: that counted for the task with the first bundle, and with the second one.
        positive: how many of them were positive.
    """

    rows: list[int] = field(default_factory=lambda: [0, 0])
    positive: list[int] = field(default_factory=lambda: [0, 0])

    def count(self, side: int, scores: NDArray[np.float32], threshold: float) -> None:
        """Counts rows of one bundle; NaN where a row does not count."""
        self.rows[side] += int(np.count_nonzero(~np.isnan(scores)))
        self.positive[side] += int(np.count_nonzero(scores >= threshold))

    def document(self) -> dict[str, Any]:
        """As JSON; without rows that both looked at there is nothing to compare."""
        alone = {
            "rows": {"a": self.rows[0], "b": self.rows[1]},
            "positive": {"a": self.positive[0], "b": self.positive[1]},
        }
        if not self.compared:
            return alone
        return {
            **alone,
            "agreement": {
                "both": self.both,
                "only_a": self.only_a,
                "only_b": self.only_b,
                "neither": self.neither,
                "close": self.close,
            },
            "difference": {"mean": round(self.mean, 6), "largest": round(self.largest, 6)},
        }


class ScoreComparison:
    """Two bundles beside each other over a stream of packets.

    Attributes:
        bundles: the two.
        tasks: of either, by name, those of the first one first.
        told: incidents of each.
        packets, flows: that were looked at.
        same_rows: whether both look at the same rows, as their features are the same.
    """

    def __init__(self, a: Bundle, b: Bundle) -> None:
        """Loads the models, which have been proved."""
        self.bundles = (a, b)
        self.tasks = {task.name: TaskRows() for bundle in self.bundles for task in bundle.tasks}
        self.told = (Told(), Told())
        self.packets = self.flows = 0
        self.same_rows = a.schema.fingerprint() == b.schema.fingerprint()
        self._detectors = (BundleDetector(a), BundleDetector(b))
        self._trackers = tuple(IncidentTracker(detector) for detector in self._detectors)
        schemas = [a.schema] if self.same_rows else [a.schema, b.schema]
        self._lanes = [Lane(table_of(schema)) for schema in schemas]
        self._stream = 0

    def over(self, blocks: Iterable[PacketBlock]) -> None:
        """Compares until the blocks end."""
        optional = {name for bundle in self.bundles for name in bundle.schema.decoded}
        packets = decoded(self._counted(blocks), Decoder(optional))
        for decided in decide(packets, Lanes(self._lanes)):
            if isinstance(decided, Decided):
                self._take(decided)
        self.flows = self._lanes[0].table.flows

    def _counted(self, blocks: Iterable[PacketBlock]) -> Iterable[PacketBlock]:
        for block in blocks:
            self.packets += len(block)
            yield block

    def _take(self, decided: Decided) -> None:
        if decided.stream != self._stream:
            self._stream = decided.stream
            for tracker in self._trackers:
                tracker.restart()
        sides = (0, 1) if self.same_rows else (self._lanes.index(decided.lane),)
        for start in range(0, len(decided.batch), SCORED_ROWS):
            rows = decided.batch.take(slice(start, start + SCORED_ROWS))
            scores = {side: self._detectors[side].score(rows) for side in sides}
            for side in sides:
                self._trackers[side].add(rows, scores[side])
            self._count(scores)
        for side in sides:
            for event in self._trackers[side].release(decided.clock_ns):
                if event.kind == "end":
                    self.told[side].add(f"{len(self.told[side].incidents)}", _incident(event))

    def _count(self, scores: dict[int, NDArray[np.float32]]) -> None:
        for name, counts in self.tasks.items():
            columns: list[tuple[NDArray[np.float32], float]] = []
            for side, table in scores.items():
                for place, task in enumerate(self.bundles[side].tasks):
                    if task.name == name:
                        columns.append((table[:, place], task.threshold))
                        counts.count(side, table[:, place], task.threshold)
            if len(columns) == len(self.bundles):
                (a, threshold_a), (b, threshold_b) = columns
                counts.compare((a, b), (threshold_a, threshold_b))


def _incident(event: IncidentEvent) -> Incident:
    return Incident(
        event.task.name,
        event.role,
        address_text(*event.address),
        _moment(event.first_packet_ns),
        _moment(event.last_packet_ns),
        event.flows,
        event.worst.score,
    )


def _moment(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // 1_000 / 1e6, timezone.utc)
