"""Scenarios: who is on the lab's network, what they do and which attacks run, read from TOML.

A scenario says nothing that tells two recordings apart, such as addresses: where it gives a range
or a list, the seed draws (`trainer.lab.plan`). `trainer.lab.catalogue` lists all that may be named.
"""

import difflib
import itertools
import math
import random
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sensor.errors import MissingInputError, ScenarioError
from trainer.lab import options
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.catalogue import ACTIVITIES, SERVICES, SIDES, STACKS, TCP_PORTS
from trainer.lab.options import Option
from trainer.lab.reflection_protocols import PROTOCOLS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).parent / "scenarios"
"""Folder of the scenarios that come with the lab."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,29}")
"""Names of groups become names of folders and of hosts in the DNS (RFC 1035 section 2.3.1)."""

MAX_HOSTS = 60
MAX_FLOOD_PACKETS = 1_000_000

_OPTIONS = {
    "lan_delay_ms": Option("number", (0.2, 3.0), "one-way delay of a LAN host", 0, 500),
    "wan_delay_ms": Option("number", (5.0, 50.0), "one-way delay of a WAN host", 0, 2000),
    "loss": Option("number", (0.0, 0.002), "share of lost packets", 0, 0.5),
    "flood_packets": Option(
        "count", (60_000, 60_000), "floods of a recording end here", 100, MAX_FLOOD_PACKETS
    ),
    "lan_rate_kbit": options.number(64, 1e6, (0, 0), "thousand bits a second; 0: any", later=True),
    "wan_rate_kbit": options.number(64, 1e6, (0, 0), "thousand bits a second; 0: any", later=True),
    "loss_burst": options.number(1, 100, (1, 1), "frames lost in a row, on average", later=True),
}
_COUNT = Option("count", (1, 1), "hosts of the group", 1, MAX_HOSTS)
_TIMES = Option("count", (1, 1), "how often the attack runs", 1, 20)
_SECONDS = Option("number", (3.0, 8.0), "length of the attack", 0.2, 3600)
_START = Option("number", (0.1, 0.8), "start, as a share of the recording", 0, 0.95)


@dataclass(frozen=True)
class Range:
    """A number that the seed draws, both ends included."""

    low: float
    high: float
    logarithmic: bool
    whole: bool

    def draw(self, rng: random.Random) -> float:
        """A number; a whole one where the option is a count."""
        if self.whole:
            return rng.randint(int(self.low), int(self.high))
        if self.logarithmic and self.low > 0:
            return math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True)
class Words:
    """A word that the seed draws; one that is listed twice is drawn twice as often."""

    words: tuple[str, ...]

    def draw(self, rng: random.Random) -> str:
        """One of the words."""
        return rng.choice(self.words)


@dataclass(frozen=True)
class Fixed:
    """A value that nobody draws."""

    value: float | str

    def draw(self, _: random.Random) -> float | str:
        """The value."""
        return self.value


Setting = Range | Words | Fixed


@dataclass(frozen=True)
class HostGroup:
    """Hosts of one kind; `side` is ``lan`` or ``wan``, `services` are keys of `SERVICES`."""

    name: str
    side: str
    count: Range
    stacks: Words
    services: tuple[str, ...]


@dataclass(frozen=True)
class BenignRule:
    """What every host of the groups `sources` does; no `targets`: all that run the service."""

    activity: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    settings: dict[str, Setting]


@dataclass(frozen=True)
class AttackRule:
    """An attack of one host of `sources` on one of `targets`, `times` times."""

    task: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    times: Range
    start: Range
    seconds: Range
    settings: dict[str, Setting]


@dataclass(frozen=True)
class Scenario:
    """A validated scenario."""

    name: str
    description: str
    network: dict[str, Setting]
    gateway_services: tuple[str, ...]
    groups: tuple[HostGroup, ...]
    benign: tuple[BenignRule, ...]
    attacks: tuple[AttackRule, ...]


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that come with the lab, sorted."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read_scenario(name: str) -> Scenario:
    """Reads a shipped scenario by its name, or a file by its path.

    Raises:
        MissingInputError: there is neither.
        ScenarioError: the file is not a valid scenario; file, key and remedy are named.
    """
    path = SHIPPED / f"{name}.toml" if name in shipped_scenarios() else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: not UTF-8 text; a scenario is a TOML file") from None
    except OSError as error:
        raise MissingInputError(
            f"{path}: {error.strerror}; give a TOML file or one of {', '.join(shipped_scenarios())}"
        ) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: not TOML: {error}") from None
    return _scenario(path, document)


class _Table:
    """A table of the file that knows its place; every key has to be taken, none may be left."""

    def __init__(self, path: Path, place: str, table: Any) -> None:
        self.where = f"{path}: {place}" if place else f"{path}"
        if not isinstance(table, dict):
            raise ScenarioError(f"{self.where}: must be a table")
        self._table = dict(table)
        self._known: list[str] = []

    def text(self, key: str, default: str | None = None) -> str:
        value = self._take(key, default)
        if not isinstance(value, str) or not value:
            raise ScenarioError(f'{self.where}: {key} must be a text, such as {key} = "name"')
        return value

    def names(self, key: str, known: Iterable[str], *, needed: bool) -> tuple[str, ...]:
        """One name or a list of names, each one of `known`."""
        value = self._take(key, None if needed else [])
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or (needed and not names):
            raise ScenarioError(f"{self.where}: {key} must be a name or a list of names")
        return tuple(self.one_of(key, name, known) for name in names)

    def one_of(self, key: str, value: Any, known: Iterable[str]) -> str:
        """The value, if it is one of `known`."""
        options = list(known)
        if value in options:
            return str(value)
        raise ScenarioError(
            f"{self.where}: {key} = {value!r} is unknown{_suggestion(str(value), options)}; "
            f"known are {', '.join(options) or 'none'}"
        )

    def setting(self, key: str, option: Option) -> Setting:
        """A value, a range or a list as the option allows."""
        if option.later and key not in self._table:
            self._known.append(key)
            return Fixed(option.default[0])
        if option.kind == "word":
            default = [str(word) for word in option.default]
            value = self._take(key, default)
            words = value if isinstance(value, list) and value else [value]
            return Words(tuple(self.one_of(key, word, option.words) for word in words))
        return self.range(key, option)

    def range(self, key: str, option: Option) -> Range:
        """A number or ``[low, high]`` within the option's bounds."""
        value = self._take(key, list(option.default))
        ends = value if isinstance(value, list) else [value, value]
        whole = option.kind == "count"
        kinds = (int,) if whole else (int, float)
        numbers = len(ends) == 2 and all(type(end) in kinds for end in ends)
        if not numbers or not option.low <= ends[0] <= ends[1] <= option.high:
            raise ScenarioError(
                f"{self.where}: {key} = {value!r} must be a {'whole ' if whole else ''}number or "
                f"[low, high] from {option.low:g} to {option.high:g}"
            )
        return Range(ends[0], ends[1], option.logarithmic, whole)

    def tables(self, key: str) -> list[Any]:
        """The tables of an array ``[[key]]``."""
        value = self._take(key, [])
        if not isinstance(value, list):
            raise ScenarioError(f"{self.where}: write [[{key}]], an array of tables")
        return value

    def table(self, key: str) -> Any:
        """The table ``[key]``, or an empty one."""
        return self._take(key, {})

    def finish(self) -> None:
        """Refuses what is left."""
        for key in self._table:
            raise ScenarioError(
                f"{self.where}: unknown key {key!r}{_suggestion(key, self._known)}; "
                f"known are {', '.join(self._known)}"
            )

    def _take(self, key: str, default: Any) -> Any:
        self._known.append(key)
        if key in self._table:
            return self._table.pop(key)
        if default is None:
            # A key that is written wrongly explains why the right one is missing.
            near = [k for k in self._table if difflib.get_close_matches(k, [key])]
            hint = f"; is {near[0]!r} meant to be it?" if near else ""
            raise ScenarioError(f"{self.where}: {key} is missing{hint}")
        return default


def _suggestion(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f", did you mean {close[0]!r}?" if close else ""


def _scenario(path: Path, document: dict[str, Any]) -> Scenario:
    top = _Table(path, "", document)
    description = top.text("description", path.stem)
    network = _Table(path, "[network]", top.table("network"))
    hosts, benign, attacks = (top.tables(key) for key in ("hosts", "benign", "attacks"))
    top.finish()
    ranges = {key: network.setting(key, option) for key, option in _OPTIONS.items()}
    gateway_services = network.names("gateway_services", ("dns", "ntp"), needed=False)
    network.finish()
    groups: list[HostGroup] = []
    for number, table in enumerate(hosts, 1):
        groups.append(_group(_Table(path, f"[[hosts]] number {number}", table), groups))
    if not groups:
        raise ScenarioError(f"{path}: has no hosts; add a [[hosts]] table")
    if sum(group.count.high for group in groups) > MAX_HOSTS:
        raise ScenarioError(f"{path}: [[hosts]]: more than {MAX_HOSTS} hosts; lower the counts")
    services = {group.name: group.services for group in groups} | {"gateway": gateway_services}
    return Scenario(
        path.stem,
        description,
        ranges,
        gateway_services,
        tuple(groups),
        tuple(
            _benign(_Table(path, f"[[benign]] number {number}", table), services)
            for number, table in enumerate(benign, 1)
        ),
        tuple(
            _attack(_Table(path, f"[[attacks]] number {number}", table), services)
            for number, table in enumerate(attacks, 1)
        ),
    )


def _group(table: _Table, before: list[HostGroup]) -> HostGroup:
    name = table.text("name")
    if not _NAME.fullmatch(name):
        raise ScenarioError(
            f"{table.where}: name = {name!r} must be up to 30 lower-case letters, digits and '-'"
        )
    if name == "gateway" or name in [group.name for group in before]:
        raise ScenarioError(f"{table.where}: name = {name!r} is taken; choose another")
    group = HostGroup(
        name=name,
        side=table.one_of("side", table.text("side", "lan"), SIDES),
        count=table.range("count", _COUNT),
        stacks=Words(table.names("stacks", STACKS, needed=True)),
        services=table.names("services", SERVICES, needed=False),
    )
    for one, other in itertools.combinations(group.services, 2):
        shared = set(SERVICES[one][0]) & set(SERVICES[other][0])
        if shared and (one in TCP_PORTS) is (other in TCP_PORTS):
            raise ScenarioError(
                f"{table.where}: services {one!r} and {other!r} both want port {min(shared)}; give "
                "them to different groups"
            )
    table.finish()
    return group


def _benign(table: _Table, services: dict[str, tuple[str, ...]]) -> BenignRule:
    activity = table.one_of("activity", table.text("activity"), ACTIVITIES)
    kind = ACTIVITIES[activity]
    sources = table.names("from", [name for name in services if name != "gateway"], needed=True)
    fit = [name for name, has in services.items() if kind.service is None or kind.service in has]
    targets = table.names("to", fit, needed=False)
    if not fit:
        raise ScenarioError(
            f"{table.where}: activity = {activity!r} finds no server; add the service "
            f"{kind.service!r} to a group of hosts"
        )
    settings = {key: table.setting(key, option) for key, option in kind.options.items()}
    table.finish()
    return BenignRule(activity, sources, targets, settings)


def _attack(table: _Table, services: dict[str, tuple[str, ...]]) -> AttackRule:
    task = table.one_of("task", table.text("task"), ATTACKS)
    kind = ATTACKS[task]
    groups = [name for name in services if name != "gateway"]
    fit = [name for name in groups if not kind.services or set(kind.services) & set(services[name])]
    rule = AttackRule(
        task=task,
        sources=table.names("from", groups, needed=True),
        targets=table.names("to", fit, needed=True),
        times=table.range("times", _TIMES),
        start=table.range("start", _START),
        seconds=table.range("seconds", _SECONDS),
        settings={key: table.setting(key, option) for key, option in kind.options.items()},
    )
    _check_reflectors(table, rule, {name for has in services.values() for name in has})
    table.finish()
    return rule


def _check_reflectors(table: _Table, rule: AttackRule, services: set[str]) -> None:
    """Every way of a reflection needs hosts that answer."""
    for key in ("mode", "protocol"):
        setting = rule.settings.get(key)
        for word in setting.words if isinstance(setting, Words) else ():
            needed = PROTOCOLS[word].service if word in PROTOCOLS else "upnp"
            reflected = word in {"reflection", "multicast", *PROTOCOLS}
            if reflected and needed not in services:
                raise ScenarioError(
                    f"{table.where}: {key} = {word!r} needs devices that answer; add the service "
                    f"{needed!r} to a group of hosts, or choose another {key}"
                )
