"""The frames of the floods, taken apart by dpkt."""

import random
import socket
import struct

import dpkt
import pytest

from trainer.lab.attack_kinds import ATTACKS
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
    "ecn": (60, 64, 29_200, [2, 4, 8, 1, 3]),
    "mirai": (60, 64, None, [2, 4, 8, 1, 3]),
    "varied": (44, 128, None, [2]),
    "masscan": (44, 255, 1024, [2]),
    "zmap": (40, 255, 65_535, []),
}
SYN = dpkt.tcp.TH_SYN


def checksums_are_right(packet: bytes) -> bool:
    """Both checksums sum to zero over what they cover (RFC 1071)."""
    header, body = packet[:20], packet[20:]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, packet[9], len(body))
    return dpkt.in_cksum(header) == 0 and dpkt.in_cksum(pseudo + body) == 0


def test_every_style_of_the_catalogue_is_known() -> None:
    assert set(ATTACKS["syn_dos"].options["style"].words) == set(STYLES) == set(KNOWN)


def syns(name: str, count: int) -> list[dpkt.ip.IP]:
    rng = random.Random(3)
    return [dpkt.ip.IP(syn(rng, STYLES[name], 0, SOURCE, TARGET)) for _ in range(count)]


def test_what_tells_tools_apart() -> None:
    """RFC 3168 section 6.1.1: ECE and CWR; zmap's identification is always the same."""
    assert {packet.data.flags for packet in syns("ecn", 9)} == {SYN | 0xC0}
    assert {packet.id for packet in syns("zmap", 9)} == {54_321}
    assert len({packet.id for packet in syns("masscan", 9)}) > 1
    for name, hops in (("mirai", {62, 63, 64}), ("varied", {126, 127, 128})):
        packets = syns(name, 60)
        assert {packet.ttl for packet in packets} == hops
        windows = [packet.data.win for packet in packets]
        assert len(set(windows)) > 50
        assert min(windows) >= 512


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
    assert ip.len == length
    assert ip.ttl == ttl - 5 or (window is None and ttl - 7 <= ip.ttl < ttl - 5)
    assert (ip.src, ip.dst) == (socket.inet_aton(SOURCE[0]), socket.inet_aton(TARGET[0]))
    tcp = ip.data
    assert (tcp.sport, tcp.dport, tcp.flags & 0x3F) == (4001, 80, SYN)
    assert window in {tcp.win, None}
    assert [kind for kind, _ in dpkt.tcp.parse_opts(tcp.opts)] == kinds
    assert checksums_are_right(frame[14:])


@pytest.mark.parametrize("payload", [b"", b"M-SEARCH", bytes(range(255))])
def test_datagrams(payload: bytes) -> None:
    packet = udp(random.Random(3), 57, SOURCE, ("10.1.2.4", 1900), payload)
    ip = dpkt.ip.IP(packet)
    assert (ip.ttl, ip.data.sport, ip.data.dport, ip.data.data) == (57, 4001, 1900, payload)
    assert checksums_are_right(packet)
