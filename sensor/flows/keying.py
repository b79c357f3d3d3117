"""What the packets of a flow have in common: the keys of a schema (`docs/semantics.md` 4).

This module says what a key tells the flow table, and holds the default one, the five-tuple;
`sensor.flows.conversations` has the keys that gather several five-tuple flows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.flows.context import ContextWindows
from sensor.flows.key import KEY_WORDS, Words, five_tuple
from sensor.packets.headers import ACK, SYN, TCP, Headers

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ENDPOINT = ("high", "low", "port")


@dataclass(frozen=True, slots=True)
class Keyed:
    """What a key says about the packets of a block.

    Attributes:
        words: ``(w, packets)`` keys, as `KeyIndex.find` takes them.
        long: ``(packets,)`` which keys are long.
        forward: ``(packets,)`` from which of its flow's two sides a packet comes.
        flags: ``(packets,)`` TCP flags, or zeros where packets don't close flows.
        begin: of the packets with which flows begin, in packet order; fills in of their states
            (`FLOW`) which side the owner's is, and of their origins (`ORIGIN`) whose they are and
            their context.
    """

    words: Words
    long: Mask
    forward: Mask
    flags: NDArray[np.uint8]
    begin: Callable[[Index, NDArray[np.void], NDArray[np.void]], None]


class Keying(Protocol):
    """A key, and what it has to remember of the packets before.

    Attributes:
        words: of a long key.
    """

    words: int

    @property
    def conversations_evicted(self) -> int:
        """How many conversations had to make room for others, where there are any."""
        ...

    def take(self, headers: Headers, clock: Index) -> Keyed:
        """Takes the next packets of the stream, with the flow clock at each of them."""
        ...

    def restart(self) -> None:
        """Begins another stream; everything is forgotten."""
        ...


class FiveTuple:
    """Both endpoints and the protocol: a flow is a connection, or what comes near to one."""

    words = KEY_WORDS
    conversations_evicted = 0

    def __init__(self, context: ContextWindows | None) -> None:
        """Takes the context to which new flows are told, or None if nobody asks for it."""
        self._context = context

    def take(self, headers: Headers, clock: Index) -> Keyed:
        """Keys of the packets."""
        words, from_lower = five_tuple(headers)

        def begin(first: Index, state: NDArray[np.void], origin: NDArray[np.void]) -> None:
            state["owner_forward"] = originate(origin, headers, first, from_lower)
            if self._context is not None:
                origin["context"], origin["context_saturated"] = self._context.add(
                    clock[first], *_scopes(origin)
                )

        return Keyed(words, headers.version == 6, from_lower, headers.tcp_flags, begin)

    def restart(self) -> None:
        """Forgets the context."""
        if self._context is not None:
            self._context.clear()


def originate(origin: NDArray[np.void], headers: Headers, first: Index, from_lower: Mask) -> Mask:
    """Fills in who originates the five-tuple flows that begin with the given packets.

    Returns:
        Whether the originator is the forward side.
    """
    flags, protocol = headers.tcp_flags[first], headers.protocol[first]
    ends = {
        name: getattr(headers, name)[first]
        for part in _ENDPOINT
        for name in (f"source_{part}", f"destination_{part}")
    }
    origin["midstream"] = (protocol == TCP) & ((flags & SYN) == 0)
    origin["version"], origin["protocol"] = headers.version[first], protocol
    for name, values in ends.items():
        origin[name] = values
    forward: Mask = from_lower[first]
    answer = np.flatnonzero((flags & (SYN | ACK)) == (SYN | ACK))
    if answer.size:
        looped = np.ones(answer.size, np.bool_)
        for part in _ENDPOINT:
            looped &= ends[f"source_{part}"][answer] == ends[f"destination_{part}"][answer]
        answer = answer[~looped]
        forward[answer] = ~forward[answer]
        for part in _ENDPOINT:
            origin[f"source_{part}"][answer] = ends[f"destination_{part}"][answer]
            origin[f"destination_{part}"][answer] = ends[f"source_{part}"][answer]
    return forward


def _scopes(origin: NDArray[np.void]) -> tuple[tuple[Words, Words, Words], Mask]:
    """Keys of service, source and destination, and which of them are long: those of IPv6.

    A low word of the address, a tag that says the version, and the address's high word.
    """
    long: Mask = origin["version"] == 6
    version = origin["version"].astype(np.uint64) << np.uint64(32)
    service = origin["destination_port"].astype(np.uint64) | version
    service |= origin["protocol"].astype(np.uint64) << np.uint64(16)
    source = [origin["source_low"], version]
    destination = [origin["destination_low"], version]
    high = [origin["source_high"]], [origin["destination_high"]]
    if not long.any():
        high = [], []
    return (
        np.stack((destination[0], service, *high[1])),
        np.stack((*source, *high[0])),
        np.stack((*destination, *high[1])),
    ), long
