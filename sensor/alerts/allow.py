"""Rules that allow flows: what they match raises no alert (`docs/semantics.md` 34).

An operator knows of flows that look like an attack and are none: the scanner of an audit, a backup
that opens hundreds of connections. A positive row that a rule allows counts as not positive, before
an incident hears of it. So whatever an incident tells is about flows that nobody has allowed.

A rule is about flows, which are facts. It cannot name whom an incident would be about: that depends
on the role that a bundle gives to its task, so a new bundle could silently change what the rule
means; and it would be a second way to say `source` or `destination`.

Expiry is compared with the flow clock at the row's decision, so a replay of what was recorded gives
the same alerts years later.

Columns only: in a flood, hundreds of thousands of rows a second are positive.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.eve import timestamp
from sensor.errors import ConfigurationError
from sensor.flows.sequences import SequenceBatch
from sensor.packets.headers import SCTP, TCP, UDP

RULES = 256
"""Most rules in a list; each costs time for every positive row."""

WITH_PORTS = (TCP, UDP, SCTP)
"""Protocols that a rule with a port can match; the ports of others are ICMP's types, or 0."""

PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": 1, "icmpv6": 58, "sctp": SCTP}
"""Names by which a person can give a protocol."""

_PROTOCOL_NAMES = {number: name for name, number in PROTOCOLS.items()}

_WORD = (1 << 64) - 1
_PORT = "responder's port"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow that someone asks about; None where the question leaves something open."""

    task: str | None = None
    source: IPv4Address | IPv6Address | None = None
    destination: IPv4Address | IPv6Address | None = None
    port: int | None = None
    protocol: int | None = None


@dataclass(frozen=True, slots=True)
class AllowRule:
    """Allows the flows that have everything that is given; None allows whatever it is.

    Attributes:
        comment: why it is there, in the operator's words.
        expires_ns: flow clock from which on it matches nothing; None for never.
        task: name of a detector's task.
        source, destination: networks of the flow's originator and responder.
        port: the responder's, of TCP, UDP or SCTP.
        protocol: IP protocol number.
        place: where it is written, ``file:line``.
    """

    comment: str
    expires_ns: int | None = None
    task: str | None = None
    source: Network | None = None
    destination: Network | None = None
    port: int | None = None
    protocol: int | None = None
    place: str = field(default="", compare=False)

    def differences(self, flow: Flow, at_ns: int) -> list[str]:
        """Why it does not allow a flow whose row is decided at a time; empty if it does."""
        wrong = []
        if self.task is not None and flow.task != self.task:
            wrong.append(f"its task is {self.task}, not {_given(flow.task)}")
        for end in ("source", "destination"):
            network: Network | None = getattr(self, end)
            address = getattr(flow, end)
            if network is not None and (address is None or address not in network):
                wrong.append(f"its {end} is {network}, not {_given(address)}")
        if self.port is not None:
            if flow.port != self.port:
                wrong.append(f"its port is {self.port}, not {_given(flow.port)}")
            elif flow.protocol is not None and flow.protocol not in WITH_PORTS:
                wrong.append(f"it has a port, which {protocol_name(flow.protocol)} has not")
        if self.protocol is not None and flow.protocol != self.protocol:
            wrong.append(
                f"its protocol is {protocol_name(self.protocol)}, "
                f"not {_given(protocol_name(flow.protocol))}"
            )
        if self.expired(at_ns):
            wrong.append(f"it expired at {timestamp(self.expires_ns or 0)}")
        return wrong

    def expired(self, at_ns: int) -> bool:
        """Whether it matches nothing any more."""
        return self.expires_ns is not None and at_ns >= self.expires_ns

    def covers(self, other: "AllowRule") -> bool:
        """Whether it allows whatever the other one does, for as long."""
        if self.expires_ns is not None and (
            other.expires_ns is None or other.expires_ns > self.expires_ns
        ):
            return False
        for name in ("task", "port"):
            mine = getattr(self, name)
            if mine is not None and mine != getattr(other, name):
                return False
        if self.protocol is not None and self.protocol != other.protocol:
            return False
        return _covers(self.source, other.source) and _covers(self.destination, other.destination)


class AllowList:
    """Rules in order, and how often each matched; used by one thread.

    A row is counted for the first rule that matches it. The list is replaced whole; what is
    configured anew takes over the counts of rules that stay.

    Attributes:
        rules: in order.
        matched: rows so far that each rule allowed.
        last_ns: flow clock of the last one; 0 where there was none.
    """

    def __init__(self, rules: Sequence[AllowRule] = (), before: "AllowList | None" = None) -> None:
        """Takes the rules.

        Args:
            rules: in the order in which they are asked.
            before: the list that this one replaces.

        Raises:
            ConfigurationError: these are too many.
        """
        if len(rules) > RULES:
            raise ConfigurationError(
                f"{rules[RULES].place}: is allow rule {RULES + 1}; at most {RULES} are possible, "
                "so join some by wider networks"
            )
        self.rules = tuple(rules)
        kept: dict[AllowRule, tuple[int, int]] = {}
        for rule, matched, last_ns in before.counts() if before else ():
            kept.setdefault(rule, (matched, last_ns))
        counts = [kept.get(rule, (0, 0)) for rule in self.rules]
        self.matched = [matched for matched, _ in counts]
        self.last_ns = [last_ns for _, last_ns in counts]
        self._ranges = [_ranges(rule) for rule in self.rules]

    def counts(self) -> Iterator[tuple[AllowRule, int, int]]:
        """Every rule with its `matched` and `last_ns`."""
        return zip(self.rules, self.matched, self.last_ns, strict=True)

    def permits(self, task: str, batch: SequenceBatch, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of the given rows, positive for a task, a rule allows; these are counted.

        Args:
            task: name of the task.
            batch: of the rows, in order of decision.
            rows: indices into it, ascending.

        Returns:
            ``(len(rows),)``.
        """
        permitted = np.zeros(rows.size, np.bool_)
        if not rows.size:
            return permitted
        columns = _Columns(batch, rows)
        for place, (rule, ranges) in enumerate(zip(self.rules, self._ranges, strict=True)):
            if rule.task not in (None, task) or (within := columns.within(ranges)) is None:
                continue
            new = np.flatnonzero(within & ~permitted)
            if new.size:
                permitted[new] = True
                self.matched[place] += new.size
                self.last_ns[place] = int(columns.of("decided_ns")[0][new[-1]])
        return permitted

    def shadowed(self) -> list[AllowRule | None]:
        """For each rule the earlier one that covers it, so that it never matches."""
        return [
            next((earlier for earlier in self.rules[:place] if earlier.covers(rule)), None)
            for place, rule in enumerate(self.rules)
        ]

    def document(self) -> list[dict[str, Any]]:
        """What `status` tells of each rule."""
        return [
            {
                "place": rule.place,
                "comment": rule.comment,
                "expires": None if rule.expires_ns is None else timestamp(rule.expires_ns),
                "matched": matched,
                "last": timestamp(last_ns) if matched else None,
            }
            for rule, matched, last_ns in self.counts()
        ]


_Range = tuple[str, int, int]
"""A column with the least and the greatest value that a rule allows in it."""


def _ranges(rule: AllowRule) -> list[_Range]:
    """The rule as ranges of columns; a prefix of addresses is one as well."""
    ranges: list[_Range] = []
    if rule.protocol is not None:
        ranges.append(("protocol", rule.protocol, rule.protocol))
    if rule.port is not None:
        ranges.append((_PORT, rule.port, rule.port))
    for end, network in (("source", rule.source), ("destination", rule.destination)):
        if network is None:
            continue
        ranges.append(("version", network.version, network.version))
        first, last = int(network.network_address), int(network.broadcast_address)
        # Of a prefix of at most 64 bits the low word is open, of a longer one the high word is one.
        ranges.append((f"{end}_high", first >> 64, last >> 64))
        ranges.append((f"{end}_low", first & _WORD, last & _WORD))
    if rule.expires_ns is not None:
        ranges.append(("decided_ns", -(1 << 63), rule.expires_ns - 1))
    return ranges


class _Columns:
    """Columns of some rows, each with its least and its greatest value, when they are asked for.

    In a flood these tell most rules apart from all rows, as its rows have much in common.
    """

    def __init__(self, batch: SequenceBatch, rows: NDArray[np.intp]) -> None:
        self._batch, self._rows = batch, rows
        self._known: dict[str, tuple[NDArray[Any], int, int]] = {}

    def of(self, name: str) -> tuple[NDArray[Any], int, int]:
        """The column, its least and its greatest value."""
        if name not in self._known:
            column = self._port() if name == _PORT else getattr(self._batch, name)[self._rows]
            self._known[name] = column, int(column.min()), int(column.max())
        return self._known[name]

    def within(self, ranges: list[_Range]) -> NDArray[np.bool_] | None:
        """The rows within all of the ranges; None if there is certainly none."""
        crossed = []
        for name, least, greatest in ranges:
            column, low, high = self.of(name)
            if high < least or low > greatest:
                return None
            if low < least or high > greatest:
                crossed.append((column, least, greatest))
        within = np.ones(self._rows.size, np.bool_)
        for column, least, greatest in crossed:
            within &= column >= least
            within &= column <= greatest
        return within

    def _port(self) -> NDArray[Any]:
        """Ports of responders; −1 where the protocol has none."""
        protocol = self.of("protocol")[0]
        has_ports = np.logical_or.reduce([protocol == each for each in WITH_PORTS])
        return np.where(has_ports, self.of("destination_port")[0].astype(np.int32), -1)


def _covers(mine: Network | None, other: Network | None) -> bool:
    if mine is None:
        return True
    # Each has a method for its own kind only, as a type checker knows.
    if isinstance(mine, IPv4Network):
        return isinstance(other, IPv4Network) and other.subnet_of(mine)
    return isinstance(other, IPv6Network) and other.subnet_of(mine)


def protocol_name(number: int | None) -> str | None:
    """What people call a protocol, else its number; None for none."""
    return None if number is None else _PROTOCOL_NAMES.get(number, str(number))


def _given(value: object) -> str:
    return "left open" if value is None else str(value)
