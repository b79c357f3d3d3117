"""The reference's way to the IP header: every link type, tag and label, in bytes by hand."""

import dpkt
import pytest
from frames import SYN, ethernet, ipv4, ipv6, tcp, udp
from reference_decode import Frame, Packet, ReferenceDecoder, decode_reference

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
CLIENT6, SERVER6 = "2001:db8::1", "2001:db8::2"
FOUR = ipv4(tcp(CLIENT, 1, SERVER, 2, SYN), 6, CLIENT, SERVER)
SIX = ipv6(udp(CLIENT6, 1, SERVER6, 2), 17, CLIENT6, SERVER6)
MACS = bytes(12)
TAGS = b"\x88\xa8\x00\x01\x81\x00\x00\x02"
SLL = bytes(14)
SLL2_REST = bytes(18)
SESSION = b"\x11\x00\x00\x01\x00\x2a"
SNAP = b"\xaa\xaa\x03\x00\x00\x00"


def length(octets: bytes) -> bytes:
    """The type field of an 802.3 frame with these bytes behind it."""
    return len(octets).to_bytes(2, "big")


def label(bottom: bool) -> bytes:  # noqa: FBT001
    return b"\x00\x01\x21\x40" if bottom else b"\x00\x01\x20\x40"


READ = {
    "sll": (113, SLL + b"\x08\x00", FOUR),
    "sll with tags": (113, SLL + b"\x81\x00\x00\x07\x86\xdd", SIX),
    "sll2": (276, b"\x86\xdd" + SLL2_REST, SIX),
    "sll2 with a tag": (276, b"\x91\x00" + SLL2_REST + b"\x00\x07\x08\x00", FOUR),
    "null, little": (0, b"\x02\x00\x00\x00", FOUR),
    "null, big": (0, b"\x00\x00\x00\x02", FOUR),
    "null of linux": (0, b"\x0a\x00\x00\x00", SIX),
    "null of freebsd": (0, b"\x1c\x00\x00\x00", SIX),
    "null of darwin": (0, b"\x00\x00\x00\x1e", SIX),
    "loop": (108, b"\x00\x00\x00\x18", SIX),
    "raw 12": (12, b"", FOUR),
    "raw 14": (14, b"", SIX),
    "raw 101": (101, b"", SIX),
    "ipv4": (228, b"", FOUR),
    "ipv6": (229, b"", SIX),
    "pppoe": (1, MACS + b"\x88\x64" + SESSION + b"\x00\x21", FOUR),
    "pppoe, tags": (1, MACS + TAGS + b"\x88\x64" + SESSION + b"\x00\x57", SIX),
    "mpls in pppoe": (1, MACS + b"\x88\x64" + SESSION + b"\x02\x81" + label(bottom=True), SIX),
    "mpls": (1, MACS + b"\x88\x47" + label(bottom=True), FOUR),
    "eight labels": (1, MACS + b"\x88\x48" + 7 * label(bottom=False) + label(bottom=True), SIX),
    "mpls on sll": (113, SLL + b"\x88\x47" + label(bottom=True), FOUR),
    "snap": (1, MACS + length(SNAP + b"\x08\x00" + FOUR) + SNAP + b"\x08\x00", FOUR),
    "snap, longest length": (1, MACS + b"\x05\xdc" + SNAP + b"\x08\x00", FOUR),
    "snap, short length": (1, MACS + b"\x00\x03" + SNAP + b"\x86\xdd", SIX),
    "ppp": (9, b"\xff\x03\x00\x21", FOUR),
    "ppp, one byte": (9, b"\xff\x03\x57", SIX),
    "ppp, bare": (9, b"\x00\x57", SIX),
    "ppp, bare, one byte": (50, b"\x21", FOUR),
    "ppp in hdlc framing": (50, b"\xff\x03\x00\x57", SIX),
    "cisco as ppp": (9, b"\x0f\x00\x08\x00", FOUR),
    "cisco as ppp in hdlc framing": (50, b"\x8f\x00\x86\xdd", SIX),
    "ppp with ethernet": (51, SESSION + b"\x00\x21", FOUR),
    "ppp with ethernet, one byte": (51, SESSION + b"\x57", SIX),
    "cisco hdlc": (104, b"\x0f\x00\x08\x00", FOUR),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_headers_are_found(case: str) -> None:
    link_type, before, datagram = READ[case]
    octets = before + datagram
    packet = decode_reference(octets, len(octets), link_type=link_type)
    assert isinstance(packet, Packet), packet
    expected = (4, 6, 40) if datagram is FOUR else (6, 17, 48)
    assert (packet.version, packet.protocol, packet.ip_length) == expected
    assert (packet.source_port, packet.destination_port) == (1, 2)
    # All but the last byte of what comes before the IP header is not enough.
    for captured in range(len(before)):
        reason = decode_reference(octets[:captured], 0, link_type=link_type)
        assert isinstance(reason, str)
        assert reason in ("truncated_frame", "not_ip")


@pytest.mark.parametrize(
    ("link_type", "octets", "reason"),
    [
        (3, FOUR, "link_type"),
        (192, FOUR, "link_type"),
        (113, SLL + b"\x08", "truncated_frame"),
        (276, (b"\x08\x00" + SLL2_REST)[:19], "truncated_frame"),
        (0, b"\x02\x00\x00", "truncated_frame"),
        (0, b"\x07\x00\x00\x00" + FOUR, "not_ip"),
        (108, b"\x02\x00\x00\x00" + FOUR, "not_ip"),
        (101, b"", "truncated_frame"),
        (101, b"\x50" + FOUR[1:], "not_ip"),
        (101, FOUR[:19], "truncated_ip"),
        (228, b"", "truncated_ip"),
        (228, SIX, "ip_header"),
        (229, FOUR + bytes(20), "ip_header"),
        (1, MACS + b"\x88\x63" + SESSION + b"\x00\x21" + FOUR, "not_ip"),
        (1, MACS + b"\x88\x64\x11\x09" + SESSION[2:] + b"\x00\x21" + FOUR, "not_ip"),
        (1, MACS + b"\x88\x64\x21\x00" + SESSION[2:] + b"\x00\x21" + FOUR, "not_ip"),
        (1, MACS + b"\x88\x64\x11\x09" + SESSION[2:] + b"\x00", "truncated_frame"),
        (1, MACS + b"\x88\x64" + SESSION + b"\xc0\x21" + FOUR, "not_ip"),
        (1, MACS + b"\x88\x64" + SESSION + b"\x21" + FOUR, "not_ip"),
        (1, MACS + b"\x88\x47" + 8 * label(bottom=False) + FOUR, "mpls_depth"),
        (1, MACS + b"\x88\x47" + 8 * label(bottom=False), "mpls_depth"),
        (1, MACS + b"\x88\x47" + 7 * label(bottom=False) + b"\x00\x01\x21", "truncated_frame"),
        (1, MACS + b"\x88\x47" + label(bottom=True), "truncated_frame"),
        (1, MACS + b"\x88\x47" + label(bottom=True) + bytes(4) + ethernet(FOUR), "not_ip"),
        (1, MACS + b"\x88\x47" + label(bottom=True) + b"\x45" + bytes(18), "truncated_ip"),
        (1, MACS + b"\x81\x00\x00\x01" + length(SNAP) + SNAP + b"\x08\x00" + FOUR, "not_ip"),
        (1, MACS + b"\x00\x20\x42\x42\x03" + FOUR, "not_ip"),
        (1, MACS + b"\x00\x20\xaa\xaa", "not_ip"),
        (1, MACS + b"\x00\x20" + SNAP + b"\x08", "truncated_frame"),
        (1, MACS + b"\x00\x20" + SNAP + b"\x81\x00\x00\x01\x08\x00" + FOUR, "not_ip"),
        (1, MACS + b"\x05\xdd" + SNAP + b"\x08\x00" + FOUR, "not_ip"),
        (113, SLL + b"\x00\x04" + SNAP + b"\x08\x00" + FOUR, "not_ip"),
        (9, b"", "truncated_frame"),
        (9, b"\xff\x03", "truncated_frame"),
        (9, b"\xff\x03\x00", "truncated_frame"),
        (9, b"\xff\x03\xc0\x21" + FOUR, "not_ip"),
        (9, b"\x0f\x00\x88\x47" + label(bottom=True) + FOUR, "not_ip"),
        (51, SESSION, "truncated_frame"),
        (51, b"\x11\x07" + SESSION[2:] + b"\x00\x21" + FOUR, "not_ip"),
        (104, b"\x0f\x00\x08", "truncated_frame"),
        (104, b"\x0f\x00\x20\x00" + FOUR, "not_ip"),
    ],
)  # fmt: skip
def test_refusals_of_the_link(link_type: int, octets: bytes, reason: str) -> None:
    assert decode_reference(octets, len(octets), link_type=link_type) == reason


def test_a_stripped_tag_stands_before_snap() -> None:
    octets = MACS + b"\x00\x20" + SNAP + b"\x08\x00" + FOUR
    assert isinstance(decode_reference(octets, len(octets)), Packet)
    assert decode_reference(octets, len(octets), stripped_tags=1) == "not_ip"


def test_wire_length_is_counted_from_the_ip_header() -> None:
    offload = ipv4(tcp(CLIENT, 1, SERVER, 2, SYN), 6, CLIENT, SERVER, total_length=0)
    for before in (
        MACS + TAGS + b"\x08\x00",
        MACS + b"\x88\x64" + SESSION + b"\x00\x21",
        MACS + b"\x88\x47" + label(bottom=False) + label(bottom=True),
    ):
        packet = decode_reference(before + offload, 3_000 + len(before))
        assert isinstance(packet, Packet)
        assert packet.ip_length == 3_000


def test_slow_path_takes_a_thousand_frames_a_second() -> None:
    decoder = ReferenceDecoder()
    second = 1_000_000_000
    good, other = b"\xff\x03\x00\x21" + FOUR, b"\xff\x03\xc0\x21" + FOUR

    def taken(time_ns: int, octets: bytes = good) -> bool:
        return decoder.decode(Frame(time_ns, octets, -1, 9)) != "slow_path_limit"

    assert all(taken(10 * second + k) for k in range(600))
    # What dpkt finds nothing in has taken its place too.
    assert all(taken(11 * second - 1, other) for _ in range(400))
    assert not taken(11 * second - 1)
    # An earlier time counts in the latest second, a later one begins another …
    assert not taken(1 * second - 1)
    assert taken(11 * second)
    assert all(taken(1 * second) for _ in range(999))
    assert not taken(11 * second)
    # … and so does one that is more than ten seconds earlier.
    assert all(taken(1 * second - 1) for _ in range(1_000))
    assert not taken(2 * second - 1 - 1_000_000_000)
    assert isinstance(decoder.decode(Frame(11 * second, ethernet(FOUR))), Packet)
    assert (decoder.slow, decoder.refused["slow_path_limit"]) == (3_000, 4)
    assert decoder.refused["not_ip"] == 400


DPKT_FOLLOWS = {
    dpkt.sll.SLL: ("sll",),
    dpkt.sll2.SLL2: ("sll2",),
    dpkt.loopback.Loopback: ("null, little", "null, big", "null of freebsd", "null of darwin"),
    dpkt.ethernet.Ethernet: ("pppoe", "mpls", "eight labels", "snap"),
    dpkt.ppp.PPP: ("ppp", "ppp, one byte", "ppp in hdlc framing"),
}


def test_dpkt_descends_to_the_same_header_where_it_knows_the_way() -> None:
    for kind, names in DPKT_FOLLOWS.items():
        for name in names:
            _, before, datagram = READ[name]
            below = kind(before + datagram)
            while not isinstance(below, bytes | dpkt.ip.IP | dpkt.ip6.IP6):
                below = below.data
            assert bytes(below) == datagram, name
