"""All incidents of one detector, of which those of a task are `sensor.alerts.task_incidents`.

Events of all tasks come in one order, and none before all rows have come that it may depend on.
"""

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.allow import AllowList
from sensor.alerts.event import IncidentEvent
from sensor.alerts.home import HomeNetworks
from sensor.alerts.incident import QUIET_NS
from sensor.alerts.task_incidents import NEVER_NS, Identity, TaskIncidents
from sensor.flows.sequences import SequenceBatch
from sensor.hops import hop
from sensor.model.schema import FeatureSchema

__all__ = ["QUIET_NS", "IncidentEvent", "IncidentTracker"]


class IncidentTracker:
    """All incidents of one detector.

    Attributes:
        allow: rules that allow flows (`docs/semantics.md` 34), or None; may be replaced between
            two calls.
    """

    def __init__(
        self,
        detector: Identity,
        home: HomeNetworks | None = None,
        allow: AllowList | None = None,
        schema: FeatureSchema | None = None,
    ) -> None:
        """Starts without incidents.

        Args:
            detector: whose rows will come.
            home: what is inside; its events then tell where their ends are.
            allow: rules that allow flows.
            schema: of the rows, where incidents are to keep some for whoever asks why.

        Raises:
            BundleError: a task opens its incidents at an impossible number of flows or seconds.
        """
        self._tasks = [
            TaskIncidents(detector, index, home, schema) for index in range(len(detector.tasks))
        ]
        self._waiting: list[IncidentEvent] = []
        self._detector, self.allow = detector, allow

    @property
    def allowed(self) -> dict[str, int]:
        """Rows of each task that were positive and that a rule allowed."""
        names = (task.name for task in self._detector.tasks)
        return {name: each.allowed for name, each in zip(names, self._tasks, strict=True)}

    @property
    def incidents_evicted(self) -> int:
        """Incidents that ended because too many were open."""
        return sum(task.incidents_evicted for task in self._tasks)

    @property
    def evidence_given_up(self) -> int:
        """Incidents that gave up the rows that they kept, because they were too many."""
        return sum(task.evidence_given_up for task in self._tasks)

    @property
    def rows_forgotten(self) -> int:
        """Positive rows that were forgotten because too many had not opened an incident."""
        return sum(task.rows_forgotten for task in self._tasks)

    @hop("alerts")
    def add(self, batch: SequenceBatch, scores: NDArray[np.float32]) -> None:
        """Takes in the next rows of the stream.

        Args:
            batch: b rows, none decided before a row of an earlier batch.
            scores: ``(b, tasks)`` calibrated scores; NaN where a row does not count for a task.
        """
        for task, column in zip(self._tasks, scores.T, strict=True):
            task.add(batch, column, self.allow)

    @hop("alerts")
    def release(self, clock_ns: int) -> list[IncidentEvent]:
        """The events before `clock_ns`, in order; all rows decided before it have been added."""
        for task in self._tasks:
            task.expire(clock_ns)
            self._waiting += task.take_events()
        self._waiting.sort(key=lambda event: event.order)
        due = sum(event.time_ns < clock_ns for event in self._waiting)
        released, self._waiting = self._waiting[:due], self._waiting[due:]
        return released

    def finish(self) -> list[IncidentEvent]:
        """All other events: the end of the stream is silence without end."""
        return self.release(NEVER_NS)

    def replaced(self) -> None:
        """From now on incidents end as ``reload``: another detector finds what goes on."""
        for task in self._tasks:
            task.replaced = True

    def retire(self, time_ns: int) -> None:
        """Ends what is still open; no more rows will come."""
        for task in self._tasks:
            task.retire(time_ns)

    def restart(self) -> None:
        """Begins another stream after `finish`, as its clock was set back; counters go on."""
        for task in self._tasks:
            task.restart()
