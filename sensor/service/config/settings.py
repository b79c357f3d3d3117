"""The settings of a sensor, and the list of all keys that they have in the configuration."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sensor.alerts.allow import PROTOCOLS, AllowRule
from sensor.service.config.setting_tables import (
    RELOAD,
    Alerts,
    Capture,
    Evidence,
    Flows,
    Forward,
    Health,
    Models,
    NetworkSettings,
    no_table,
)
from sensor.service.config.values import (
    TASK_NAME,
    Choice,
    Expiry,
    Kind,
    Matching,
    Network,
    Text,
    Whole,
)

DEFAULT_PATH = Path("/etc/multa/sensor.toml")
"""Where a sensor that is installed has its configuration."""

COMMAND_LINE = "command line"
"""The origin of a value that an option gave."""

REQUIRED = "required"
"""Stands where a key has no default."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a key is.

    Attributes:
        table: in which it stands.
        name: in the table.
        kind: of its value.
        default: what holds if it is not there, as the program uses it, or `REQUIRED`.
        help: what it means, in sentences.
        takes: `RELOAD`, `RESTART` or `FORWARD`.
    """

    table: str
    name: str
    kind: Kind
    default: Any
    help: str
    takes: str

    @property
    def key(self) -> str:
        """Table and name."""
        return f"{self.table}.{self.name}"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a sensor, checked.

    Attributes:
        allow: rules for flows that raise no alert, in order of files and lines.
        origins: where keys that are not at their default were given: ``file:line``, or
            `COMMAND_LINE`.
        files: that were read, in order.
    """

    capture: Capture = field(default_factory=Capture)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    models: Models = field(default_factory=Models)
    alerts: Alerts = field(default_factory=Alerts)
    flows: Flows = field(default_factory=Flows)
    evidence: Evidence = field(default_factory=Evidence)
    health: Health = field(default_factory=Health)
    forward: Forward = field(default_factory=Forward)
    allow: tuple[AllowRule, ...] = ()
    origins: Mapping[str, str] = field(default_factory=no_table)
    files: tuple[Path, ...] = ()

    def value(self, key: str) -> Any:
        """The value of a key, such as ``capture.workers``."""
        table, name = key.split(".")
        return getattr(getattr(self, table), name)

    def origin(self, key: str) -> str:
        """Where the value of a key comes from: ``default``, ``file:line``, or an option."""
        return self.origins.get(key, "default")

    def with_values(self, values: Mapping[str, Any], origins: Mapping[str, str]) -> "Settings":
        """These settings with other values of some keys.

        Args:
            values: parsed, by key.
            origins: where these come from, by key.
        """
        tables: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            table, name = key.split(".")
            tables.setdefault(table, {})[name] = value
        replaced: dict[str, Any] = {
            table: dataclasses.replace(getattr(self, table), **content)
            for table, content in tables.items()
        }
        return dataclasses.replace(
            self, **replaced, origins=MappingProxyType({**self.origins, **origins})
        )

    def overridden(self, values: Mapping[str, Any]) -> "Settings":
        """These settings with what options of the command line say; None says nothing."""
        given = {key: value for key, value in values.items() if value is not None}
        return self.with_values(given, dict.fromkeys(given, COMMAND_LINE))


def _definitions() -> Iterator[Definition]:
    for table in TABLES:
        for each in dataclasses.fields(TABLES[table]):
            default = each.default
            if default is dataclasses.MISSING:
                default = {}
            about = each.metadata
            yield Definition(
                table, each.name, about["kind"], default, about["help"], about["takes"]
            )


TABLES: Mapping[str, type] = {
    "capture": Capture,
    "network": NetworkSettings,
    "models": Models,
    "alerts": Alerts,
    "flows": Flows,
    "evidence": Evidence,
    "health": Health,
    "forward": Forward,
}
"""Every table of the configuration but ``[[allow]]``, in the order in which they are shown."""

DEFINITIONS: Mapping[str, Definition] = {each.key: each for each in _definitions()}
"""Every key outside ``[[allow]]``."""


def _of_a_rule(name: str, kind: Kind, default: Any, text: str) -> Definition:
    return Definition("allow", name, kind, default, text, RELOAD)


ALLOW: Mapping[str, Definition] = {
    each.name: each
    for each in (
        _of_a_rule("comment", Text(), REQUIRED, "Why the rule is there."),
        _of_a_rule(
            "expires",
            Expiry(),
            REQUIRED,
            "From when on it no longer matches: a date (its first moment, UTC), a date with a time "
            '(UTC unless it has an offset), or "never".',
        ),
        _of_a_rule(
            "task",
            Matching("name of a task", '"scan"', TASK_NAME),
            None,
            "The task; without it the rule is for all.",
        ),
        _of_a_rule("source", Network(), None, "Address or network of the flow's originator."),
        _of_a_rule("destination", Network(), None, "Address or network of the flow's responder."),
        _of_a_rule("port", Whole(1, 65_535), None, "The responder's port, of TCP, UDP or SCTP."),
        _of_a_rule("protocol", Choice(tuple(PROTOCOLS)), None, "The protocol."),
    )
}
"""Every key of a rule under ``[[allow]]``."""

WITHOUT_A_FILE = Settings().with_values(
    {
        "alerts.output": "-",
        "models.shadow_log": None,
        "flows.log": None,
        "evidence.directory": None,
        "health.status": None,
        "health.metrics": None,
    },
    {},
)
"""What holds where nobody named a file: alerts go to standard output, and no file is written."""


def changes(before: Settings, after: Settings, takes: str) -> list[str]:
    """Keys of that kind of taking up whose values differ; for `RELOAD` also ``allow``."""
    differing = [
        key
        for key, definition in DEFINITIONS.items()
        if definition.takes == takes and before.value(key) != after.value(key)
    ]
    return [*differing, "allow"] if takes == RELOAD and before.allow != after.allow else differing
