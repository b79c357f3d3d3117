"""What a shell offers for a word: interfaces, alerts, models of the store.

It is asked while somebody types, so it is quick, says nothing, and offers nothing where something
is wrong.
"""

import contextlib
import re
from pathlib import Path
from typing import Any

import click

from sensor.errors import MultaError

MOST = 100
"""Alerts that are offered, the newest."""

_EVIDENCE = re.compile(r"([0-9a-f]{16})\.json")


def interfaces(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of interfaces."""
    from sensor.capture import interfaces as known  # noqa: PLC0415 -- only when it is asked for

    with contextlib.suppress(OSError):
        return [each.name for each in known.interfaces() if each.name.startswith(begun)]
    return []


def alerts(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Alerts of which there is evidence, the newest first."""
    with contextlib.suppress(MultaError, OSError):
        folder = _path(context, "evidence", "evidence.directory")
        if folder is not None:
            found = sorted(folder.iterdir(), key=_written, reverse=True)
            named = (_EVIDENCE.fullmatch(path.name) for path in found)
            return [each[1] for each in named if each and each[1].startswith(begun)][:MOST]
    return []


def models(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """Names of models in the store."""
    from sensor.service.models.model_store import names  # noqa: PLC0415 -- as above

    with contextlib.suppress(MultaError, OSError):
        store = _path(context, "store", "models.store")
        if store is not None:
            return [name for name in names(store) if name.startswith(begun)]
    return []


def _path(context: click.Context, option: str, key: str) -> Path | None:
    """What was typed, or else what the configuration says.

    Raises:
        MultaError: the configuration can't be read.
    """
    from sensor.service.config import configuration  # noqa: PLC0415 -- as above

    given: Any = context.params.get(option)
    if given is None:
        given = configuration.read(context.params.get("config")).value(key)
    return None if given is None else Path(given)


def _written(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0
