"""Holds the alert log to a rate, and tells in one event what it kept out (`docs/semantics.md` 16).

Whoever can send packets can open incidents: a line of log for a few packets of 54 bytes. So there
is a budget: `AT_ONCE` events, which grows back by one every `EVERY_NS`.

- An event within the budget is told.
- An incident of which anything was told is always told the end, whatever the budget: nobody waits
  for the end of an incident that is over. These ends are at most as many as the other events.
- The others are withheld and counted. `SUMMARY_AFTER_NS` after the first of them comes a
  `Withheld` event, so there is one a minute while it lasts and one when it is over. An incident
  whose start was withheld and that grows is told once there is budget again.

All of that happens on the events' own times. What is told, and where between two events a
`Withheld` stands, is a function of the events alone; a clock only says when it is certain.
"""

from collections import defaultdict

from sensor.alerts.event import KINDS, Address, IncidentEvent, Withheld, WithheldTask

AT_ONCE = 1_000
EVERY_NS = 500_000_000
SUMMARY_AFTER_NS = 60 * 10**9

_IncidentKey = tuple[str, str, int, Address, int]


class AlertLimit:
    """Decides which events are told.

    Memory is bounded by the open incidents, which `sensor.alerts.task_incidents` bounds.
    """

    def __init__(self) -> None:
        """Starts with a full budget."""
        self._budget_ns = AT_ONCE * EVERY_NS
        self._now_ns = 0
        self._stream = 0
        self._told: set[_IncidentKey] = set()
        self._counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._first_ns = self._last_ns = 0

    def due(self, time_ns: int, stream: int) -> Withheld | None:
        """The summary that belongs before `time_ns`, if one does; it is given once.

        Args:
            time_ns: of the next event, or a clock before which all events have been seen.
            stream: number of the stream that this time is of: where the clock was set back
                another one begins, and what is left of the one before is due.
        """
        over = stream != self._stream or time_ns > self._first_ns + SUMMARY_AFTER_NS
        self._stream = stream
        return self.finish() if over else None

    def finish(self) -> Withheld | None:
        """The summary that is left: the end of the stream is silence without end."""
        if not self._counts:
            return None
        tasks = tuple(
            WithheldTask(detector, task, *counts)
            for (detector, task), counts in sorted(self._counts.items())
        )
        self._counts.clear()
        time_ns = self._first_ns + SUMMARY_AFTER_NS
        return Withheld(time_ns, self._first_ns, self._last_ns, tasks)

    def admits(self, event: IncidentEvent) -> bool:
        """Whether the event, which is the next one of the stream, is told."""
        passed_ns = max(0, event.time_ns - self._now_ns)
        self._budget_ns = min(self._budget_ns + passed_ns, AT_ONCE * EVERY_NS)
        self._now_ns = event.time_ns
        incident = (
            event.detector,
            event.model_sha256,
            event.task_index,
            event.address,
            event.opened_ns,
        )
        within = self._budget_ns >= EVERY_NS
        told = within or (event.kind == "end" and incident in self._told)
        if within:
            self._budget_ns -= EVERY_NS
        if event.kind == "end":
            self._told.discard(incident)
        elif told:
            self._told.add(incident)
        if not told:
            self._count(event)
        return told

    def _count(self, event: IncidentEvent) -> None:
        if not self._counts:
            self._first_ns = event.time_ns
        self._last_ns = event.time_ns
        self._counts[event.detector, event.task.name][KINDS.index(event.kind)] += 1
