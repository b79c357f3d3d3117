"""Keys that gather several five-tuple flows: of a service, of a source, of a pair of hosts.

In that role five-tuple flows are called conversations. They begin and end as flows of the default
key do, with slots of their own, and say of every packet who originated what it belongs to; what
they hold of each other's packets is two counts, so they are small (`docs/semantics.md` 4).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sensor.flows.context import ContextWindows
from sensor.flows.epochs import part_of
from sensor.flows.key import KEY_WORDS, Words, five_tuple
from sensor.flows.keying import FiveTuple, Keyed
from sensor.flows.slots import FlowSlots
from sensor.flows.state import CONVERSATION, INHERITED, put, take
from sensor.packets.headers import Headers

_PORT, _PROTOCOL = np.uint64(32), np.uint64(48)
_VERSION = np.uint64(56)

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Conversed:
    """To which conversations the packets of a block belong.

    Attributes:
        records: ``(conversations,)`` `CONVERSATION` records, as they were when they began; a
            conversation may occur twice.
        of_packet: ``(packets,)`` which of them.
        outward: ``(packets,)`` whether the packet comes from the originator.
    """

    records: NDArray[np.void]
    of_packet: Index
    outward: Mask


class Conversations:
    """Follows all conversations of a stream of packets.

    Attributes:
        evicted: conversations that were evicted so far.
    """

    def __init__(self, slots: int, idle_ns: int, context: ContextWindows | None) -> None:
        """Makes an empty table of conversations, with the arguments of the flow table's."""
        self._idle_ns = idle_ns
        self._key = FiveTuple(context)
        self._slots = FlowSlots(slots, KEY_WORDS, idle_ns)
        self._records = np.zeros(self._slots.size, CONVERSATION)
        self._begun = self.evicted = 0

    def take(self, headers: Headers, clock: Index) -> Conversed:
        """Takes the next packets of the stream, with the flow clock at each of them."""
        parts, records, done = [], 0, 0
        while done < len(headers):
            piece = slice(done, done + self._slots.piece_size(len(headers) - done))
            part = self._take(part_of(headers, piece), clock[piece])
            parts.append(replace(part, of_packet=part.of_packet + records))
            records += part.records.size
            if self._slots.crowded(len(part.of_packet)):
                crowd = self._slots.crowd()
                self._slots.free(crowd)
                self.evicted += crowd.size
            done = piece.stop
        if len(parts) == 1:
            return parts[0]
        return Conversed(
            np.concatenate([part.records for part in parts]),
            np.concatenate([part.of_packet for part in parts]),
            np.concatenate([part.outward for part in parts]),
        )

    def restart(self) -> None:
        """Begins another stream; all conversations and their context are forgotten."""
        self._slots.free(np.flatnonzero(self._slots.live).astype(np.int32))
        self._slots.restart()
        self._key.restart()

    def _take(self, headers: Headers, clock: Index) -> Conversed:
        keyed = self._key.take(headers, clock)
        now = int(clock[-1])
        segments, sorted_clock = self._slots.cut(
            keyed.words, keyed.long, clock, keyed.flags, keyed.forward
        )
        records = take(self._records, segments.slot)
        fresh, first = segments.beginnings()
        if fresh.size:
            state = np.zeros(fresh.size, CONVERSATION)
            state["ordinal"] = self._begun + np.arange(fresh.size)
            self._begun += fresh.size
            keyed.begin(first, state, state)
            put(records, fresh, state)

        outward = keyed.forward[segments.order]
        outward = outward == records["owner_forward"][segments.of_packet]
        counted = segments.counted()
        records["seen"] |= segments.sides(outward, counted)
        records["packets"] += np.add.reduceat(counted, segments.start, dtype=np.int64)
        last_clock = sorted_clock[segments.stop - 1]
        end = last_clock + self._idle_ns
        staying = segments.final & (end >= now)
        elsewhere = self._slots.due_elsewhere(segments, now)
        put(self._records, segments.slot[staying], take(records, np.flatnonzero(staying)))
        self._slots.settle(segments, records, last_clock, end, staying)
        self._slots.free(elsewhere)

        of_packet, from_originator = np.empty_like(segments.order), np.empty_like(outward)
        of_packet[segments.order] = segments.of_packet
        from_originator[segments.order] = outward
        return Conversed(records, of_packet, from_originator)


class OfConversations:
    """A key made of the conversations that packets belong to."""

    def __init__(self, key: str, conversations: Conversations) -> None:
        """Takes ``service``, ``source`` or ``host_pair``, and the conversations of the stream.

        Nobody else may tell these of packets.
        """
        self._keyed = {"service": _service, "source": _source, "host_pair": _host_pair}[key]
        self.words = {"service": 4, "source": 2, "host_pair": KEY_WORDS}[key]
        self._conversations = conversations

    @property
    def conversations_evicted(self) -> int:
        """How many had to make room for others."""
        return self._conversations.evicted

    def take(self, headers: Headers, clock: Index) -> Keyed:
        """Keys of the packets."""
        return self._keyed(headers, self._conversations.take(headers, clock))

    def restart(self) -> None:
        """Forgets the conversations."""
        self._conversations.restart()


def _service(headers: Headers, conversed: Conversed) -> Keyed:
    records = conversed.records
    tag = records["destination_port"].astype(np.uint64) << _PORT
    tag |= records["protocol"].astype(np.uint64) << _PROTOCOL
    address = (records["destination_high"], records["destination_low"])
    return _gathered(headers, conversed, _address_words(records, tag, address))


def _source(headers: Headers, conversed: Conversed) -> Keyed:
    records = conversed.records
    # the network part of an IPv6 address, all of an IPv4 address
    known = np.where(records["version"] == 6, records["source_high"], records["source_low"])
    return _gathered(headers, conversed, np.stack((known, _versions(records))))


def _host_pair(headers: Headers, conversed: Conversed) -> Keyed:
    nothing = np.zeros_like(headers.source_port)
    hosts = replace(
        headers,
        source_port=nothing,
        destination_port=nothing,
        protocol=np.zeros_like(headers.protocol),
    )
    words, from_lower = five_tuple(hosts)

    def begin(first: Index, state: NDArray[np.void], origin: NDArray[np.void]) -> None:
        _inherit(conversed, first, origin)
        state["owner_forward"] = from_lower[first]
        for name in ("source_high", "source_low", "destination_high", "destination_low"):
            origin[name] = getattr(headers, name)[first]
        origin["source_port"] = origin["destination_port"] = 0

    return Keyed(words, headers.version == 6, from_lower, np.zeros_like(headers.tcp_flags), begin)


def _gathered(headers: Headers, conversed: Conversed, words: Words) -> Keyed:
    """A key to which each conversation belongs as a whole; `words` are those of `records`."""

    def begin(first: Index, state: NDArray[np.void], origin: NDArray[np.void]) -> None:
        _inherit(conversed, first, origin)
        state["owner_forward"] = True

    return Keyed(
        words[:, conversed.of_packet],
        (headers.version == 6) & (words.shape[0] > 2),
        conversed.outward,
        np.zeros_like(headers.tcp_flags),
        begin,
    )


def _inherit(conversed: Conversed, first: Index, origin: NDArray[np.void]) -> None:
    """What a flow takes over from the conversation of its first packet."""
    records = take(conversed.records, conversed.of_packet[first])
    for name in INHERITED:
        origin[name] = records[name]


def _versions(records: NDArray[np.void]) -> NDArray[np.uint64]:
    versions: NDArray[np.uint64] = records["version"].astype(np.uint64) << _VERSION
    return versions


def _address_words(
    records: NDArray[np.void], tag: NDArray[np.uint64], address: tuple[Words, Words]
) -> Words:
    """Keys of one address and a tag of 24 bits above 32: all of it in a word for IPv4."""
    high, low = address
    long = records["version"] == 6
    first = np.where(long, tag, low | tag)
    further = (np.where(long, high, 0), np.where(long, low, 0))
    return np.stack((first, _versions(records), *further))
