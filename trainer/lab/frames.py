"""Frames that the floods send, built byte by byte: SYNs as stacks and tools make them, and UDP.

Formats: RFC 791, RFC 9293 section 3.1, RFC 768.
"""

import random
import socket
import struct
from dataclasses import dataclass

_MSS = b"\x02\x04\x05\xb4"
_SACK_PERMITTED = b"\x04\x02"
_NOP = b"\x01"
_DONT_FRAGMENT = 0x4000
_SYN = 0x02


@dataclass(frozen=True)
class Style:
    """How the SYNs of a stack or tool look.

    Attributes:
        timestamp_at: where in `options` a timestamp is to be filled in; negative: nowhere.
        payload: bytes of data.
        identification: of the IP header; drawn where there is none.
        varied: the window is drawn for every SYN, and a hop or two is taken off now and then.
    """

    ttl: int
    window: int
    dont_fragment: bool
    options: bytes
    timestamp_at: int = -1
    payload: int = 0
    flags: int = _SYN
    identification: int | None = None
    varied: bool = False


def _window_scale(shift: int) -> bytes:
    return bytes([3, 3, shift])


_TIMESTAMP = b"\x08\x0a" + bytes(8)

STYLES: dict[str, Style] = {
    # hping3: no options, window 512.
    "bare": Style(64, 512, dont_fragment=False, options=b""),
    "payload": Style(64, 512, dont_fragment=False, options=b"", payload=120),
    "linux": Style(
        64,
        64_240,
        dont_fragment=True,
        options=_MSS + _SACK_PERMITTED + _TIMESTAMP + _NOP + _window_scale(7),
        timestamp_at=8,
    ),
    "windows": Style(
        128,
        64_240,
        dont_fragment=True,
        options=_MSS + _NOP + _window_scale(8) + _NOP * 2 + _SACK_PERMITTED,
    ),
    "macos": Style(
        64,
        65_535,
        dont_fragment=True,
        options=_MSS + _NOP + _window_scale(6) + _NOP * 2 + _TIMESTAMP + _SACK_PERMITTED + b"\0\0",
        timestamp_at=12,
    ),
    "embedded": Style(255, 5840, dont_fragment=False, options=_MSS),
    # RFC 3168 section 6.1.1: a sender that can ECN sets both flags in its SYN.
    "ecn": Style(
        64,
        29_200,
        dont_fragment=True,
        options=_MSS + _SACK_PERMITTED + _TIMESTAMP + _NOP + _window_scale(7),
        timestamp_at=8,
        flags=_SYN | 0xC0,
    ),
    # The botnet's published source, attack_tcp.c: a segment size of 1,400 and a few bytes, a
    # window scale of 6, any window.
    "mirai": Style(
        64,
        0,
        dont_fragment=True,
        options=b"\x02\x04\x05\x7c" + _SACK_PERMITTED + _TIMESTAMP + _NOP + _window_scale(6),
        timestamp_at=8,
        varied=True,
    ),
    "varied": Style(128, 0, dont_fragment=False, options=_MSS, varied=True),
    # Stateless scanners: https://github.com/robertdavidgraham/masscan (src/templ-pkt.c), and
    # https://github.com/zmap/zmap, which is known by its identification 54321.
    "masscan": Style(255, 1024, dont_fragment=False, options=_MSS),
    "zmap": Style(255, 65_535, dont_fragment=False, options=b"", identification=54_321),
}


def ethernet(source: str, destination: str) -> bytes:
    """An Ethernet header for IPv4."""
    return bytes.fromhex((destination + source).replace(":", "")) + b"\x08\x00"


def syn(
    rng: random.Random, style: Style, hops: int, source: tuple[str, int], target: tuple[str, int]
) -> bytes:
    """An IPv4 packet with a SYN that has `hops` routers behind it."""
    options = style.options
    if style.timestamp_at >= 0:
        at = style.timestamp_at
        options = options[:at] + rng.randbytes(4) + options[at + 4 :]
    ttl, window, identification = style.ttl - hops, style.window, style.identification
    if style.varied:
        ttl, window = ttl - rng.choice((0, 0, 0, 1, 2)), rng.randint(512, 65_535)
    offset = (20 + len(options)) // 4 << 4
    tcp = struct.pack(
        "!HHIIBBHHH",
        source[1],
        target[1],
        rng.getrandbits(32),
        0,
        offset,
        style.flags,
        window,
        0,
        0,
    )
    segment = tcp + options + bytes(style.payload)
    checksum = _transport_checksum(source[0], target[0], socket.IPPROTO_TCP, segment)
    segment = segment[:16] + checksum + segment[18:]
    fragment = _DONT_FRAGMENT if style.dont_fragment else 0
    return _ipv4(rng, source[0], target[0], ttl, fragment, 6, segment, identification)


def udp(
    rng: random.Random, ttl: int, source: tuple[str, int], target: tuple[str, int], payload: bytes
) -> bytes:
    """An IPv4 packet with a datagram."""
    datagram = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    checksum = _transport_checksum(source[0], target[0], socket.IPPROTO_UDP, datagram)
    datagram = datagram[:6] + checksum + datagram[8:]
    return _ipv4(rng, source[0], target[0], ttl, 0, 17, datagram)


def _ipv4(
    rng: random.Random,
    source: str,
    target: str,
    ttl: int,
    fragment: int,
    proto: int,
    body: bytes,
    identification: int | None = None,
) -> bytes:
    addresses = socket.inet_aton(source) + socket.inet_aton(target)
    number = rng.getrandbits(16) if identification is None else identification
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), number, fragment, ttl, proto, 0)
    checksum = _checksum(head + addresses)
    return head[:10] + checksum + addresses + body


def _transport_checksum(source: str, target: str, proto: int, segment: bytes) -> bytes:
    pseudo = socket.inet_aton(source) + socket.inet_aton(target)
    return _checksum(pseudo + struct.pack("!BBH", 0, proto, len(segment)) + segment)


def _checksum(octets: bytes) -> bytes:
    """RFC 1071."""
    padded = octets + b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
