"""What of a frame the kernel copies: socket filters in classic BPF (linux/filter.h).

Most frames are whole headers of IP and TCP, UDP or ICMP right behind Ethernet, of which nothing
is read past the transport header (`docs/semantics.md` 25): to copy more would only fill the
ring. All others (VLAN tags that the kernel did not strip, IPv4 options, IPv6 extension headers,
tunnels) are copied up to the snap length.
"""

import ctypes
import socket
import struct

SO_ATTACH_FILTER = 26

V4_BYTES = 14 + 20 + 20
"""Ethernet, IPv4 without options, TCP without options; UDP and ICMP are shorter."""

V6_BYTES = 14 + 40 + 20
"""Ethernet, IPv6 without extension headers, TCP without options."""

_V4_PROTOCOLS = (6, 17, 1)
_V6_PROTOCOLS = (6, 17, 58)

Program = list[tuple[int, int, int, int]]
"""Instructions: operation, jumps if true and if false (how many are skipped), constant."""

_LOAD_LENGTH, _LOAD_HALF, _LOAD_BYTE = 0x80, 0x28, 0x30
_IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x15, 0x35, 0x06


def copy_bytes(count: int) -> Program:
    """A program that copies so many bytes of every frame; 0 is none of any."""
    return [(_RETURN, 0, 0, count)]


def copy_headers(snap_bytes: int) -> Program:
    """A program that copies what is read of a frame, and `snap_bytes` where that is not plain."""
    everything = (_RETURN, 0, 0, snap_bytes)
    if snap_bytes <= V4_BYTES:
        return [everything]
    version_4: Program = [
        (_LOAD_BYTE, 0, 0, 14),
        (_IF_EQUAL, 0, len(_V4_PROTOCOLS) + 1, 0x45),
        (_LOAD_BYTE, 0, 0, 23),
        *_any_of(_V4_PROTOCOLS),
        everything,
        (_RETURN, 0, 0, V4_BYTES),
    ]
    version_6: Program = [
        (_LOAD_BYTE, 0, 0, 20),
        *_any_of(_V6_PROTOCOLS),
        everything,
        (_RETURN, 0, 0, min(V6_BYTES, snap_bytes)),
    ]
    return [
        # A load beyond the end of a frame would drop it, so short ones are told by their length.
        (_LOAD_LENGTH, 0, 0, 0),
        (_IF_AT_LEAST, 1, 0, V4_BYTES),
        everything,
        (_LOAD_HALF, 0, 0, 12),
        (_IF_EQUAL, 2, 0, 0x0800),
        (_IF_EQUAL, 1 + len(version_4), 0, 0x86DD),
        everything,
        *version_4,
        *version_6,
    ]


def attach(receiver: socket.socket, program: Program) -> None:
    """Attaches a program to a socket in place of the one before.

    Raises:
        OSError: the kernel does not take it.
    """
    packed = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(packed)
    described = struct.pack("HP", len(program), ctypes.addressof(held))
    receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, described)


def _any_of(values: tuple[int, ...]) -> Program:
    """Skips one instruction, which stands behind these, if the register holds one of the values."""
    count = len(values)
    return [(_IF_EQUAL, count - number, 0, value) for number, value in enumerate(values)]
