"""Community ID version 1: a name for a flow that other tools compute alike.

https://github.com/corelight/community-id-spec
"""

import base64
import hashlib

from sensor.packets.headers import ICMP, ICMPV6, SCTP, TCP, TWO_WAY_TYPES, UDP

Endpoint = tuple[int, int, int]
"""High and low word of the address, and port, as in `sensor.packets.headers.Headers`."""

_WITH_PORTS = frozenset({ICMP, TCP, UDP, ICMPV6, SCTP})


def address_bytes(version: int, high: int, low: int) -> bytes:
    """An address in network byte order, 4 or 16 bytes."""
    return low.to_bytes(4, "big") if version == 4 else (high << 64 | low).to_bytes(16, "big")


def community_id(
    version: int, protocol: int, source: Endpoint, destination: Endpoint, seed: int = 0
) -> str:
    """The Community ID of a flow, such as ``1:LQU9qZlK+B5F3KDmev6m5PMibrg=``.

    Args:
        version: of IP, 4 or 6.
        protocol: IANA number of the transport.
        source: an endpoint. Ports of ICMP are those of the specification already (type and
            counterpart's type, or type and code).
        destination: the other one; which is which matters only for ICMP messages without a
            counterpart.
        seed: 16 bits that set deployments apart.
    """
    (source_address, source_port), (destination_address, destination_port) = sides = [
        (address_bytes(version, high, low), port) for high, low, port in (source, destination)
    ]
    one_way = protocol in TWO_WAY_TYPES and source_port not in TWO_WAY_TYPES[protocol]
    if not one_way:
        (source_address, source_port), (destination_address, destination_port) = sorted(sides)
    message = b"".join(
        (
            seed.to_bytes(2, "big"),
            source_address,
            destination_address,
            bytes([protocol, 0]),
            source_port.to_bytes(2, "big") if protocol in _WITH_PORTS else b"",
            destination_port.to_bytes(2, "big") if protocol in _WITH_PORTS else b"",
        )
    )
    digest = hashlib.sha1(message, usedforsecurity=False).digest()
    return f"1:{base64.b64encode(digest).decode()}"
