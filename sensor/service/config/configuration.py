"""Reads the configuration: one file, and those of ``conf.d`` beside it, to one value of settings.

Files are merged in the order of their names: tables are joined, values replaced, ``[[allow]]``
rules appended. Whatever is wrong is one `ConfigurationError` that names file, line and key and says
what to write instead; a file is never half accepted.

What is read is bounded: the length of a file, how many there are, how deep keys go.
"""

import errno
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from sensor.alerts.allow import PROTOCOLS, RULES, AllowRule
from sensor.errors import ConfigurationError, MissingInputError, PermissionDeniedError
from sensor.service.config.settings import (
    ALLOW,
    DEFAULT_PATH,
    DEFINITIONS,
    REQUIRED,
    TABLES,
    Definition,
    Settings,
)
from sensor.service.config.toml_places import Places
from sensor.service.config.values import WrongValueError, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_BYTES = 1 << 20
"""Greatest length of a file."""

_READ_BYTES = 1 << 16
"""Read at a time. A buffer of a mebibyte, once freed, would let malloc(3) keep later arrays of that
size on the heap, for which a run takes 3 MiB more."""

FILES = 64
"""Most files of `CONF_D`."""

KEY_PARTS = 32
"""Most parts of a dotted key: the parser's time grows with their square."""

_KEY_PART = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_DEEP_KEY = re.compile(rf"(?m)(?:^|[{{,])[ \t]*(?:\[{{1,2}}[ \t]*)?(?:{_KEY_PART}){{{KEY_PARTS}}}")

CONF_D = "conf.d"
"""The folder beside the file, whose ``*.toml`` files are read after it."""


def read(path: Path | None = None) -> Settings:
    """Reads and checks a configuration.

    Args:
        path: of its main file; None is `DEFAULT_PATH`, and the defaults where that does not exist.

    Raises:
        ConfigurationError: something in it is wrong.
        MissingInputError: the file does not exist.
        PermissionDeniedError: it may not be read.
    """
    if path is None:
        if not os.path.lexists(DEFAULT_PATH):
            return Settings()
        path = DEFAULT_PATH
    files = [path, *_more_files(path.parent / CONF_D)]
    gathered = _Gathered()
    for each in files:
        _read_into(gathered, each)
    settings = Settings(allow=tuple(gathered.rules), files=tuple(files))
    settings = settings.with_values(gathered.values, gathered.origins)
    if contradiction := next(_contradictions(settings), None):
        key, text = contradiction
        raise ConfigurationError(f"{gathered.origins.get(key, path)}: {key}: {text}")
    return settings


class _Gathered:
    """What the files so far have said."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.rules: list[AllowRule] = []

    def take(self, key: str, value: Any, place: str) -> None:
        """A value; tables are joined with what is there, all else replaces it."""
        if isinstance(value, Mapping):
            value = {**self.values.get(key, {}), **value}
        self.values[key], self.origins[key] = value, place


def _more_files(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 -- its errors are those of one call
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise ConfigurationError(
            f"{folder}: is no folder; move it away, or make it one that holds *.toml files"
        ) from None
    except OSError as error:
        raise _unreadable(folder, error) from None
    names = [name for name in names if name.endswith(".toml") and not name.startswith(".")]
    if len(names) > FILES:
        raise ConfigurationError(
            f"{folder}: holds {len(names)} files; {FILES} are allowed, so join some"
        )
    return [folder / name for name in names]


@dataclass(frozen=True, slots=True)
class _Source:
    """One file, and where keys stand in it."""

    path: Path
    folder: Path
    places: Places

    def place(self, *keys: str | int) -> str:
        """``file:line`` of a key."""
        line = self.places.line(keys)
        return f"{self.path}:{line}" if line else str(self.path)

    def wrong(self, keys: Sequence[str | int], name: str, text: str) -> ConfigurationError:
        """What says that something is wrong at a key, which is shown by `name`."""
        return ConfigurationError(f"{self.place(*keys)}: {name}: {text}")


def _read_into(gathered: _Gathered, path: Path) -> None:
    text = _text(path)
    document = _parsed(path, text)
    source = _Source(path, path.parent.absolute(), Places(text))
    for table, content in document.items():
        if table == "allow":
            for rule in _rules(source, content):
                if len(gathered.rules) == RULES:
                    text = f"is rule {RULES + 1}; {RULES} are allowed, so join some"
                    raise ConfigurationError(f"{rule.place}: allow: {text}")
                gathered.rules.append(rule)
            continue
        if table not in TABLES:
            raise source.wrong((table,), shown(table), _unknown(table, "table", _table_names()))
        if not isinstance(content, dict):
            raise source.wrong((table,), table, f"is no table; write [{table}] in a line above")
        for name, value in content.items():
            definition = DEFINITIONS.get(f"{table}.{name}")
            if definition is None:
                names = [each.name for each in DEFINITIONS.values() if each.table == table]
                raise source.wrong(
                    (table, name), f"{table}.{_bare(name)}", _unknown(name, "key", names)
                )
            parsed = _value(source, definition, value, (table, name), definition.key)
            gathered.take(definition.key, parsed, source.place(table, name))


def _text(path: Path) -> str:
    """The text of a file, which is a regular one of bounded length."""
    try:
        # A named pipe without a writer would be waited for, and a terminal become ours.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigurationError(f"{path}: is no regular file; name one that holds TOML")
        content = b""
        while len(content) <= FILE_BYTES and (part := os.read(descriptor, _READ_BYTES)):
            content += part
    except OSError as error:
        raise _unreadable(path, error) from None
    finally:
        os.close(descriptor)
    if len(content) > FILE_BYTES:
        raise ConfigurationError(f"{path}: is longer than {FILE_BYTES >> 20} MiB; name another")
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}:{line}: is no UTF-8 text; save it in that encoding"
        ) from None


def _unreadable(path: Path, error: OSError | ValueError) -> Exception:
    if not isinstance(error, OSError):
        return ConfigurationError(f"{str(path)!r}: is no name of a file; name another")
    if error.errno == errno.ENOENT:
        return MissingInputError(
            f"{path}: no such file; `multa-sensor config default` writes one to begin with"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDeniedError(f"{path}: permission denied; let this user read it")
    return ConfigurationError(f"{path}: can't be read ({(error.strerror or str(error)).lower()})")


def _parsed(path: Path, text: str) -> dict[str, Any]:
    if deep := _DEEP_KEY.search(text):
        line = text.count("\n", 0, deep.end()) + 1
        raise ConfigurationError(
            f"{path}:{line}: a key has more than {KEY_PARTS} parts; no key here has so many"
        )
    try:
        document: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {_syntax(error)}") from None
    except RecursionError:
        raise ConfigurationError(
            f"{path}: arrays or tables lie too deep in each other; no value here needs that"
        ) from None
    except ValueError as error:
        # Numbers of thousands of digits, which Python refuses to read.
        raise ConfigurationError(f"{path}: a value can't be read ({error})") from None
    return document


def _syntax(error: Exception) -> str:
    """The parser's message, its first letter small."""
    text = str(error) or "is no TOML"
    return f"is no TOML: {text[:1].lower()}{text[1:]}; correct it there (https://toml.io)"


def _table_names() -> list[str]:
    return [*TABLES, "allow"]


def _bare(name: str) -> str:
    """A key as messages show it; quoted where it is no plain word."""
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain and len(name) <= 64 else shown(name)


def _unknown(name: str, what: str, names: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 -- a right configuration saves its memory

    known = list(names)
    near = difflib.get_close_matches(name[:64].lower(), known, 1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"is no {what} that this version knows; {meant}"


def _value(
    source: _Source, definition: Definition, value: object, keys: Sequence[str | int], name: str
) -> Any:
    try:
        return definition.kind.parse(value, source.folder)
    except WrongValueError as error:
        raise source.wrong((*keys, *error.below), name, str(error)) from None


def _rules(source: _Source, content: object) -> Iterator[AllowRule]:
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise source.wrong(("allow",), "allow", "is no array of tables; write [[allow]] above each")
    for number, table in enumerate(content):
        keys = ("allow", number)
        given: dict[str, Any] = {}
        for name, value in table.items():
            if name not in ALLOW:
                raise source.wrong(
                    (*keys, name), f"allow.{_bare(name)}", _unknown(name, "key", ALLOW)
                )
            definition = ALLOW[name]
            given[name] = _value(source, definition, value, (*keys, name), definition.key)
        for definition in ALLOW.values():
            if definition.default == REQUIRED and definition.name not in given:
                example = f"{definition.name} = {definition.kind.example}"
                raise source.wrong(
                    keys, "allow", f"the rule has no {definition.name}; write one like {example}"
                )
        if not any(_narrows(given.get(name)) for name in ("task", "source", "destination", "port")):
            raise source.wrong(
                keys,
                "allow",
                "the rule would allow everything; name its task, source, destination or port",
            )
        yield AllowRule(
            comment=given["comment"],
            expires_ns=given["expires"],
            task=given.get("task"),
            source=given.get("source"),
            destination=given.get("destination"),
            port=given.get("port"),
            protocol=PROTOCOLS[given["protocol"]] if "protocol" in given else None,
            place=source.place(*keys),
        )


def _narrows(value: object) -> bool:
    """Whether a condition leaves anything out; a network of all addresses does not."""
    if isinstance(value, (IPv4Network, IPv6Network)):
        return value.prefixlen > 0
    return value is not None


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Keys whose values do not go with those of others, and why."""
    capture, models = settings.capture, settings.models
    if capture.source != "native":
        if len(capture.interfaces) > 1:
            yield "capture.interfaces", 'several take source = "native"; name one'
        for name in ("workers", "buffer_mib", "cut_off", "tap"):
            if settings.value(f"capture.{name}") != DEFINITIONS[f"capture.{name}"].default:
                yield f"capture.{name}", 'takes source = "native"; leave one of them out'
    if capture.cut_off and (capture.workers > 1 or len(capture.interfaces) > 1 or capture.tap):
        yield "capture.cut_off", "takes one interface, one worker and no tap; leave it out"
    for name in models.shadow:
        if name in models.active:
            yield "models.shadow", f"{shown(name)} is active already; leave it out of one of them"
    if not models.active and not models.rule:
        yield "models.active", "is empty and rule is false, so nothing would detect; change one"
    if settings.health.silence_s < settings.health.interval_s:
        yield "health.silence_s", "is less than interval_s; write at least as much"
    yield from _shared_paths(settings)


def _shared_paths(settings: Settings) -> Iterator[tuple[str, str]]:
    taken: dict[str, str] = {}
    output, flows = settings.alerts.output, settings.flows.log
    places: list[tuple[str, object]] = [
        ("alerts.output", None if output == "-" else output),
        ("alerts.output", None if output == "-" else f"{output}.old"),
        ("flows.log", flows),
        ("flows.log", None if flows is None else f"{flows}.old"),
        *((key, settings.value(key)) for key in ("health.status", "health.metrics")),
        *((key, settings.value(key)) for key in ("forward.state", "evidence.directory")),
        *((key, settings.value(key)) for key in ("models.store", "models.shadow_log")),
        *(("network.leases", each) for each in settings.network.leases),
        ("capture.tap", settings.capture.tap),
    ]
    for key, place in places:
        if place is None:
            continue
        name = os.path.normpath(str(place))
        if name in taken:
            yield key, f"{name} is {taken[name]} already; choose another path"
        taken[name] = key
