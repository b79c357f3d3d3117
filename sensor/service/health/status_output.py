"""Where a run tells how it is: a JSON file for `status` and `top`, a text file for node_exporter.

Both lie in memory (tmpfs), where writing them every few seconds wears nothing out, and are replaced
whole, so whoever reads them sees one moment. That they can't be written is counted, and told in the
log once; it stops nothing.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from sensor.alerts.eve import timestamp
from sensor.errors import MultaError
from sensor.reporting.status_file import (
    FORMAT,
    boot_id,
    boottime_s,
    pid_namespace,
    read_document,
)
from sensor.service.health import metrics
from sensor.service.health.blindness import KEPT

METRICS_S = 10
"""How often metrics are written, at most: nobody scrapes more often, and they cost the most."""


class StatusOutput:
    """The two files of a run, within which they say ``starting``, then what `write` is given.

    A context manager around all of the run, the proving of its models included: it ends with
    ``down`` and the reason, an error if it was one.

    Attributes:
        failures: attempts to write that failed.
        blind: intervals that the run before this one has told, and the one between the two runs.
    """

    def __init__(
        self,
        status: Path | None,
        metrics_file: Path | None,
        interval_s: float,
        say: Callable[[str], None],
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Writes nothing yet.

        Args:
            status: the JSON file, or None for none.
            metrics_file: the text file, or None for none.
            interval_s: from one writing to the next, as readers are told.
            say: shows a line to a person.
            wall_ns: time of this machine.
        """
        self.failures = 0
        self.interval_s = interval_s
        self._status, self._metrics, self._say, self._wall_ns = status, metrics_file, say, wall_ns
        self._told: set[Path] = set()
        self._identity = {
            "pid": os.getpid(),
            "pid_namespace": pid_namespace(),
            "boot_id": boot_id(),
            "started": timestamp(wall_ns()),
            "interval_s": interval_s,
        }
        self._last: dict[str, Any] = {}
        self._metrics_due_s, self._state = 0.0, ""
        self.blind = list(self._before()) if status else []

    def __enter__(self) -> None:
        self.write("starting", [], {"blind": self.blind})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        reason = "stopped" if error is None else f"ended: {error or type(error).__name__}"
        self.write("down", [reason], self._last)

    def write(self, state: str, reasons: list[str], content: dict[str, Any]) -> None:
        """Replaces the status, and the metrics if it is time to or the state is another one.

        Args:
            state: ``healthy``, ``degraded``, ``starting`` or ``down``.
            reasons: for it, in words.
            content: all other entries (`docs/health.md`).
        """
        self._last = content
        document = {
            "format": FORMAT,
            "written": timestamp(self._wall_ns()),
            "boottime": boottime_s(),
            **self._identity,
            "state": state,
            "reasons": reasons,
            **content,
            "status_failures": self.failures,
        }
        if self._status:
            self._replace(self._status, json.dumps(document, separators=(",", ":")) + "\n")
        now_s = document["boottime"]
        if self._metrics and (now_s >= self._metrics_due_s or state != self._state):
            self._metrics_due_s = now_s + METRICS_S
            self._replace(self._metrics, metrics.text(document))
        self._state = state

    def _replace(self, path: Path, text: str) -> None:
        # Of one name, so that a run that is killed leaves one file at most. node_exporter reads
        # files that end with .prom.
        temporary = path.with_name(f".{path.name}.new")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(temporary, flags, 0o640)
            with open(descriptor, "wb") as file:  # noqa: PTH123 -- a descriptor
                file.write(text.encode())
            temporary.replace(path)
        except OSError as error:
            self.failures += 1
            if path not in self._told:
                self._told.add(path)
                self._say(f"{path}: can't be written ({error.strerror}); detection goes on")
        else:
            self._told.discard(path)

    def _before(self) -> Iterator[dict[str, Any]]:
        """Blind intervals that an earlier run has left behind, and how long none was running."""
        try:
            document = read_document(self._status) if self._status else {}
        except MultaError:
            return
        if document.get("boot_id") != self._identity["boot_id"]:
            return
        for each in document["blind"][-KEPT:]:
            if isinstance(each, dict) and {"interface", "from", "to", "why", "seconds"} <= set(
                each
            ):
                # What was still going on when it was written ended with the run, for all we know.
                yield {**each, "to": each["to"] or document["written"]}
        yield {
            "interface": None,
            "from": document["written"],
            "to": self._identity["started"],
            "why": "the sensor was not running",
            "seconds": round(boottime_s() - document["boottime"], 3),
        }
