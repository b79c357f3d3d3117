"""What operators have said of alerts: whether they were right.

A file of JSON lines to which labels are only ever added: each has the ``alert_id``, the ``value``
(true: it was what the alert says), the ``task``, the ``author``, the time ``at`` which it was said,
and a ``comment``. Of several labels of an alert the last one counts; the others stay as history.
Lines that are no labels, such as one that a full disk cut off, are counted and left out.
"""

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sensor.errors import MissingInputError, OutputError, PermissionDeniedError
from sensor.reporting.alert_log import LineCutter, Unread

ALERT_ID = re.compile(r"[0-9a-f]{16}")
"""Name of an incident."""

COMMENT = 1_000
"""Greatest length of a comment, in characters."""

AUTHOR = 200
"""Greatest length of an author's name."""

LABELS = 1_000_000
"""Labels that are read: nobody has said that often what they think."""

_CHUNK = 1 << 16
_BEGINNING = b'{"alert_id": "'


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody said of an alert.

    Attributes:
        alert_id: of the incident.
        value: whether it was what the alert says.
        task: of the incident.
        author: who said so.
        at: when, as EVE writes times.
        comment: why, or empty.
    """

    alert_id: str
    value: bool
    task: str
    author: str
    at: str
    comment: str

    @classmethod
    def of(cls, line: bytes) -> "Label | None":
        """The label in a line; None if there is none in it."""
        try:
            entry = json.loads(line)
            label = cls(**{key: entry[key] for key in cls.__slots__})
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        texts = (label.alert_id, label.task, label.author, label.at, label.comment)
        if not all(isinstance(text, str) for text in texts) or not isinstance(label.value, bool):
            return None
        return label if ALERT_ID.fullmatch(label.alert_id) else None

    def document(self) -> dict[str, Any]:
        """As it stands in the file."""
        return asdict(self)


def append(path: Path, label: Label) -> None:
    """Adds a label, with one write.

    Raises:
        OutputError, PermissionDeniedError: the file can't be written, or holds something else.
    """
    line = json.dumps(label.document()).encode() + b"\n"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o640)
        try:
            _share(path, descriptor)
            if not _holds_labels(descriptor):
                raise OutputError(
                    f"{path}: holds something else than labels, and is left as it is; name "
                    "another file with --labels"
                )
            if _is_torn(descriptor):
                line = b"\n" + line
            written = os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except PermissionError:
        raise PermissionDeniedError(
            f"{path}: you may not write labels here; use sudo, or name another file with --labels"
        ) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise OutputError(
            f"{path}: the label can't be written ({reason}); name another file with --labels"
        ) from None
    if written < len(line):
        raise OutputError(
            f"{path}: the label was written in part only; make room, then say it again"
        )


def history(path: Path, unread: Unread) -> Iterator[Label]:
    """All labels of a file, in the order in which they were given.

    Args:
        path: of the file.
        unread: is told what was left out.

    Raises:
        MissingInputError, PermissionDeniedError: it can't be read.
    """
    cutter, count = LineCutter(), 0
    try:
        with path.open("rb") as file:
            while (chunk := file.read(_CHUNK)) and count < LABELS:
                for line in cutter.feed(chunk):
                    label = Label.of(line)
                    if label is None:
                        unread.lines += 1
                    else:
                        count += 1
                        yield label
    except PermissionError:
        raise PermissionDeniedError(f"{path}: you may not read these labels; use sudo") from None
    except FileNotFoundError:
        raise MissingInputError(
            f"{path}: no labels yet; `multa-sensor label ALERT_ID true` gives one"
        ) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise MissingInputError(f"{path}: these labels can't be read ({reason})") from None
    unread.lines += cutter.too_long
    unread.torn += cutter.rest


def current(path: Path, unread: Unread) -> dict[str, Label]:
    """The label of each alert that counts, which is the last one, by alert_id.

    Raises:
        MissingInputError, PermissionDeniedError: the file can't be read.
    """
    labels: dict[str, Label] = {}
    for label in history(path, unread):
        labels.pop(label.alert_id, None)
        labels[label.alert_id] = label
    return labels


def _share(path: Path, descriptor: int) -> None:
    """Lets the group of the folder read a file that root has just made in it."""
    status = os.fstat(descriptor)
    if os.geteuid() == 0 and stat.S_ISREG(status.st_mode) and not status.st_size:
        os.fchown(descriptor, -1, path.absolute().parent.stat().st_gid)


def _holds_labels(descriptor: int) -> bool:
    """Whether the file begins as labels do, as far as it goes: the first may be torn."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        return True
    return _BEGINNING.startswith(os.pread(descriptor, len(_BEGINNING), 0))


def _is_torn(descriptor: int) -> bool:
    """Whether the file's last line has no end."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
