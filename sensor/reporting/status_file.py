"""The status file of a run: what is in it, and whether the run that wrote it is still there.

The time of this machine may be set at any moment, and is 1970 after a start without a network. So
how old a status is tells the clock of the kernel that nobody can set, and whether its process is
there tells the kernel.
"""

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sensor.errors import MissingInputError, PermissionDeniedError

DEFAULT = Path("/run/multa/status.json")

FORMAT = 1

MOST_BYTES = 4 << 20
"""What is longer is no status: the longest has 100 intervals, 50 alerts and 256 rules."""

LATE = 3
"""Intervals after which a status is old."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")

State = Literal["healthy", "degraded", "starting", "down"]


@dataclass(frozen=True, slots=True)
class Status:
    """What is known about a sensor.

    Attributes:
        state: now, which is ``down`` where the run is gone, whatever it wrote.
        reasons: for it, in words.
        age_s: since it was written; None where that was before this machine was started.
        document: what it wrote; empty where that can't be read.
    """

    state: State
    reasons: tuple[str, ...]
    age_s: float | None
    document: dict[str, Any]


def read_status(path: Path) -> Status:
    """The status in a file; it is ``down`` if there is none.

    Raises:
        PermissionDeniedError: it may not be read, so nothing is known.
    """
    try:
        document = read_document(path)
    except MissingInputError as error:
        return Status("down", (str(error),), None, {})
    return judged(document)


def read_document(path: Path) -> dict[str, Any]:
    """The object in a status file.

    Raises:
        MissingInputError: there is none, or none of this version.
        PermissionDeniedError: it may not be read.
    """
    document = read_object(path)
    if document.get("format") != FORMAT:
        raise _unreadable(path)
    for key, kind in _ENTRIES.items():
        if not isinstance(document.get(key), kind):
            raise _unreadable(path)
    if document["state"] not in ("healthy", "degraded", "starting", "down"):
        raise _unreadable(path)
    return document


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file that a run has written of itself, its status or its statistics.

    Raises:
        MissingInputError: there is none.
        PermissionDeniedError: it may not be read.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MOST_BYTES))
    except FileNotFoundError:
        raise MissingInputError(
            f"{path}: there is no status; no sensor runs that writes it there"
        ) from None
    except PermissionError:
        raise PermissionDeniedError(
            f"{path}: permission denied; ask as root or as a member of the sensor's group"
        ) from None
    except OSError as error:
        raise MissingInputError(f"{path}: can't be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise _unreadable(path) from None
    if not isinstance(document, dict):
        raise _unreadable(path)
    return document


_ENTRIES: dict[str, type | tuple[type, ...]] = {
    "written": str,
    "boottime": (int, float),
    "boot_id": str,
    "pid": int,
    "pid_namespace": str,
    "interval_s": (int, float),
    "state": str,
    "reasons": list,
    "started": str,
    "blind": list,
}
"""What every status has, whatever the sensor was doing; `docs/health.md` describes all."""


def judged(document: dict[str, Any]) -> Status:
    """What a status that was read means now."""
    age_s = boottime_s() - document["boottime"]
    pid, there = document["pid"], _is_there(document)
    # In a container, a service with a /proc of its own may read another number of the start there
    # than others: where the process is there and has just written, both are of the same one.
    just_written = 0 <= age_s <= LATE * document["interval_s"]
    if document["boot_id"] != boot_id() and not (there and just_written):
        reason = f"the machine was started anew since {document['written']}"
        return Status("down", (reason,), None, document)
    age_s = max(0.0, age_s)
    state: State = document["state"]
    reasons = tuple(map(str, document["reasons"]))
    if state == "down":
        return Status(state, reasons, age_s, document)
    if there is False:
        reason = f"its process {pid} is gone; it last wrote {age_s:.0f} s ago that it is {state}"
        return Status("down", (reason,), age_s, document)
    # Proving models writes nothing and may take long on a small machine.
    if age_s > LATE * document["interval_s"] and not (state == "starting" and there):
        what = "its process is there and hangs" if there else "its process can't be seen from here"
        reason = f"it has written nothing for {age_s:.0f} s; {what} (process {pid})"
        return Status("down", (reason,), age_s, document)
    return Status(state, reasons, age_s, document)


def _is_there(document: dict[str, Any]) -> bool | None:
    """Whether the process is there; None where its id means nothing here, as in a container."""
    if document["pid_namespace"] != pid_namespace() or document["pid"] <= 0:
        return None
    try:
        os.kill(document["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def boottime_s() -> float:
    """Seconds since this machine was started, those asleep included; nobody can set this clock."""
    return round(time.clock_gettime(time.CLOCK_BOOTTIME), 3)


def boot_id() -> str:
    """Which start of this machine that counts from; empty where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""


def pid_namespace() -> str:
    """Where process ids mean what they do here; empty where the kernel does not tell."""
    with contextlib.suppress(OSError):
        return str(_PID_NAMESPACE.readlink())
    return ""


def _unreadable(path: Path) -> MissingInputError:
    return MissingInputError(f"{path}: holds no status that this version can read")
