"""Results that are kept as files: each names all that decides it, and no other result is taken.

A training takes minutes and may be interrupted: what is there is not made again.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from sensor.errors import OutputError


def identity(**what: Any) -> tuple[dict[str, Any], str]:
    """All that decides a result, as JSON has it, and its SHA-256 in hexadecimal digits."""
    key: dict[str, Any] = json.loads(json.dumps(what))
    return key, hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()


def read_kept(path: Path, key: dict[str, Any]) -> dict[str, Any] | None:
    """A document from its file; one of another identity, or a damaged one, is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return document if document["of"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_kept(path: Path, key: dict[str, Any], **entries: Any) -> None:
    """Writes a document whole or not at all; its folder is made if it is not there.

    Raises:
        OutputError: the folder can't be written.
    """
    written = path.with_suffix(".new")
    make_folder(path.parent)
    try:
        written.write_text(json.dumps({"of": key, **entries}, indent=1) + "\n", encoding="utf-8")
        written.replace(path)
    except OSError as error:
        raise _unwritable(path.parent, error) from None


def make_folder(folder: Path) -> None:
    """Makes a folder of results, if it is not there.

    Raises:
        OutputError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{folder}: {error.strerror or error}; name a folder that can be written (--work)"
    )
