"""What the values of a configuration may be, and what is made of them.

A kind says its form in words, for messages and for `docs/configuration.md`, and has an example
that is written as it stands. What it refuses it refuses with `WrongValueError`, whose text names
the remedy; the reader of the file adds the place.
"""

import datetime as dt
import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Protocol

LONGEST_PATH = 1_024
LONGEST_SOCKET_PATH = 107
"""sun_path of unix(7) holds 108 bytes with the zero at the end."""

LONGEST_TEXT = 200
"""Characters of comments that people write."""

INTERFACE_BYTES = 15
"""IFNAMSIZ of linux/if.h is 16 with the zero at the end."""

_SHOWN = 60
_LATEST_NS = (1 << 63) - 1
"""Times are counted in 64 bits, which end in 2262."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


class WrongValueError(ValueError):
    """A value is not what its key takes.

    Attributes:
        below: keys and places under the key at which the wrong part stands.
    """

    def __init__(self, text: str, *below: str | int) -> None:
        """Takes what is wrong, and the remedy."""
        super().__init__(text)
        self.below = below


class BitsBeyondPrefixError(WrongValueError):
    """An address is given where its network was meant, or the other way round."""


class Kind(Protocol):
    """What the value of a key may be."""

    @property
    def form(self) -> str:
        """What it may be, in words that follow "is no"."""
        ...

    @property
    def example(self) -> str:
        """A value as it is written in the file."""
        ...

    def parse(self, value: object, folder: Path) -> Any:
        """What the program uses.

        Args:
            value: as TOML gives it.
            folder: of the file in which it stands, absolute.

        Raises:
            WrongValueError: it is something else.
        """
        ...


def shown(value: object) -> str:
    """A value of TOML as a message may show it: short, and on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else value[: _SHOWN - 1] + "…")
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a number of that size"
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    return "a table" if isinstance(value, dict) else str(value)


def refused(kind: Kind, value: object) -> WrongValueError:
    """What says that a value has not the form of a kind."""
    return WrongValueError(f"{shown(value)} is no {kind.form}; write one like {kind.example}")


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    form: str = "true or false"
    example: str = "true"

    def parse(self, value: object, folder: Path) -> bool:  # noqa: ARG002 -- as every kind
        """The value."""
        if not isinstance(value, bool):
            raise WrongValueError(f"{shown(value)} is neither true nor false; write one of them")
        return value


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number within bounds, or `also`."""

    least: int
    most: int
    unit: str = ""
    also: int | None = None

    @property
    def form(self) -> str:
        """Its bounds, and its unit."""
        unit = f" ({self.unit})" if self.unit else ""
        also = "" if self.also is None else f", or {self.also}"
        return f"whole number from {self.least} to {self.most}{unit}{also}"

    @property
    def example(self) -> str:
        """The least."""
        return str(self.least)

    def parse(self, value: object, folder: Path) -> int:  # noqa: ARG002 -- as every kind
        """The value."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or not (self.least <= value <= self.most or value == self.also):  # type: ignore[operator]
            raise refused(self, value)
        return int(value)  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def form(self) -> str:
        """All of them."""
        return " or ".join(f'"{word}"' for word in self.words)

    @property
    def example(self) -> str:
        """The first."""
        return f'"{self.words[0]}"'

    def parse(self, value: object, folder: Path) -> str:  # noqa: ARG002 -- as every kind
        """The word."""
        if not isinstance(value, str) or value not in self.words:
            raise WrongValueError(f"{shown(value)} is not {self.form}; write one of them")
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """Words of a person, on one line."""

    most: int = LONGEST_TEXT
    example: str = '"the printer scans for its server every morning"'

    @property
    def form(self) -> str:
        """How long it may be."""
        return f"text of 1 to {self.most} printable characters"

    def parse(self, value: object, folder: Path) -> str:  # noqa: ARG002 -- as every kind
        """The text, without spaces around it."""
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise refused(self, value)
        if len(value) > self.most:
            raise WrongValueError(f"has {len(value)} characters; write at most {self.most}")
        return value.strip()


@dataclass(frozen=True, slots=True)
class Matching:
    """Text of a form; groups of the pattern are checked: `port`, and `six`, an IPv6 address."""

    form: str
    example: str
    pattern: "re.Pattern[str]"
    optional: bool = False

    def parse(self, value: object, folder: Path) -> str:  # noqa: ARG002 -- as every kind
        """The text; empty only where that is allowed."""
        if value == "" and self.optional:
            return ""
        found = self.pattern.fullmatch(value) if isinstance(value, str) else None
        if not found or not found[0].isprintable():
            raise refused(self, value)
        groups = found.groupdict()
        port, six = groups.get("port"), groups.get("six")
        if port is not None and not 1 <= int(port) <= 65_535:
            raise WrongValueError(f"{shown(value)} has no port from 1 to 65535; write one")
        if six is not None:
            try:
                IPv6Address(six)
            except ValueError:
                raise WrongValueError(
                    f"{shown(value)} has no IPv6 address in its brackets; write one like [fd00::1]"
                ) from None
        return found[0]


@dataclass(frozen=True, slots=True)
class InterfaceName:
    """The name of a network interface, as the kernel allows it (`dev_valid_name`)."""

    form: str = f"name of an interface (at most {INTERFACE_BYTES} bytes, no space, / or :)"
    example: str = '"eth0"'

    def parse(self, value: object, folder: Path) -> str:  # noqa: ARG002 -- as every kind
        """The name."""
        allowed = isinstance(value, str) and re.fullmatch(r"[^\s/:]+", value)
        if not allowed or not value.isprintable() or value in {".", ".."}:  # type: ignore[attr-defined]
            raise refused(self, value)
        name = str(value)
        if len(name.encode()) > INTERFACE_BYTES:
            raise refused(self, value)
        return name


@dataclass(frozen=True, slots=True)
class FilePath:
    """The path of a file or folder; the empty text is `None` where that is allowed.

    What does not begin with / is looked for from the folder of the file in which it stands.
    """

    optional: bool = False
    what: str = "path"
    example: str = '"/var/lib/multa/name"'
    most_bytes: int = LONGEST_PATH

    @property
    def form(self) -> str:
        """A path, and whether there need be one."""
        return f'{self.what}, or "" for none' if self.optional else self.what

    def parse(self, value: object, folder: Path) -> Path | None:
        """The path, absolute."""
        if value == "" and self.optional:
            return None
        if not isinstance(value, str) or not value or not value.isprintable():
            raise refused(self, value)
        if value.startswith("~"):
            raise WrongValueError(f"{shown(value)}: ~ means nothing here; write the whole path")
        path = folder / value
        if len(str(path).encode()) > self.most_bytes:
            raise WrongValueError(f"is longer than {self.most_bytes} bytes; choose a shorter path")
        return path


@dataclass(frozen=True, slots=True)
class OutputPath:
    """The path of a file, or - for standard output."""

    form: str = 'path, or "-" for standard output'
    example: str = '"/var/log/multa/alerts.json"'

    def parse(self, value: object, folder: Path) -> str:
        """The path, absolute, or -."""
        if value == "-":
            return "-"
        if not isinstance(value, str):
            raise refused(self, value)
        return str(FilePath(example=self.example).parse(value, folder))


TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""As in manifests."""

MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""As in manifests."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A bundle by its name, or by the path of its folder."""

    form: str = "name of a bundle, or path of its folder (with a /)"
    example: str = '"iot-gateway"'

    def parse(self, value: object, folder: Path) -> str:
        """The name, or the path, absolute."""
        if isinstance(value, str) and "/" in value:
            return str(FilePath(example='"/opt/multa/models/mine"').parse(value, folder))
        if not isinstance(value, str) or not MODEL_NAME.fullmatch(value):
            raise refused(self, value)
        return value


def network(text: str) -> IPv4Network | IPv6Network:
    """A network in CIDR form; an address without a prefix is a network of its own.

    Raises:
        WrongValueError: it is none.
        BitsBeyondPrefixError: its address does not end with its prefix.
    """
    address, slash, length = text.partition("/")
    # Python would take network masks too, and names of interfaces.
    if "%" not in address and (not slash or length.isdigit()):
        try:
            host, found = ip_network(address), ip_network(text, strict=False)
        except ValueError:
            pass
        else:
            if host.network_address != found.network_address:
                raise BitsBeyondPrefixError(
                    f"has more bits than its prefix; write {found} for the network, or {host} for "
                    "the one address"
                )
            return found
    raise WrongValueError("is no network; write one like 192.168.0.0/16 or fd00::/8")


@dataclass(frozen=True, slots=True)
class Network:
    """A network, or an address."""

    form: str = "network or address, IPv4 or IPv6"
    example: str = '"192.168.0.0/16"'

    def parse(self, value: object, folder: Path) -> IPv4Network | IPv6Network:  # noqa: ARG002
        """The network."""
        if not isinstance(value, str):
            raise refused(self, value)
        try:
            return network(value)
        except WrongValueError as error:
            raise WrongValueError(f"{shown(value)} {error}") from None


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a rule ends: a date, a date with a time, or never."""

    form: str = 'date, date with a time, or "never"'
    example: str = "2027-01-01"

    def parse(self, value: object, folder: Path) -> int | None:  # noqa: ARG002 -- as every kind
        """Nanoseconds since 1970, or `None`; times without an offset are UTC."""
        if value == "never":
            return None
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime.combine(value, dt.time())
        if not isinstance(value, dt.datetime):
            raise refused(self, value)
        if value.tzinfo is None:
            value = value.replace(tzinfo=dt.timezone.utc)
        passed_ns = (value - _EPOCH) // dt.timedelta(microseconds=1) * 1_000
        if not 0 <= passed_ns <= _LATEST_NS:
            raise WrongValueError(
                f"{shown(value)} is not between 1970 and 2262; write one like {self.example}, or "
                '"never"'
            )
        return passed_ns


@dataclass(frozen=True, slots=True)
class ListOf:
    """Several values of a kind, none of them twice."""

    kind: Kind
    most: int

    @property
    def form(self) -> str:
        """What there may be, and how many."""
        return f"array of at most {self.most}, each a {self.kind.form}"

    @property
    def example(self) -> str:
        """One of them."""
        return f"[{self.kind.example}]"

    def parse(self, value: object, folder: Path) -> tuple[Any, ...]:
        """All of them, in their order."""
        if not isinstance(value, list):
            raise WrongValueError(f"{shown(value)} is no array; write one like {self.example}")
        if len(value) > self.most:
            raise WrongValueError(f"has {len(value)} entries; {self.most} are allowed")
        found: list[Any] = []
        for each in value:
            parsed = self.kind.parse(each, folder)
            if parsed in found:
                raise WrongValueError(f"{shown(each)} is given twice; leave one out")
            found.append(parsed)
        return tuple(found)
