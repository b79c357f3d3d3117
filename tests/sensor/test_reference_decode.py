"""The reference decoder: every refusal by hand, dpkt and the Community ID baseline for the rest."""

import json
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import dpkt
import pytest
from frames import IPV6, SYN, ethernet, ip_frame, ipv4, ipv6, tcp, udp
from reference import Frame, read_pcap, refusals
from reference_decode import Packet, ReferenceDecoder, decode_reference

COMMUNITY_ID = Path(__file__).parents[3] / "shared/data/schemas/community-id"
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
CLIENT6, SERVER6 = "2001:db8::1", "2001:db8::2"

SHORT_OFFSET = tcp(CLIENT, 1, SERVER, 2, SYN)[:12] + b"\x40" + bytes(7)
SEGMENT = tcp(CLIENT, 1, SERVER, 2, SYN, b"abcd", options=bytes(4))
DATAGRAM = ipv4(SEGMENT, 6, CLIENT, SERVER)
WHOLE = ethernet(DATAGRAM)


def ipv6_chain(*chain: tuple[int, bytes], last: int = 17, body: bytes | None = None) -> bytes:
    """An IPv6 frame with extension headers (number, bytes after the next-header byte)."""
    numbers = [number for number, _ in chain] + [last]
    octets = b"".join(
        bytes([following]) + rest for (_, rest), following in zip(chain, numbers[1:], strict=True)
    )
    octets += udp(CLIENT6, 1, SERVER6, 2, b"xyz") if body is None else body
    return ethernet(ipv6(octets, numbers[0], CLIENT6, SERVER6), IPV6)


OPTIONS = (60, bytes(7))
PAIR6 = (CLIENT6, SERVER6)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (WHOLE[:13], "truncated_frame"),
        (ethernet(DATAGRAM, tags=[(0x8100, 1)])[:17], "truncated_frame"),
        (ethernet(DATAGRAM, tags=[(0x88A8, 1), (0x8100, 2)])[:21], "truncated_frame"),
        (ethernet(DATAGRAM, tags=[(0x9100, 1)] * 3), "vlan_depth"),
        (ethernet(DATAGRAM, tags=[(0x9100, 1)] * 3)[:22], "vlan_depth"),
        (ethernet(DATAGRAM, 0x0806), "not_ip"),
        (ethernet(DATAGRAM, 64), "not_ip"),
        (WHOLE[:33], "truncated_ip"),
        (ethernet(b"\x65" + DATAGRAM[1:]), "ip_header"),
        (ethernet(b"\x44" + DATAGRAM[1:]), "ip_header"),
        (ethernet(ipv4(SEGMENT, 6, CLIENT, SERVER, total_length=19)), "ip_header"),
        (ethernet(ipv4(SEGMENT, 6, CLIENT, SERVER, options=bytes(8)))[:41], "truncated_ip"),
        (WHOLE[:53], "truncated_transport"),
        (ethernet(ipv4(SEGMENT, 6, CLIENT, SERVER, total_length=43)), "truncated_transport"),
        (ip_frame(SHORT_OFFSET, 6, CLIENT, SERVER), "truncated_transport"),
        (ip_frame(bytes(7), 17, CLIENT, SERVER), "truncated_transport"),
        (ip_frame(bytes(3), 1, CLIENT, SERVER), "truncated_transport"),
        (ip_frame(bytes(11), 132, CLIENT, SERVER), "truncated_transport"),
        (ipv6_chain()[:53], "truncated_ip"),
        (ethernet(DATAGRAM + bytes(40), IPV6), "ip_header"),
        (ipv6_chain(*[OPTIONS] * 9), "ipv6_extensions"),
        (ipv6_chain(OPTIONS)[:61], "truncated_ip"),
        (ipv6_chain((60, b"\1" + bytes(14)))[:65], "truncated_ip"),
        (ethernet(ipv6(b"\x11" + bytes(15), 60, *PAIR6, payload_length=7), IPV6), "ip_header"),
        (ipv6_chain(OPTIONS, last=58, body=bytes(3)), "truncated_transport"),
    ],
)  # fmt: skip
def test_refusals(frame: bytes, reason: str) -> None:
    assert decode_reference(frame, len(frame)) == reason


def test_stripped_tag_counts() -> None:
    frame = ethernet(DATAGRAM, tags=[(0x88A8, 1), (0x8100, 2)])
    assert isinstance(decode_reference(frame, len(frame)), Packet)
    assert decode_reference(frame, len(frame), stripped_tags=1) == "vlan_depth"


def test_lengths_come_from_the_ip_header() -> None:
    def lengths(frame: bytes, wire_length: int = 0) -> tuple[int, int]:
        packet = decode_reference(frame, wire_length or len(frame))
        assert isinstance(packet, Packet), packet
        return packet.ip_length, packet.payload_length

    assert lengths(WHOLE) == (48, 4)
    assert lengths(WHOLE + bytes(6)) == (48, 4)  # Ethernet padding
    assert lengths(WHOLE[:54], 62) == (48, 4)  # options and payload beyond the snap length
    offload = ethernet(ipv4(SEGMENT, 6, CLIENT, SERVER, total_length=0))
    assert lengths(offload, 65_000) == (64_986, 64_942)
    assert lengths(offload, 90_000) == (65_535, 65_491)
    assert lengths(offload, 20) == (48, 4)  # a wire length below the captured length
    assert lengths(ethernet(ipv4(SEGMENT, 6, CLIENT, SERVER, total_length=9_000))) == (9_000, 8_956)
    assert lengths(ip_frame(udp(CLIENT, 1, SERVER, 2, b"abc"), 17, CLIENT, SERVER)) == (31, 3)
    assert lengths(ip_frame(bytes(5), 1, CLIENT, SERVER)) == (25, 0)
    assert lengths(ip_frame(bytes(14), 132, CLIENT, SERVER)) == (34, 2)
    assert lengths(ip_frame(bytes(14), 47, CLIENT, SERVER)) == (34, 14)
    assert lengths(ipv6_chain(OPTIONS, (51, b"\4" + bytes(22)))) == (83, 3)
    jumbo = ethernet(
        ipv6(udp(CLIENT6, 1, SERVER6, 2), 17, CLIENT6, SERVER6, payload_length=0), IPV6
    )
    assert lengths(jumbo, 70_014) == (65_535, 65_487)
    assert lengths(ipv6_chain(*[OPTIONS] * 8)) == (115, 3)
    assert lengths(ipv6_chain(OPTIONS, last=59, body=b"ab")) == (50, 2)


def test_later_fragments_have_no_ports() -> None:
    def read(frame: bytes) -> tuple[int, int, int, int, int]:
        packet = decode_reference(frame, len(frame))
        assert isinstance(packet, Packet), packet
        ports = (packet.source_port, packet.destination_port)
        return packet.protocol, *ports, packet.payload_length, packet.tcp_flags

    assert read(ethernet(ipv4(SEGMENT, 6, CLIENT, SERVER, fragment=0x2000))) == (6, 1, 2, 4, 2)
    assert read(ethernet(ipv4(SEGMENT, 6, CLIENT, SERVER, fragment=0x2001))) == (6, 0, 0, 28, 0)
    assert read(ethernet(ipv4(b"ab", 17, CLIENT, SERVER, fragment=0x0001))) == (17, 0, 0, 2, 0)
    first = (44, b"\0\0\1" + bytes(4))
    later = (44, b"\0\0\x08" + bytes(4))
    assert read(ipv6_chain(first)) == (17, 1, 2, 3, 0)
    assert read(ipv6_chain(later)) == (17, 0, 0, 11, 0)
    assert read(ipv6_chain(later, OPTIONS)) == (60, 0, 0, 19, 0)


def test_refusals_are_counted() -> None:
    frames = [Frame(0, WHOLE), Frame(0, WHOLE[:13]), Frame(0, WHOLE[:12]), Frame(0, WHOLE[:53])]
    assert refusals(frames) == {"truncated_frame": 2, "truncated_transport": 1}


def dpkt_reads(octets: bytes) -> tuple[object, ...] | None:
    """Version, addresses, protocol, length, ports and flags as dpkt reads them."""
    packet = dpkt.ethernet.Ethernet(octets).data
    if not isinstance(packet, dpkt.ip.IP | dpkt.ip6.IP6):
        return None
    segment = packet.data
    ports, flags = (0, 0), 0
    if isinstance(segment, dpkt.tcp.TCP | dpkt.udp.UDP):
        ports = (segment.sport, segment.dport)
    if isinstance(segment, dpkt.tcp.TCP):
        flags = segment.flags & 255
    six = isinstance(packet, dpkt.ip6.IP6)
    length = packet.plen + 40 if six else packet.len
    addresses = (int(ip_address(packet.src)), int(ip_address(packet.dst)))
    return (6 if six else 4, packet.p, *addresses, *ports, length, flags)


@pytest.mark.skipif(not COMMUNITY_ID.is_dir(), reason="needs ../shared/data/schemas/community-id")
def test_ports_and_headers_on_the_community_id_captures() -> None:
    expected = {
        (entry["proto"], entry["saddr"], entry["daddr"], entry["sport"], entry["dport"])
        for entry in json.loads((COMMUNITY_ID / "baseline_deflt.json").read_text())
    }
    got = set()
    for path in sorted((COMMUNITY_ID / "pcaps").iterdir()):
        for frame in read_pcap(path):
            packet = frame.decode()
            if isinstance(packet, str):
                assert packet == "not_ip"
                continue
            address = IPv4Address if packet.version == 4 else IPv6Address
            ends = (str(address(packet.source)), str(address(packet.destination)))
            ports = (packet.source_port, packet.destination_port)
            known = packet.protocol in (1, 6, 17, 58, 132)
            got.add((packet.protocol, *ends, *(ports if known else (None, None))))
            if packet.protocol not in (1, 58, 132):
                assert dpkt_reads(frame.octets) == (*packet[:7], packet.tcp_flags)
    assert expected <= got


def read(*frames: bytes | Frame) -> list[Packet | str]:
    """What one decoder makes of the frames, one after the other."""
    decoder = ReferenceDecoder()
    return [
        decoder.decode(frame if isinstance(frame, Frame) else Frame(0, frame)) for frame in frames
    ]


def ends(packet: Packet | str) -> tuple[object, ...]:
    """Version, protocol, addresses and ports."""
    assert isinstance(packet, Packet), packet
    return packet[:6]


def ports_of(packet: Packet | str) -> tuple[int, int]:
    assert isinstance(packet, Packet), packet
    return packet.source_port, packet.destination_port


BIG = udp(CLIENT, 1000, SERVER, 2000, bytes(2_000))
BIG6 = udp(CLIENT6, 1000, SERVER6, 2000, bytes(2_000))


def first4(body: bytes = BIG[:1480], identification: int = 7) -> bytes:
    return ipv4(body, 17, CLIENT, SERVER, identification=identification, fragment=0x2000)


def later4(body: bytes = BIG[1480:], identification: int = 7, protocol: int = 17) -> bytes:
    return ipv4(body, protocol, CLIENT, SERVER, identification=identification, fragment=185)


def fragment6(body: bytes, offset: int, more: int, identification: int = 7) -> bytes:
    word = offset << 3 | more
    header = bytes([17, 0]) + word.to_bytes(2, "big") + identification.to_bytes(4, "big")
    return ipv6(header + body, 44, CLIENT6, SERVER6)


def test_later_fragments_belong_to_the_flow_of_their_first() -> None:
    first, later = read(ethernet(first4()), ethernet(later4()))
    assert ends(later) == ends(first)
    assert ports_of(first) == (1000, 2000)
    assert isinstance(first, Packet)
    assert isinstance(later, Packet)
    assert (first.ip_length, first.payload_length) == (1500, 1472)
    assert (later.ip_length, later.payload_length, later.tcp_flags) == (548, 528, 0)
    first, later = read(
        ethernet(fragment6(BIG6[:1448], 0, 1), IPV6), ethernet(fragment6(BIG6[1448:], 181, 0), IPV6)
    )
    assert ends(later) == ends(first)
    assert isinstance(later, Packet)
    assert later.payload_length == 2_008 - 1_448


def test_which_first_fragment_a_later_one_belongs_to() -> None:
    second = 1_000_000_000
    first, later = ethernet(first4()), ethernet(later4())
    other = ethernet(first4(udp(CLIENT, 5, SERVER, 6, bytes(1_472))))

    def joined(*frames: Frame) -> tuple[int, int]:
        return ports_of(read(*frames)[-1])

    assert joined(Frame(0, later)) == (0, 0)
    assert joined(Frame(0, later), Frame(0, first)) == (1000, 2000)
    assert ports_of(read(later, first)[0]) == (0, 0)
    assert joined(Frame(0, first), Frame(30 * second, later)) == (1000, 2000)
    assert joined(Frame(0, first), Frame(30 * second + 1, later)) == (0, 0)
    assert joined(Frame(30 * second, first), Frame(0, later)) == (1000, 2000)
    assert joined(Frame(30 * second + 1, first), Frame(0, later)) == (0, 0)
    assert joined(Frame(0, first), Frame(0, ethernet(later4(identification=8)))) == (0, 0)
    assert joined(Frame(0, first), Frame(0, ethernet(later4(protocol=6)))) == (0, 0)
    # The latest of several counts, also where it is too far away in time.
    assert joined(Frame(9, first), Frame(0, other), Frame(0, later)) == (5, 6)
    far = Frame(40 * second, other)
    assert joined(Frame(0, first), far, Frame(second, later)) == (0, 0)
    # One that was not decoded is not remembered.
    cut = Frame(0, first[:41], len(first))
    assert read(cut) == ["truncated_transport"]
    assert joined(cut, Frame(0, later)) == (0, 0)


def test_only_so_many_first_fragments_are_remembered() -> None:
    others = [ethernet(first4(identification=8 + k)) for k in range(4_096)]
    frames = [ethernet(first4()), *others[:-1], ethernet(later4())]
    assert ports_of(read(*frames)[-1]) == (1000, 2000)
    frames = [ethernet(first4()), *others, ethernet(later4())]
    decoder = ReferenceDecoder()
    assert ports_of([decoder.decode(Frame(0, frame)) for frame in frames][-1]) == (0, 0)
    assert decoder.fragments_unmatched == 1


def test_atomic_fragments_are_whole_and_headers_of_two_fragments_count_once() -> None:
    whole = ethernet(fragment6(udp(CLIENT6, 3, SERVER6, 4), 0, 0), IPV6)
    later = ethernet(fragment6(bytes(8), 181, 0), IPV6)
    assert [ports_of(packet) for packet in read(whole, later)] == [(3, 4), (0, 0)]


def test_a_chain_may_end_with_the_packet_and_the_outer_of_two_fragment_headers_counts() -> None:
    (empty,) = read(ethernet(ipv6(b"\x3b" + bytes(7), 60, CLIENT6, SERVER6), IPV6))
    assert isinstance(empty, Packet)
    assert (empty.protocol, empty.ip_length, empty.payload_length) == (59, 48, 0)
    both = b"\x2c\0\0\x01\0\0\0\x07" + b"\x11\0\0\x01\0\0\0\x08" + BIG6[:8]
    first = ethernet(ipv6(both, 44, CLIENT6, SERVER6), IPV6)
    later = [ethernet(fragment6(bytes(8), 181, 0, number), IPV6) for number in (7, 8)]
    assert [ports_of(packet) for packet in read(first, *later)] == [(1000, 2000)] * 2 + [(0, 0)]


def inside(datagram: bytes, protocol: int = 4, **header: int) -> bytes:
    return ipv4(datagram, protocol, "192.0.2.1", "192.0.2.2", **header)


SMALL = ipv4(udp(CLIENT, 1, SERVER, 2, b"abc"), 17, CLIENT, SERVER)
SMALL6 = ipv6(udp(CLIENT6, 1, SERVER6, 2, b"abc"), 17, CLIENT6, SERVER6)


def test_the_inner_flow_of_ip_in_ip_is_meant() -> None:
    plain, plain6 = read(ethernet(SMALL), ethernet(SMALL6, IPV6))
    outer6 = {
        number: ipv6(body, number, "2001:db8::a", "2001:db8::b")
        for number, body in ((4, SMALL), (41, SMALL6))
    }
    assert read(
        ethernet(inside(SMALL)),
        ethernet(inside(SMALL6, 41)),
        ethernet(outer6[4], IPV6),
        ethernet(outer6[41], IPV6),
        ethernet(inside(inside(SMALL))),
    ) == [plain, plain6, plain, plain6, plain]
    options = ipv6(b"\x04" + bytes(7) + SMALL, 60, "2001:db8::a", "2001:db8::b")
    assert read(ethernet(options, IPV6)) == [plain]


def test_refusals_of_ip_in_ip() -> None:
    assert read(ethernet(inside(inside(inside(SMALL))))) == ["tunnel_depth"]
    assert read(ethernet(inside(SMALL6))) == ["ip_header"]
    assert read(ethernet(inside(SMALL, 41) + bytes(40))) == ["truncated_ip"]
    assert read(ethernet(inside(SMALL[:19]))) == ["truncated_ip"]
    # The captured bytes end where the outer header says, what the inner one says notwithstanding.
    assert read(ethernet(inside(SMALL, total_length=47))) == ["truncated_transport"]
    assert read(ethernet(inside(SMALL, total_length=39))) == ["truncated_ip"]
    # GRE and VXLAN are not looked into.
    gre = ipv4(b"\0\0\x08\0" + SMALL, 47, CLIENT, SERVER)
    assert ports_of(read(ethernet(gre))[0]) == (0, 0)


def test_wire_length_inside_of_a_tunnel() -> None:
    segment = ipv4(udp(CLIENT, 1, SERVER, 2), 17, CLIENT, SERVER, total_length=0)
    frame = ethernet(inside(segment, total_length=0))
    (packet,) = read(Frame(0, frame, 14 + 20 + 4_000))
    assert isinstance(packet, Packet)
    assert (packet.ip_length, packet.payload_length) == (4_000, 3_972)


def test_fragments_of_tunnels() -> None:
    outer = inside(SMALL + bytes(100), identification=9, fragment=0x2000)
    rest = inside(bytes(40), identification=9, fragment=185)
    first, later = read(ethernet(outer), ethernet(rest))
    assert ends(first) == ends(later) == ends(read(ethernet(SMALL))[0])
    # Without its first fragment it is the tunnel's own flow, and not looked into.
    (alone,) = read(ethernet(rest))
    assert isinstance(alone, Packet)
    assert (alone.protocol, alone.payload_length) == (4, 40)
    # A first fragment in both headers is remembered by the outer one.
    both = inside(first4(), identification=9, fragment=0x2000)
    _, by_outer, by_inner = read(ethernet(both), ethernet(rest), ethernet(later4()))
    assert ports_of(by_outer) == (1000, 2000)
    assert ports_of(by_inner) == (0, 0)
    # First in one and later in another is later, and not remembered.
    mixed = inside(later4(), identification=9, fragment=0x2000)
    _, joined, tunnel = read(ethernet(first4()), ethernet(mixed), ethernet(rest))
    assert ports_of(joined) == (1000, 2000)
    assert isinstance(joined, Packet)
    assert joined.ip_length == 548
    assert ports_of(tunnel) == (0, 0)


def test_offload_and_what_is_counted() -> None:
    decoder = ReferenceDecoder()
    for length in (1_500, 1_501, 9_000):
        segment = ipv4(bytes(20), 47, CLIENT, SERVER, total_length=length)
        assert isinstance(decoder.decode(Frame(0, ethernet(segment))), Packet)
    assert decoder.decode(Frame(0, WHOLE[:20])) == "truncated_ip"
    assert (decoder.decoded, decoder.offloaded, decoder.refused) == (3, 2, {"truncated_ip": 1})


def test_remarks_name_what_other_readers_see_otherwise() -> None:
    decoder = ReferenceDecoder()
    remarks = []
    for octets in (WHOLE, WHOLE[:57], WHOLE[:58], ethernet(later4())):
        decoder.decode(Frame(0, octets, 62))
        remarks.append(decoder.remark)
    assert remarks == ["", "cut options", "", "later fragment"]
