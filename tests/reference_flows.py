"""Who talks to whom, one packet at a time: rules 4, 5, 6 and 9 of `docs/semantics.md`.

`Slots` is the life of whatever has a key and occupies a slot; `Conversations` are the five-tuple
flows, whose originators and context every key needs. Plain dictionaries and lists throughout.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from reference_decode import SECOND_NS, TCP, Packet

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
CONTEXT_WINDOWS = tuple((scope, window) for scope in range(3) for window in (1, 10))
"""srv, src, dst (scopes of `Conversations.begin`), each over 1 s and 10 s."""

Endpoint = tuple[int, int]
"""Address and port."""


@dataclass
class Entry:
    """What occupies a slot: it is open, or closed and not yet silent for long enough."""

    ordinal: int
    key: Any
    last_clock: int
    packets: int = 0
    closed: bool = False
    sides: set[int] = field(default_factory=set)

    @property
    def probation(self) -> bool:
        """Goes first when the table is full (rule 6)."""
        return self.closed or len(self.sides) < 2 or self.packets <= 2


class Slots:
    """A table of fixed size, whose entries end by silence or to make room."""

    def __init__(self, slots: int, evict_every: int, idle_ns: int) -> None:
        self.slots, self.evict_every, self.idle_ns = slots, evict_every, idle_ns
        self.entries: dict[Any, Any] = {}
        self._deadlines: list[tuple[int, int, Any]] = []

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entry: Entry) -> None:
        """An entry under a key that is free."""
        self.entries[entry.key] = entry
        heappush(self._deadlines, (entry.last_clock + self.idle_ns, entry.ordinal, entry.key))

    def idle(self, clock: int) -> list[tuple[int, Any]]:
        """Takes out what has been silent for too long: (when that was so, entry)."""
        ended = []
        while self._deadlines and self._deadlines[0][0] < clock:
            deadline, ordinal, key = heappop(self._deadlines)
            entry = self.entries.get(key)
            if entry is None or entry.ordinal != ordinal:
                continue
            if (due := entry.last_clock + self.idle_ns) == deadline:
                ended.append((deadline, self.entries.pop(key)))
            else:
                heappush(self._deadlines, (due, ordinal, key))
        return ended

    def evict(self) -> list[Any]:
        """Takes out what has to go, as rule 6 ranks it."""
        if self.slots - len(self.entries) >= self.evict_every:
            return []
        ranked = sorted(
            self.entries.values(),
            key=lambda entry: (
                not entry.probation,
                not entry.probation and entry.last_clock,
                entry.ordinal,
            ),
        )
        evicted = ranked[: max(0, len(ranked) - 3 * self.slots // 4)]
        for entry in evicted:
            del self.entries[entry.key]
        return evicted


@dataclass(kw_only=True)
class Conversation(Entry):
    """A five-tuple flow without its rows."""

    originator: Endpoint
    responder: Endpoint
    version: int
    protocol: int
    midstream: bool
    context: list[int]
    saturated: bool
    finished_sides: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Part:
    """A packet's part in its conversation.

    Attributes:
        conversation: that it belongs to.
        direction: +1 from the conversation's originator, −1 to it.
        trailing: the conversation had closed before.
        replaced: an earlier conversation of the same key, which this packet put an end to.
    """

    conversation: Conversation
    direction: int
    trailing: bool
    replaced: Conversation | None


class Conversations:
    """The five-tuple flows of a stream; `memory` is how many the context remembers."""

    def __init__(self, slots: Slots, memory: int) -> None:
        self.slots, self.memory = slots, memory
        self._began: list[int] = []
        self._began_by: list[dict[Any, list[tuple[int, int]]]] = [{}, {}, {}]

    def packet(self, clock: int, packet: Packet) -> Part:
        """Finds or begins the packet's conversation, and enters it there."""
        source = (packet.source, packet.source_port)
        destination = (packet.destination, packet.destination_port)
        key = (packet.version, packet.protocol, frozenset((source, destination)))
        tcp = packet.protocol == TCP
        syn, ack = bool(packet.tcp_flags & SYN), bool(packet.tcp_flags & ACK)
        conversation = self.slots.entries.get(key)
        replaced = None
        if conversation and conversation.closed and tcp and syn and not ack:
            replaced, conversation = conversation, None
            del self.slots.entries[key]
        if conversation is None:
            inverted = tcp and syn and ack
            ends = (destination, source) if inverted else (source, destination)
            conversation = self._begin(clock, key, ends, packet)
        direction = 1 if source == conversation.originator else -1
        conversation.last_clock = clock
        trailing = conversation.closed
        if not trailing:
            conversation.packets += 1
            conversation.sides.add(direction)
            if packet.tcp_flags & FIN:
                conversation.finished_sides.add(direction)
            reset = bool(packet.tcp_flags & RST)
            conversation.closed = reset or len(conversation.finished_sides) == 2
        return Part(conversation, direction, trailing, replaced)

    def _begin(
        self, clock: int, key: Any, ends: tuple[Endpoint, Endpoint], packet: Packet
    ) -> Conversation:
        ordinal = len(self._began)
        (originator, responder), version, protocol = ends, packet.version, packet.protocol
        oldest = max(0, ordinal - self.memory)
        identities = (
            (version, *responder, protocol),
            (version, originator[0]),
            (version, responder[0]),
        )
        context = []
        for scope, window in CONTEXT_WINDOWS:
            earlier = self._began_by[scope].get(identities[scope], [])
            too_early = bisect_right(earlier, (clock - window * SECOND_NS, ordinal))
            forgotten = bisect_left(earlier, oldest, key=lambda began: began[1])
            context.append(len(earlier) - max(too_early, forgotten))
        conversation = Conversation(
            ordinal,
            key,
            clock,
            originator=originator,
            responder=responder,
            version=version,
            protocol=protocol,
            midstream=protocol == TCP and not packet.tcp_flags & SYN,
            context=context,
            saturated=oldest > 0 and self._began[oldest - 1] > clock - 10 * SECOND_NS,
        )
        for scope, identity in enumerate(identities):
            self._began_by[scope].setdefault(identity, []).append((clock, ordinal))
        self._began.append(clock)
        self.slots.add(conversation)
        return conversation
