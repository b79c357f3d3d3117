"""Reads alert logs back: lines that a run has written, from the file and from what it became.

Whatever else stands in a log is counted and left out: the beginning of a line whose end was never
written, lines of other programs, bytes. No more than one line of `LINE_BYTES` is held at a time.
"""

import contextlib
import json
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from sensor.errors import MissingInputError, MultaError, PermissionDeniedError

LINE_BYTES = 1 << 20
"""A longer line is no alert: the longest ones have some 10 kB."""

STDIN = "-"

EVENTS = ("start", "update", "end", "withheld")
"""What a line may tell, by ``alert.metadata.multa.event``."""

_CHUNK = 1 << 16

_ROTATED = re.compile(r"\.old|[.-][0-9]{1,14}(?:-[0-9]{1,10})?(?:\.gz)?")
"""What a log's name gets: ours (`sensor.alerts.sinks`), and logrotate's, with dateext or not."""

_EARLIEST, _LATEST = 1970, 2262
"""Years that packet times can have: 64-bit nanoseconds since 1970."""

_INCIDENT: dict[str, type | tuple[type, ...]] = {
    "alert_id": str,
    "task": str,
    "role": str,
    "address": str,
    "score": (int, float),
    "threshold": (int, float),
    "flows": int,
    "rows": int,
    "first_packet": str,
    "last_packet": str,
    "model": dict,
}
"""Entries of an incident's event that readers rely on."""

MOST = 2**63 - 1
"""A larger count is none of ours, and no reader has to divide by it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A line of an alert log (`docs/alerts.md`).

    Attributes:
        line: as it stands in the log, without its newline.
        document: what it says; `multa` is its ``alert.metadata.multa``.
        time: of the event.
        event: one of `EVENTS`.
        severity: 1 is the most severe.
        alert_id, task, address, model: of the incident; empty for withheld alerts.
    """

    line: bytes
    document: dict[str, Any]
    multa: dict[str, Any]
    time: datetime
    event: str
    severity: int
    alert_id: str = ""
    task: str = ""
    address: str = ""
    model: str = ""

    @property
    def device(self) -> str:
        """What the incident's address is called, else its MAC address; empty if not known."""
        device = self.multa.get("device")
        if not isinstance(device, dict):
            return ""
        return next((v for k in ("name", "mac") if (v := device.get(k)) and isinstance(v, str)), "")

    @property
    def measured(self) -> bool:
        """Whether it is about round-trip times, and its rows are measurements of a peer."""
        return isinstance(self.multa.get("latency"), dict)

    @property
    def amount(self) -> tuple[int, str]:
        """How many flows, or measurements, it is about, and what these are called."""
        if self.measured:
            return self.multa["rows"], "measurement"
        return self.multa["flows"], "flow"

    @property
    def role(self) -> str:
        """Part of the address in the incident; whose round-trip times are measured is a peer."""
        role = str(self.multa["role"])
        return "peer" if self.measured and role == "victim" else role

    @property
    def first_packet(self) -> datetime:
        """When the incident began."""
        return moment(self.multa.get("first_packet")) or self.time

    @property
    def last_packet(self) -> datetime:
        """Time of the last packet of its rows so far, never before the first."""
        return max(self.first_packet, moment(self.multa.get("last_packet")) or self.time)


def parse(line: bytes) -> Alert | None:
    """The alert in a line without its newline; None if there is none in it."""
    try:
        document = json.loads(line, parse_constant=_refuse)
        alert = document["alert"]
        multa = alert["metadata"]["multa"]
        time, event = moment(document["timestamp"]), multa["event"]
        severity = alert["severity"]
        if document["event_type"] != "alert" or time is None or not is_count(severity):
            return None
        if event == "withheld":
            return Alert(line, document, multa, time, event, severity)
        if event not in EVENTS or not all(isinstance(multa[k], t) for k, t in _INCIDENT.items()):
            return None
        if not (is_count(multa["flows"]) and is_count(multa["rows"])):
            return None
        if not (0 <= multa["score"] <= 1 and 0 <= multa["threshold"] <= 1):
            return None
        return Alert(
            line,
            document,
            multa,
            time,
            event,
            severity,
            multa["alert_id"],
            multa["task"],
            multa["address"],
            str(multa["model"].get("name", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def is_count(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number that could have been counted."""
    return isinstance(value, int) and 0 <= value <= MOST


def is_real(value: object) -> TypeGuard[float]:
    """Whether a value is a number that could have been measured."""
    return type(value) in (int, float) and 0 <= value <= MOST  # type: ignore[operator]


def moment(text: object) -> datetime | None:
    """A time as EVE writes it, like ``2026-11-21T11:24:34.725677+0000``; None if it is none."""
    if not isinstance(text, str) or not 19 < len(text) < 40:
        return None
    try:
        # Before Python 3.11 the colon is needed.
        zoned = f"{text[:-2]}:{text[-2:]}" if text[-5] in "+-" else text
        stated = datetime.fromisoformat(zoned)
        time = stated.astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
    return time if stated.tzinfo and _EARLIEST <= time.year < _LATEST else None


def _refuse(constant: str) -> float:
    raise ValueError(constant)


@dataclass(slots=True)
class Unread:
    """Counts lines that are no alerts.

    Attributes:
        lines: what stands between newlines and is no alert.
        torn: ends of files without a newline.
    """

    lines: int = 0
    torn: int = 0

    def __str__(self) -> str:
        """In words; empty if there were none."""
        parts = []
        if self.lines:
            parts.append(f"{self.lines:,} line{'s are' if self.lines > 1 else ' is'} no alert")
        if self.torn:
            parts.append(f"{self.torn:,} line{'s have' if self.torn > 1 else ' has'} no end")
        return " and ".join(parts) + " (left out)" if parts else ""


class LineCutter:
    """Cuts bytes as they come into whole lines.

    Attributes:
        too_long: lines of more than `LINE_BYTES` that were left out.
        ahead: bytes that came after the end of the line that was given last.
    """

    def __init__(self) -> None:
        """Starts between two lines."""
        self.too_long = self.ahead = 0
        self._rest = b""
        self._skipping = False

    @property
    def rest(self) -> bool:
        """Whether a line has begun and not ended."""
        return bool(self._rest) or self._skipping

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in a chunk, without newlines; empty ones are left out."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        lengths = [len(line) + 1 for line in lines]
        self.ahead = sum(lengths) + len(self._rest)
        if self._skipping and lines:
            self._skipping = False
            lines[0] = b""
        if len(self._rest) > LINE_BYTES:
            self.too_long += not self._skipping
            self._skipping = True
        if self._skipping:
            self._rest = b""
        for line, length in zip(lines, lengths, strict=True):
            self.ahead -= length
            if len(line) > LINE_BYTES:
                self.too_long += 1
            elif line.strip():
                yield line


def read(paths: Iterable[str | Path], unread: Unread) -> Iterator[Alert]:
    """The alerts of logs, in their order; files of gzip are told by their first bytes.

    Args:
        paths: of logs; ``-`` is standard input.
        unread: is told what was left out.

    Raises:
        MissingInputError, PermissionDeniedError: one can't be read.
    """
    for path in paths:
        with open_log(path) as file:
            yield from _alerts(file, unread)


def _alerts(file: BinaryIO, unread: Unread) -> Iterator[Alert]:
    cutter = LineCutter()
    for chunk in _chunks(file, unread):
        for line in cutter.feed(chunk):
            alert = parse(line)
            if alert is None:
                unread.lines += 1
            else:
                yield alert
    unread.lines += cutter.too_long
    unread.torn += cutter.rest


def _chunks(file: BinaryIO, unread: Unread) -> Iterator[bytes]:
    """What a file holds, unpacked."""
    first = file.peek(2)[:2] if hasattr(file, "peek") else b""
    if first != b"\x1f\x8b":
        # What there is, at once: a pipe may give the rest much later.
        while chunk := file.read1(_CHUNK):  # type: ignore[attr-defined]
            yield chunk
        return
    import gzip  # noqa: PLC0415 -- few logs are packed

    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            while chunk := unpacked.read(_CHUNK):
                yield chunk
    except (OSError, EOFError, zlib.error):
        unread.torn += 1


@contextlib.contextmanager
def open_log(path: str | Path) -> Iterator[BinaryIO]:
    """A log opened for reading; ``-`` is standard input.

    Raises:
        MissingInputError, PermissionDeniedError: it can't be read.
    """
    if str(path) == STDIN:
        with open(0, "rb", closefd=False) as file:
            yield file
        return
    try:
        opened = open(path, "rb")  # noqa: PTH123, SIM115 -- ValueError is caught too
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    with opened:
        if stat.S_ISDIR(os.fstat(opened.fileno()).st_mode):  # pragma: no cover -- open refuses
            raise MissingInputError(f"{path}: is a folder; name the alert log in it")
        yield opened


def unreadable(path: str | Path, error: OSError | ValueError) -> MultaError:
    """What is told of a log that can't be opened."""
    if isinstance(error, PermissionError):
        return PermissionDeniedError(
            f"{path}: you may not read this alert log; use sudo, or join the group that owns it"
        )
    if isinstance(error, FileNotFoundError):
        return MissingInputError(
            f"{path}: no such alert log; name the file that `run -o` or `replay -o` has written"
        )
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    return MissingInputError(f"{path}: this alert log can't be read ({reason})")


def rotated(path: str | Path, since: datetime | None = None) -> list[Path]:
    """Files that a log was renamed to, the oldest first, by the times of their last lines.

    Args:
        path: of the log.
        since: those that were last written before are left out.
    """
    log = Path(path)
    found = []
    with contextlib.suppress(OSError), os.scandir(log.parent) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith(log.name) and _ROTATED.fullmatch(name[len(log.name) :]):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if stat.S_ISREG(status.st_mode):
                        found.append((status.st_mtime_ns, name))
    earliest_ns = int(since.timestamp() * 1e9) if since else 0
    return [log.parent / name for written_ns, name in sorted(found) if written_ns >= earliest_ns]
