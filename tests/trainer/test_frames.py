"""The frames of the floods, taken apart by dpkt."""

import random
import socket
import struct

import dpkt
import pytest

from trainer.lab.catalogue import ATTACKS
from trainer.lab.frames import STYLES, ethernet, syn, udp

SOURCE, TARGET = ("10.1.2.3", 4001), ("10.1.2.4", 80)
# Lengths of the IP datagrams as the systems send them, and the options in their order.
KNOWN = {
    "bare": (40, 64, 512, []),
    "payload": (160, 64, 512, []),
    "linux": (60, 64, 64_240, [2, 4, 8, 1, 3]),
    "windows": (52, 128, 64_240, [2, 1, 3, 1, 1, 4]),
    "macos": (64, 64, 65_535, [2, 1, 3, 1, 1, 8, 4, 0, 0]),
    "embedded": (44, 255, 5840, [2]),
}


def checksums_are_right(packet: bytes) -> bool:
    """Both checksums sum to zero over what they cover (RFC 1071)."""
    header, body = packet[:20], packet[20:]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, packet[9], len(body))
    return dpkt.in_cksum(header) == 0 and dpkt.in_cksum(pseudo + body) == 0


def test_every_style_of_the_catalogue_is_known() -> None:
    assert set(ATTACKS["syn_dos"].options["style"].words) == set(STYLES) == set(KNOWN)


@pytest.mark.parametrize("name", STYLES)
def test_syns_look_as_their_stack_makes_them(name: str) -> None:
    length, ttl, window, kinds = KNOWN[name]
    frame = ethernet("02:00:00:00:00:01", "02:00:00:00:00:02") + syn(
        random.Random(3), STYLES[name], 5, SOURCE, TARGET
    )
    packet = dpkt.ethernet.Ethernet(frame)
    assert packet.dst == bytes.fromhex("020000000002")
    assert packet.src == bytes.fromhex("020000000001")
    ip = packet.data
    assert (ip.len, ip.ttl) == (length, ttl - 5)
    assert (ip.src, ip.dst) == (socket.inet_aton(SOURCE[0]), socket.inet_aton(TARGET[0]))
    tcp = ip.data
    assert (tcp.sport, tcp.dport, tcp.flags, tcp.win) == (4001, 80, dpkt.tcp.TH_SYN, window)
    assert [kind for kind, _ in dpkt.tcp.parse_opts(tcp.opts)] == kinds
    assert checksums_are_right(frame[14:])


@pytest.mark.parametrize("payload", [b"", b"M-SEARCH", bytes(range(255))])
def test_datagrams(payload: bytes) -> None:
    packet = udp(random.Random(3), 57, SOURCE, ("10.1.2.4", 1900), payload)
    ip = dpkt.ip.IP(packet)
    assert (ip.ttl, ip.data.sport, ip.data.dport, ip.data.data) == (57, 4001, 1900, payload)
    assert checksums_are_right(packet)
