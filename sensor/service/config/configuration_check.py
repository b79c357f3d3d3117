"""Whether what a configuration names is there: models, keys, files, folders, interfaces."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

from sensor.alerts.sinks import STDOUT
from sensor.capture.interfaces import describe
from sensor.errors import (
    CaptureUnavailableError,
    ConfigurationError,
    MissingInputError,
    MultaError,
    PermissionDeniedError,
)
from sensor.service.config.settings import Settings
from sensor.service.models.model_store import resolve


def findings(settings: Settings) -> Iterator[str]:
    """What there is to say, a line for each thing that is named; the most wrong one ends it.

    What may come later (an interface, leases, folders that the service makes) is told, and no
    error.

    Raises:
        ConfigurationError: a path is of the wrong kind.
        MultaError: a model or key is missing, or may not be read.
    """
    for path in settings.files:
        yield f"configuration {path}: ok"
    models = settings.models
    for name, role in (("models.active", "model"), ("models.shadow", "shadow model")):
        for model in settings.value(name):
            yield f"{role} {model}: ok ({_bundle(settings, name, model)})"
    for key in models.keys:
        yield f"key {key}: {_readable(settings, 'models.keys', key)}"
    for lease in settings.network.leases:
        there = os.path.lexists(lease)
        state = _readable(settings, "network.leases", lease) if there else "not there yet"
        yield f"leases {lease}: {state}"
    if settings.alerts.output != STDOUT:
        yield _file(settings, "alerts.output", Path(settings.alerts.output))
    for name in ("models.shadow_log", "flows.log", "health.status", "health.metrics"):
        if (path := settings.value(name)) is not None:
            yield _file(settings, name, path)
    for name in ("evidence.directory", "models.store"):
        if (path := settings.value(name)) is not None:
            yield _folder(settings, name, path)
    if settings.capture.tap is not None:
        yield _file(settings, "capture.tap", settings.capture.tap)
    if not settings.capture.interfaces:
        yield "capture.interfaces: names none; a run needs one, here or by -i NAME"
    for interface in settings.capture.interfaces:
        yield f"interface {interface}: {_state(interface)}"
    for rule in settings.allow:
        if rule.expired(time.time_ns()):
            yield f"allow rule {rule.place}: has expired, so it matches nothing ({rule.comment})"


def _bundle(settings: Settings, key: str, name: str) -> Path:
    """The folder of a bundle; whether it is intact is for `check` to prove."""
    try:
        folder = resolve(name, settings.models.store)
    except MultaError as error:
        raise type(error)(f"{settings.origin(key)}: {key}: {error}") from None
    if not folder.is_dir():
        raise MissingInputError(f"{settings.origin(key)}: {key}: {folder}: no such folder")
    return folder


def _wrong(settings: Settings, key: str, text: str) -> ConfigurationError:
    return ConfigurationError(f"{settings.origin(key)}: {key}: {text}")


def _readable(settings: Settings, key: str, path: Path) -> str:
    """Opens a file that will be read."""
    if path.exists() and not path.is_file():
        raise _wrong(settings, key, f"{path} is no file; name one")
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise MissingInputError(f"{settings.origin(key)}: {key}: {path}: no such file") from None
    except OSError as error:
        raise PermissionDeniedError(
            f"{settings.origin(key)}: {key}: {path}: {(error.strerror or str(error)).lower()}"
        ) from None
    return "ok (can be read)"


def _file(settings: Settings, key: str, path: Path) -> str:
    if path.is_dir():
        raise _wrong(settings, key, f"{path} is a folder; name a file")
    return _told(settings, key, path, path.parent)


def _folder(settings: Settings, key: str, path: Path) -> str:
    if path.exists() and not path.is_dir():
        raise _wrong(settings, key, f"{path} is no folder; choose another path")
    return _told(settings, key, path, path if path.exists() else path.parent)


def _told(settings: Settings, key: str, path: Path, folder: Path) -> str:
    """What is to be said of the folder in which something will be written."""
    above = folder
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise _wrong(settings, key, f"{above} is no folder; choose another path")
    if above != folder:
        return f"{key} {path}: {folder} is not there yet; the service makes its own folders"
    # Root may, and the service's user perhaps not; `check` in the service's unit says that.
    may = "can be written" if os.access(folder, os.W_OK | os.X_OK) else "not by this user"
    return f"{key} {path}: ok ({may})"


def _state(interface: str) -> str:
    try:
        return f"ok ({describe(interface).state})"
    except CaptureUnavailableError:
        return "not here now; a run would not start"
