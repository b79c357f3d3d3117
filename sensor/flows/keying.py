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


@dataclass(frozen=True, slots=True)
class Keyed:
    """What a key says about the packets of a block.

    Attributes:
        words: ``(w, packets)`` keys, as `KeyIndex.find` takes them.
        long: ``(packets,)`` which keys are long.
        forward: ``(packets,)`` from which of its flow's two sides a packet comes.
        flags: ``(packets,)`` TCP flags, or zeros where packets don't close flows.
        begin: fills in states of flows that begin with the given packets, in packet order: whose
            they are, their context, and which side the owner's is.
    """

    words: Words
    long: Mask
    forward: Mask
    flags: NDArray[np.uint8]
    begin: Callable[[Index, NDArray[np.void]], None]


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

        def begin(first: Index, state: NDArray[np.void]) -> None:
            originate(state, headers, first, from_lower)
            if self._context is not None:
                state["context"], state["context_saturated"] = self._context.add(
                    clock[first], _scopes(state)
                )

        return Keyed(words, headers.version == 6, from_lower, headers.tcp_flags, begin)

    def restart(self) -> None:
        """Forgets the context."""
        if self._context is not None:
            self._context.clear()


def originate(state: NDArray[np.void], headers: Headers, first: Index, from_lower: Mask) -> None:
    """Fills in who originates the five-tuple flows that begin with the given packets."""
    flags = headers.tcp_flags[first]
    looped = headers.source_port[first] == headers.destination_port[first]
    looped &= headers.source_low[first] == headers.destination_low[first]
    looped &= headers.source_high[first] == headers.destination_high[first]
    answer = ((flags & (SYN | ACK)) == (SYN | ACK)) & ~looped
    state["midstream"] = (headers.protocol[first] == TCP) & ((flags & SYN) == 0)
    state["owner_forward"] = from_lower[first] ^ answer
    for part in ("high", "low", "port"):
        source = getattr(headers, f"source_{part}")[first]
        destination = getattr(headers, f"destination_{part}")[first]
        state[f"source_{part}"] = np.where(answer, destination, source)
        state[f"destination_{part}"] = np.where(answer, source, destination)
    state["version"] = headers.version[first]
    state["protocol"] = headers.protocol[first]


def _scopes(state: NDArray[np.void]) -> tuple[Words, Words, Words]:
    """Keys of service, source and destination: low word, tag, high word of the address."""
    version = state["version"].astype(np.uint64) << np.uint64(32)
    service = state["destination_port"].astype(np.uint64) | version
    service |= state["protocol"].astype(np.uint64) << np.uint64(16)
    destination = (state["destination_low"], state["destination_high"])
    return (
        np.stack((destination[0], service, destination[1])),
        np.stack((state["source_low"], version, state["source_high"])),
        np.stack((destination[0], version, destination[1])),
    )
