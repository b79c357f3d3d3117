"""Which packets of a piece ask for an answer, which may be one, and by what they are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sensor.flows.index import Words
from sensor.latency.measurements import ECHO_KIND, SYN_ACK_KIND, SYN_KIND, TIMESTAMP_KIND
from sensor.packets.headers import ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP, Headers
from sensor.packets.probe_numbers import ECHO_TYPES

KEY_WORDS = 6
"""Words of a key: two that hold all of an IPv4 key, four more for a pair of IPv6 addresses."""
MOST = 2
"""Questions and answers that a packet can be, in either of the two functions below."""
EITHER = 255
"""Kind of an answer to a SYN or to a SYN-ACK: a RST, whichever it acknowledges."""

_HALF = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)
_SOURCE_PORT = np.uint64(48)
_VERSION6 = np.uint64(6)

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions and possible answers of a piece, by packet; of a packet answers stand first.

    Attributes:
        packet: place in the piece.
        asks: whether it is a question.
        refuses: whether it is an answer that declines.
        kind: of the question, or of that which would be answered; `EITHER`.
        words: ``(w, entries)`` keys as `KeyIndex.find` takes them: the ends, in the question's
            direction, and its number.
        long: which keys are long.
    """

    packet: Index
    asks: Mask
    refuses: Mask
    kind: NDArray[np.uint8]
    words: Words
    long: Mask

    def __len__(self) -> int:
        return self.packet.size


@dataclass(frozen=True, slots=True)
class _Part:
    packet: Index
    number: NDArray[np.uint64]
    kind: int
    asks: bool
    refuses: bool = False


def connections_and_echoes(headers: Headers) -> Questions:
    """SYNs, SYN-ACKs and what acknowledges them; echo requests and replies.

    A SYN with data is no question: what acknowledges it depends on whether the data is taken
    (RFC 7413).
    """
    numbers = headers.sequence_numbers
    sequence, acknowledged = (numbers >> _HIGH) + np.uint64(1) & _HALF, numbers & _HALF
    tcp, flags = headers.protocol == TCP, headers.tcp_flags
    # a FIN may stand beside what acknowledges; a SYN with one is no question
    said = flags & (SYN | ACK | RST)
    opens = ((flags & (SYN | ACK | RST | FIN)) == SYN) & (headers.payload_length == 0)

    def part(mask: Mask, number: NDArray[np.uint64], kind: int, **what: bool) -> _Part:
        at = np.flatnonzero(mask)
        return _Part(at, number[at], kind, **what)

    syn_ack = tcp & (said == SYN | ACK)
    parts = [
        part(syn_ack, acknowledged, SYN_KIND, asks=False),
        part(tcp & (said == RST | ACK), acknowledged, EITHER, asks=False, refuses=True),
        part(tcp & (said == ACK), acknowledged, SYN_ACK_KIND, asks=False),
        part(tcp & opens, sequence, SYN_KIND, asks=True),
        part(syn_ack, sequence, SYN_ACK_KIND, asks=True),
    ]
    if not tcp.all():
        echo = ~tcp & (numbers >= 1 << 32)
        request = np.where(headers.protocol == ICMP, ECHO_TYPES[ICMP][0], ECHO_TYPES[ICMPV6][0])
        asks = headers.source_port == request
        parts += [
            part(echo & ~asks, acknowledged, ECHO_KIND, asks=False),
            part(echo & asks, acknowledged, ECHO_KIND, asks=True),
        ]
    return _joined(headers, parts)


def timestamps(headers: Headers) -> Questions:
    """TCP timestamps and their echoes.

    Only what has to be acknowledged asks: data, SYN and FIN. A pure acknowledgement is echoed when
    its receiver next has something to say, be it after hours.
    """
    stamps, flags = headers.tcp_timestamps, headers.tcp_flags
    value, echo = stamps >> _HIGH, stamps & _HALF
    calm = (stamps != 0) & ((flags & RST) == 0)
    answers = np.flatnonzero(calm & (echo != 0) & ((flags & ACK) != 0))
    due = (headers.payload_length > 0) | ((flags & (SYN | FIN)) != 0)
    asks = np.flatnonzero(calm & (value != 0) & due)
    parts = [
        _Part(answers, echo[answers], TIMESTAMP_KIND, asks=False),
        _Part(asks, value[asks], TIMESTAMP_KIND, asks=True),
    ]
    return _joined(headers, parts)


def _joined(headers: Headers, parts: Sequence[_Part]) -> Questions:
    packet = np.concatenate([part.packet for part in parts])
    sizes = [part.packet.size for part in parts]
    asks, refuses, kind = (
        np.repeat(np.array([getattr(part, name) for part in parts], dtype), sizes)
        for name, dtype in (("asks", np.bool_), ("refuses", np.bool_), ("kind", np.uint8))
    )
    number = np.concatenate([part.number for part in parts])
    order = np.argsort(packet * 2 + asks, kind="stable")
    order = order[_has_ends(headers, packet[order])]
    packet, asks, number = packet[order], asks[order], number[order]
    words, long = _keys(headers, packet, asks, number)
    return Questions(packet, asks, refuses[order], kind[order], words, long)


def _has_ends(headers: Headers, packet: Index) -> Mask:
    """Whether both IPv4 addresses are a host's: no key has all ones then, or is one of IPv6."""
    held: Mask = np.ones(packet.size, np.bool_)
    for words in (headers.source_low, headers.destination_low):
        address = words[packet]
        held &= (address != 0) & (address != _HALF)
    held |= headers.version[packet] == 6
    return held


def _keys(
    headers: Headers, packet: Index, asks: Mask, number: NDArray[np.uint64]
) -> tuple[Words, Mask]:
    columns = {}
    for part in ("high", "low", "port"):
        ends = [getattr(headers, f"{end}_{part}")[packet] for end in ("source", "destination")]
        columns[part] = np.where(asks, *ends), np.where(asks, *ends[::-1])
    ports = [each.astype(np.uint64) for each in columns["port"]]
    first = ports[0] << _SOURCE_PORT | ports[1] << _HIGH | number
    low = columns["low"]
    second = low[0] << _HIGH | low[1]
    long: Mask = headers.version[packet] == 6
    if not long.any():
        return np.stack((first, second)), long
    second[long] = _VERSION6
    further = [np.where(long, each, np.uint64(0)) for each in (*columns["high"], *low)]
    return np.stack((first, second, *further)), long
