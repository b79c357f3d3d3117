"""Settings written as TOML: the defaults with what they mean, and what is in force."""

import datetime as dt
import json
import textwrap
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from sensor.alerts.allow import PROTOCOLS, AllowRule
from sensor.service.config.setting_tables import RESTART
from sensor.service.config.settings import (
    ALLOW,
    DEFINITIONS,
    REQUIRED,
    TABLES,
    Definition,
    Settings,
)

WIDTH = 98
"""Columns of comments."""

_INTRODUCTION = """\
Configuration of the MULTA sensor. What is commented out is the default, or an example of a table;
only the interface must be named. Files conf.d/*.toml beside this one are read after it, in the
order of their names: values replace earlier ones, tables are joined, [[allow]] rules are added.
Paths that do not begin with / start from the folder of the file in which they stand.

`multa-sensor config check` says what is wrong with it. `systemctl reload multa-sensor` takes a
change up, where no restart is asked for; a file that is wrong changes nothing then.
"""

_ALLOW = """\
Rules for flows that look like an attack and are none. What matches everything that a rule names
raises no alert; `multa-sensor allow test` says which rule matches. May be given again.
"""

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}


def default_text() -> str:
    """The configuration in which everything is at its default, with comments."""
    lines = [*_comment(_INTRODUCTION, filled=False)]
    for table, about in TABLES.items():
        lines += ["", *_comment(str(about.__doc__)), f"[{table}]"]
        for definition in (each for each in DEFINITIONS.values() if each.table == table):
            lines += ["", *_comment(_meaning(definition))]
            lines += _example(definition)
    lines += ["", *_comment(_ALLOW, filled=False), "#[[allow]]"]
    for definition in ALLOW.values():
        needed = "Required." if definition.default == REQUIRED else "Optional."
        lines += _comment(f"{definition.help} {needed}")
        lines.append(f"#{definition.name} = {definition.kind.example}")
    return "\n".join(lines) + "\n"


def effective_text(settings: Settings) -> str:
    """Every value that holds, each with where it comes from; it is a configuration itself."""
    lines: list[str] = []
    for table in TABLES:
        lines += ["", f"[{table}]"] if lines else [f"[{table}]"]
        for key, definition in DEFINITIONS.items():
            if definition.table == table:
                value = written(settings.value(key))
                lines.append(f"{definition.name} = {value}  # {settings.origin(key)}")
    for rule in settings.allow:
        lines += ["", f"[[allow]]  # {rule.place}"]
        lines += [f"{name} = {written(value)}" for name, value in rule_values(rule).items()]
    return "\n".join(lines) + "\n"


def effective_document(settings: Settings) -> dict[str, Any]:
    """The same as an object of JSON."""
    tables: dict[str, Any] = {}
    for key, definition in DEFINITIONS.items():
        tables.setdefault(definition.table, {})[definition.name] = {
            "value": _plain(settings.value(key)),
            "from": settings.origin(key),
        }
    rules = [
        {"from": rule.place, **{name: _plain(value) for name, value in rule_values(rule).items()}}
        for rule in settings.allow
    ]
    return {"files": [str(path) for path in settings.files], **tables, "allow": rules}


def rule_values(rule: AllowRule) -> dict[str, Any]:
    """A rule by the keys that it gives in the configuration."""
    expires: Any = "never"
    if rule.expires_ns is not None:
        seconds, rest_ns = divmod(rule.expires_ns, 10**9)
        moment = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
        expires = moment.replace(microsecond=rest_ns // 1_000)
    values = {
        "comment": rule.comment,
        "expires": expires,
        "task": rule.task,
        "source": rule.source,
        "destination": rule.destination,
        "port": rule.port,
        "protocol": None if rule.protocol is None else _PROTOCOL_NAMES[rule.protocol],
    }
    return {name: value for name, value in values.items() if value is not None}


def written(value: object) -> str:
    """A parsed value as TOML writes it; None is the empty text."""
    plain = _plain(value)
    if isinstance(value, dt.datetime):
        return str(plain)
    if isinstance(plain, list):
        return "[" + ", ".join(map(written, plain)) + "]"
    if isinstance(plain, dict):
        inside = ", ".join(f"{written(key)} = {written(each)}" for key, each in plain.items())
        return f"{{ {inside} }}" if inside else "{}"
    # A text of JSON without control characters, which no value has, is one of TOML.
    return json.dumps(plain, ensure_ascii=False)


def _plain(value: object) -> Any:
    """A parsed value as JSON has it."""
    if value is None:
        return ""
    if isinstance(value, (Path, IPv4Network, IPv6Network)):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def _meaning(definition: Definition) -> str:
    after = "; takes a restart" if definition.takes == RESTART else ""
    return f"{definition.help} ({definition.kind.form}{after})"


def _example(definition: Definition) -> Iterator[str]:
    if isinstance(definition.default, Mapping):
        yield f"#[{definition.key}]"
        yield "#" + definition.kind.example.strip("{ }")
    elif definition.key == "capture.interfaces":
        yield f"{definition.name} = {definition.kind.example}"
    else:
        yield f"#{definition.name} = {written(definition.default)}"


def _comment(text: str, *, filled: bool = True) -> list[str]:
    lines = textwrap.wrap(text, WIDTH) if filled else text.splitlines()
    return [f"# {line}".rstrip() for line in lines]
