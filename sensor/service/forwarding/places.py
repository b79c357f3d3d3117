"""How far each destination is, in a file that outlives the process.

It is written whole and renamed, no more often than `SAVE_S` while alerts flow, and at the end; so
after a crash alerts of a few seconds are sent again, and after an orderly end none.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sensor.reporting.alert_follow import Place

SAVE_S = 5.0

_FORMAT = 1
_BYTES = 1 << 20
_PLACES = 64
_TYPES = {field.name: field.type for field in dataclasses.fields(Place)}

Places = dict[str, list[Place]]
"""Places in the log by destination."""


def read_places(path: Path, log: str) -> Places | None:
    """What was written for this log; None if that can't be told from the file.

    A file that is not there, or is about another log, holds nothing.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_BYTES)
    except FileNotFoundError:
        return {}
    except OSError:
        return None
    try:
        document = json.loads(content)
        if document["format"] != _FORMAT:
            return None
        if document["log"] != log:
            return {}
        return {
            str(name): [_place(each) for each in places[:_PLACES]]
            for name, places in document["places"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_places(path: Path, log: str, places: Mapping[str, Sequence[Place]]) -> None:
    """Replaces the file.

    Raises:
        OSError: it can't be written; the old one stays.
    """
    document = {
        "format": _FORMAT,
        "log": log,
        "places": {
            name: [dataclasses.asdict(each) for each in some] for name, some in places.items()
        },
    }
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(json.dumps(document).encode() + b"\n")
        file.flush()
        # Without it, a power cut could leave an empty file of this name.
        os.fsync(descriptor)
    new.replace(path)


def _place(document: dict[str, Any]) -> Place:
    place = Place(**document)
    for name, kind in _TYPES.items():
        if type(getattr(place, name)) is not kind:
            raise TypeError(name)
    return place
