"""The five-tuple key: a canonical form of a packet's two endpoints, exact for both IP versions."""

import numpy as np
from numpy.typing import NDArray

from sensor.packets.headers import Headers

KEY_WORDS = 6
"""Words of a key: two that hold all of an IPv4 key, four more for a pair of IPv6 addresses."""

_PORT = np.uint64(32)
_SECOND_PORT = np.uint64(16)
_PROTOCOL = np.uint64(48)
_VERSION4, _VERSION6 = np.uint64(4 << 56), np.uint64(6 << 56)

Words = NDArray[np.uint64]


def five_tuple(headers: Headers) -> tuple[Words, NDArray[np.bool_]]:
    """Keys of packets, equal for both directions of a conversation.

    Returns:
        words: ``(2, packets)`` uint64, or ``(6, packets)`` where IPv6 occurs; the words that an
            IPv4 key does not use are 0.
        from_lower: ``(packets,)`` bool, whether the packet's source is the lower endpoint.
    """
    source_port = headers.source_port.astype(np.uint64)
    destination_port = headers.destination_port.astype(np.uint64)
    protocol = headers.protocol.astype(np.uint64) << _PROTOCOL
    source = headers.source_low | (source_port << _PORT)
    destination = headers.destination_low | (destination_port << _PORT)
    from_lower = source <= destination
    first = np.minimum(source, destination) | protocol
    second = np.maximum(source, destination) | _VERSION4
    v6 = np.flatnonzero(headers.version == 6)
    if not v6.size:
        return np.stack((first, second)), from_lower
    words = np.zeros((KEY_WORDS, len(headers)), np.uint64)
    words[0], words[1] = first, second
    pairs = (
        (headers.source_high[v6], headers.destination_high[v6]),
        (headers.source_low[v6], headers.destination_low[v6]),
        (source_port[v6], destination_port[v6]),
    )
    lower = pairs[2][0] <= pairs[2][1]
    for ours, theirs in pairs[1::-1]:
        lower = (ours < theirs) | ((ours == theirs) & lower)
    from_lower[v6] = lower
    ports = [np.where(lower, pairs[2][side], pairs[2][1 - side]) for side in (0, 1)]
    words[0, v6] = ports[0] | (ports[1] << _SECOND_PORT) | protocol[v6]
    words[1, v6] = _VERSION6
    for word, (pair, side) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1)), start=2):
        words[word, v6] = np.where(lower, pairs[pair][side], pairs[pair][1 - side])
    return words, from_lower
