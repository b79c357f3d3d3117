"""What the decoder makes of frames: packets in Python's own integers, and reasons."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

from blocks import block_of, blocks_of, packets_of
from frames import ipv4, ipv6, udp
from reference import Frame
from reference_decode import Packet

from sensor.capture.block import GATHER_BYTES, one_link_type
from sensor.packets.decode import Decoder
from sensor.packets.headers import OPTIONAL_TYPES

CLIENT, SERVER = "10.1.2.3", "192.168.4.5"
CLIENT6, SERVER6 = "2001:db8::a:1", "fe80::b:2"


def number(address: str) -> int:
    """An address as packets have it."""
    return int(ip_address(address))


DATAGRAM4 = ipv4(udp(CLIENT, 5_353, SERVER, 53, b"question"), 17, CLIENT, SERVER)
PACKET4 = Packet(4, 17, number(CLIENT), number(SERVER), 5_353, 53, 20 + 8 + 8, 8, 0, 64)
DATAGRAM6 = ipv6(udp(CLIENT6, 5_353, SERVER6, 53, b"question"), 17, CLIENT6, SERVER6)
PACKET6 = Packet(6, 17, number(CLIENT6), number(SERVER6), 5_353, 53, 40 + 8 + 8, 8, 0, 64)
"""A datagram of each version, and what it says, whatever lies before it."""


def outcome(
    octets: bytes, link_type: int = 1, *, wire_length: int = -1, stripped: int = 0
) -> Packet | str:
    """What one frame is decoded to, or why it is refused; `stripped` is a tag's TPID.

    The buffer ends with the frame, or with the bytes that a block guarantees.
    """
    decoder = Decoder(OPTIONAL_TYPES)
    block = block_of([Frame(1, octets, wire_length, link_type)])
    block.vlan_tpid[:] = stripped
    end = int(block.offset[0]) + max(len(octets), GATHER_BYTES)
    block = replace(block, buffer=block.buffer[:end], link_type=one_link_type(link_type, 1))
    packets = packets_of(decoder.decode(block))
    reasons = [reason for reason, count in decoder.refused.items() for _ in range(count)]
    assert len(packets) + len(reasons) == 1
    return packets[0][1] if packets else reasons[0]


def decoded(decoder: Decoder, frames: Sequence[Frame], size: int = 16_384) -> list[Packet]:
    """The packets of frames that come in blocks of `size`."""
    blocks = blocks_of(frames, size)
    return [packet for block in blocks for _, packet in packets_of(decoder.decode(block))]
