"""Writes events to a log of alerts, as many as its budget admits (`docs/semantics.md` 16)."""

from sensor.alerts.eve import Options, line
from sensor.alerts.event import IncidentEvent, Withheld
from sensor.alerts.limit import AlertLimit
from sensor.alerts.sinks import EventLog
from sensor.service.evidence_store import EvidenceStore


class Teller:
    """A log and its budget.

    Attributes:
        options: what lines say beside the event.
        told, withheld: events so far.
    """

    def __init__(self, log: EventLog, evidence: EvidenceStore | None = None) -> None:
        """Writes to the log, and keeps the evidence of what was told where there is a store."""
        self.options = Options()
        self.told = self.withheld = 0
        self._log, self._evidence = log, evidence
        self._limit = AlertLimit()

    def tell(self, event: IncidentEvent, stream: int) -> bool:
        """Takes the next event; whether it was told.

        Raises:
            OutputError: a strict log can't be written.
        """
        self.pass_time(event.time_ns, stream)
        if not self._limit.admits(event):
            self.withheld += 1
            return False
        self.told += 1
        written = self._write(event)
        if self._evidence:
            self._evidence.tell(event, written)
        return True

    def pass_time(self, time_ns: int, stream: int) -> None:
        """Tells of what was withheld, where it is time to; errors as in `tell`."""
        if summary := self._limit.due(time_ns, stream):
            self._write(summary)

    def finish(self) -> None:
        """Tells of what was withheld since it was last told; errors as in `tell`."""
        if summary := self._limit.finish():
            self._write(summary)

    def _write(self, event: IncidentEvent | Withheld) -> bytes:
        written = line(event, self.options)
        self._log.write(written)
        return written
