"""Fragments of IP packets joined to the flow of their first one (`docs/semantics.md` 24).

Only a first fragment holds a transport header. What it was decoded to is remembered, and later
fragments take their addresses, ports and protocol from there. Fragments are rare; the one step
that needs packet order is a dictionary look-up each, everything around it is done on columns.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sensor.packets.datagrams import KEY_BYTES, Fragments
from sensor.packets.gather import Index
from sensor.packets.headers import Headers

REMEMBERED = 4_096
"""First fragments that are remembered."""
APART_NS = 30_000_000_000
"""Greatest time between a first and a later fragment: Linux gives up on reassembly after 30 s
(net/ipv4/ip_fragment.c, IP_FRAG_TIME)."""

_TAKEN = (
    "version",
    "protocol",
    "source_high",
    "source_low",
    "destination_high",
    "destination_low",
    "source_port",
    "destination_port",
)
_FIRST = np.dtype(
    [
        ("timestamp_ns", np.int64),
        ("version", np.uint8),
        ("protocol", np.uint8),
        *((name, np.uint64) for name in _TAKEN[2:6]),
        *((name, np.uint16) for name in _TAKEN[6:]),
    ]
)


class FragmentMemory:
    """The last first fragments, so that later ones find their flow, in this block or another.

    Attributes:
        unmatched: later fragments so far whose first one was not known.
    """

    def __init__(self) -> None:
        self.unmatched = 0
        self._seen = 0  # first fragments so far
        self._known: dict[bytes, int] = {}  # the number of the latest one of each key
        self._first = np.zeros(0, _FIRST)  # the last ones, oldest first

    def join(self, headers: Headers, place: Index, layers: Sequence[Fragments]) -> None:
        """Gives later fragments the columns of their first ones, in place.

        Args:
            headers: decoded packets of a block.
            place: ``(frames,)`` position in them of each frame of the block, −1 if it was refused.
            layers: fragments in the block, those of outer IP headers first.
        """
        at, later, key = _in_packet_order(place, layers)
        for start in range(0, at.size, REMEMBERED):
            piece = slice(start, start + REMEMBERED)
            self._join(headers, at[piece], later[piece], key[piece])

    def _join(
        self, headers: Headers, at: Index, later: NDArray[np.bool_], keys: list[bytes]
    ) -> None:
        """Joins at most `REMEMBERED` fragments, so that none is forgotten too early."""
        # how many first fragments there were before each fragment
        before = self._seen + np.cumsum(~later) - ~later
        match = self._match(keys, later.tolist())
        firsts = np.concatenate((self._first, _records(headers, at[~later])))
        self._seen += firsts.size - self._first.size
        self._first = firsts[-REMEMBERED:]

        to, match = at[later], match[later]
        found = np.flatnonzero((match >= 0) & (match >= before[later] - REMEMBERED))
        first = firsts[match[found] - (self._seen - firsts.size)]
        times = headers.timestamp_ns[to[found]], first["timestamp_ns"]
        # in unsigned words, as the distance of two times may not fit a signed one
        apart = np.maximum(*times).view(np.uint64) - np.minimum(*times).view(np.uint64)
        near = apart <= APART_NS
        joined = to[found[near]]
        for name in _TAKEN:
            getattr(headers, name)[joined] = first[name][near]
        self.unmatched += to.size - joined.size

    def _match(self, keys: list[bytes], later: list[bool]) -> Index:
        """For each later fragment the number of the latest first one before it, else −1."""
        match = np.full(len(keys), -1, np.int64)
        known, number = self._known, self._seen
        for position, (key, is_later) in enumerate(zip(keys, later, strict=True)):
            if is_later:
                match[position] = known.get(key, -1)
            else:
                known[key] = number
                number += 1
        if len(known) > 2 * REMEMBERED:
            oldest = number - REMEMBERED
            self._known = {key: number for key, number in known.items() if number >= oldest}
        return match


def _records(headers: Headers, at: Index) -> NDArray[np.void]:
    """What later fragments need of first ones."""
    records = np.empty(at.size, _FIRST)
    for name in _FIRST.names or ():
        records[name] = getattr(headers, name)[at]
    return records


def _in_packet_order(
    place: Index, layers: Sequence[Fragments]
) -> tuple[Index, NDArray[np.bool_], list[bytes]]:
    """Decoded fragments of all layers as positions in the headers, whether later, and keys.

    Of a packet that is a fragment in several of its IP headers the one where it is a later
    fragment counts, else the outermost.
    """
    at = np.concatenate([place[layer.rows] for layer in layers])
    later = np.concatenate([layer.later for layer in layers])
    key = np.concatenate([layer.key for layer in layers])
    order = np.lexsort((~later, at))  # stable: outer layers stay before inner ones
    order = order[at[order] >= 0]
    order = order[np.append(True, at[order[1:]] != at[order[:-1]])[: order.size]]
    keys: list[bytes] = key[order].view(f"V{KEY_BYTES}")[:, 0].tolist()
    return at[order], later[order], keys
