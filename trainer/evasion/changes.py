"""What an attacker does to his packets so as not to be recognised, within a budget.

Three changes, each of packets before flows are made of them, so that everything that follows from
them follows: sizes, gaps, the first packets that a flow is judged by, and the counts of new flows.

- **pad**: every packet of the attacker with a payload, and every SYN of his, carries up to so many
  bytes more, drawn evenly, at most `MTU` in all. A bare acknowledgement can carry nothing.
- **delay**: all packets of an attack, answers too, come so many times more slowly, from its first
  packet on. An attack is what goes on about one address. Fewer flows a second follow by
  themselves; so does that a slow enough flow falls apart at the idle timeout.
- **split**: every packet of the attacker with a payload comes as so many smaller ones, `APART_NS`
  apart. What was one packet of a flow is several. A flood of packets without payload has nothing to
  split.

The attacker is the originator of a flow; of replies that servers were made to send, he has chosen
the servers, and so their sizes. Answers of the attacked keep their sizes and their number.
"""

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sensor.packets.headers import SYN, TCP, Headers

MTU = 1_500
"""Largest IP packet that an attacker sends: that of Ethernet."""

APART_NS = 200_000
"""Time between the pieces of a packet."""


@dataclass(frozen=True)
class Change:
    """One way to evade, with its budget.

    Attributes:
        kind: ``pad``, ``delay``, ``split``, or ``all`` three.
        bytes_more: that a packet may have, at most.
        slower: times.
        pieces: of a packet.
    """

    kind: Literal["none", "pad", "delay", "split", "all"]
    bytes_more: int = 0
    slower: float = 1
    pieces: int = 1

    @property
    def budget(self) -> str:
        """In words."""
        parts = [f"+{self.bytes_more} bytes"] if self.bytes_more else []
        parts += [f"{self.slower:g} times slower"] if self.slower != 1 else []
        parts += [f"{self.pieces} pieces"] if self.pieces > 1 else []
        return ", ".join(parts) or "as recorded"


UNCHANGED = Change("none")

CHANGES = (
    UNCHANGED,
    *(Change("pad", bytes_more=size) for size in (32, 128, 512)),
    *(Change("delay", slower=times) for times in (2, 5, 20, 100)),
    *(Change("split", pieces=count) for count in (2, 4, 8)),
    Change("all", 128, 5, 2),
)


@dataclass(frozen=True)
class Attacks:
    """Which packets of a stream are of attacks.

    Attributes:
        event: ``(packets,)`` int64 number of the attack, −1 for packets of none.
        sent: ``(packets,)`` bool, whether the attacker sends it: the originator of an attack flow.
    """

    event: NDArray[np.int64]
    sent: NDArray[np.bool_]


def taken(headers: Headers, index: NDArray[np.int64]) -> Headers:
    """The packets of the given places."""
    return Headers(*(getattr(headers, column.name)[index] for column in fields(headers)))


def changed(
    headers: Headers, attacks: Attacks, change: Change, generator: np.random.Generator
) -> tuple[Headers, NDArray[np.int64]]:
    """The stream as the attacker changes it.

    Args:
        headers: packets in order.
        attacks: of the same packets.
        change: with its budget.
        generator: draws what is padded.

    Returns:
        Packets in order of time, and ``(packets,)`` from which of the given ones each was made.
    """
    result = _padded(headers, attacks, change.bytes_more, generator)
    result = _delayed(result, attacks, change.slower)
    result, origin = _split(result, attacks, change.pieces)
    order = np.argsort(result.timestamp_ns, kind="stable")
    return taken(result, order), origin[order]


def _padded(
    headers: Headers, attacks: Attacks, most: int, generator: np.random.Generator
) -> Headers:
    if not most:
        return headers
    opens = (headers.protocol == TCP) & ((headers.tcp_flags & SYN) > 0)
    able = attacks.sent & ((headers.payload_length > 0) | opens | (headers.protocol != TCP))
    room = np.maximum(MTU - headers.ip_length.astype(np.int64), 0)
    more = np.minimum(generator.integers(0, most, len(headers), endpoint=True), room)
    more = np.where(able, more, 0)
    return replace(
        headers,
        ip_length=(headers.ip_length + more).astype(np.uint16),
        payload_length=(headers.payload_length + more).astype(np.uint16),
    )


def _delayed(headers: Headers, attacks: Attacks, slower: float) -> Headers:
    if slower == 1:
        return headers
    time, its = headers.timestamp_ns, attacks.event
    first = np.full(int(its.max(initial=-1)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, its[its >= 0], time[its >= 0])
    begin = np.where(its >= 0, first[its] if first.size else 0, time)
    return replace(headers, timestamp_ns=begin + ((time - begin) * slower).astype(np.int64))


def _split(headers: Headers, attacks: Attacks, pieces: int) -> tuple[Headers, NDArray[np.int64]]:
    # A piece carries at least a byte.
    count = np.where(attacks.sent, np.clip(headers.payload_length.astype(np.int64), 1, pieces), 1)
    origin = np.repeat(np.arange(len(headers)), count)
    if pieces == 1:
        return headers, origin
    place = np.arange(origin.size) - np.repeat(np.cumsum(count) - count, count)
    each = taken(headers, origin)
    its, whole = count[origin], each.payload_length.astype(np.int64)
    payload = whole // its + (place < whole % its)
    return (
        replace(
            each,
            timestamp_ns=each.timestamp_ns + place * APART_NS,
            payload_length=payload.astype(np.uint16),
            ip_length=(each.ip_length - whole + payload).astype(np.uint16),
        ),
        origin,
    )
