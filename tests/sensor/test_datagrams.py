"""IPv4, IPv6 and IP in IP by hand."""

import pytest
from decoding import (
    CLIENT,
    CLIENT6,
    DATAGRAM4,
    DATAGRAM6,
    PACKET4,
    PACKET6,
    SERVER,
    SERVER6,
    number,
    outcome,
)
from frames import IPV6, ethernet, ipv4, ipv6, ipv6_fragment, udp

RELAY, RELAY6 = "203.0.113.9", "2001:db8:ffff::9"
UDP4 = udp(CLIENT, 5_353, SERVER, 53, b"question")
UDP6 = udp(CLIENT6, 5_353, SERVER6, 53, b"question")


def v4(octets: bytes, **keywords):
    return outcome(ethernet(octets), **keywords)


def v6(octets: bytes, **keywords):
    return outcome(ethernet(octets, IPV6), **keywords)


def with_byte(octets: bytes, at: int, value: int) -> bytes:
    return octets[:at] + bytes([value]) + octets[at + 1 :]


def extension(kind: int, following: int, units: int = 0) -> bytes:
    """A header of 8 · (units + 1) octets, or 4 · (units + 2) for authentication."""
    size = 4 * (units + 2) if kind == 51 else 8 * (units + 1)
    return (bytes([following, units]) + bytes(size))[:size]


def chain(*kinds: int, last: int = 17, units: int = 0) -> bytes:
    following = [*kinds[1:], last]
    pairs = zip(kinds, following, strict=True)
    return b"".join(extension(kind, after, units) for kind, after in pairs)


# ---------------------------------------------------------------- IPv4, rule 21


@pytest.mark.parametrize("first", [0x44, 0x40, 0x55, 0x65, 0x05])
def test_ipv4_version_and_header_length(first):
    assert v4(with_byte(DATAGRAM4, 0, first)) == "ip_header"


def test_ipv4_total_length():
    for total, want in ((1, "ip_header"), (19, "ip_header"), (20, "truncated_transport")):
        assert v4(ipv4(UDP4, 17, CLIENT, SERVER, total_length=total)) == want
    for total in (28, 36, 1_500, 65_535):  # beyond the wire, too
        packet = v4(ipv4(UDP4, 17, CLIENT, SERVER, total_length=total))
        assert packet == PACKET4._replace(ip_length=total, payload_length=total - 28)


def test_ipv4_total_length_of_zero_is_what_was_on_the_wire():
    offloaded = ipv4(UDP4, 17, CLIENT, SERVER, total_length=0)
    for wire, length in ((3_014, 3_000), (90_000, 65_535), (14, 36), (0, 36)):
        packet = v4(offloaded, wire_length=wire)
        assert packet == PACKET4._replace(ip_length=length, payload_length=length - 28)
    # the wire too ends inside the options: nothing contradicts, but it is not all there
    options = ipv4(b"", 17, CLIENT, SERVER, options=b"\x01" * 40, total_length=0)
    assert v4(options[:30]) == v4(options[:59]) == "truncated_ip"
    assert v4(options) == "truncated_transport"
    tagged = ethernet(offloaded, 0x0800, [(0x8100, 1)])
    assert outcome(tagged, wire_length=3_018).ip_length == 3_000


def test_ethernet_padding_is_no_payload():
    assert v4(DATAGRAM4 + bytes(26)) == PACKET4
    assert v6(DATAGRAM6 + bytes(26)) == PACKET6


def test_ipv4_options():
    for words in range(1, 11):
        datagram = ipv4(UDP4, 17, CLIENT, SERVER, options=b"\x01" * 4 * words)
        assert v4(datagram) == PACKET4._replace(ip_length=36 + 4 * words)
        for captured, want in ((20, "truncated_ip"), (20 + 4 * words, "truncated_transport")):
            assert v4(datagram[:captured], wire_length=99) == want
        short = ipv4(UDP4, 17, CLIENT, SERVER, options=b"\x01" * 4 * words, total_length=20)
        assert v4(short) == "ip_header"


# ---------------------------------------------------------------- IPv6, rule 22


def test_ipv6_version_and_length():
    assert v6(with_byte(DATAGRAM6, 0, 0x45)) == "ip_header"
    assert v6(with_byte(DATAGRAM6, 0, 0x45)[:39], wire_length=99) == "truncated_ip"
    for payload, length in ((16, 56), (2_000, 2_040), (65_495, 65_535), (65_535, 65_535)):
        packet = v6(ipv6(UDP6, 17, CLIENT6, SERVER6, payload_length=payload))
        assert packet == PACKET6._replace(ip_length=length, payload_length=length - 48)
    jumbo = ipv6(UDP6, 17, CLIENT6, SERVER6, payload_length=0)
    for wire, length in ((3_014, 3_000), (90_000, 65_535), (0, 56)):
        assert v6(jumbo, wire_length=wire).ip_length == length


def test_ipv6_extension_headers_in_any_order():
    for kinds in ((0,), (43, 60), (60, 51, 43, 0), (51,) * 8, (44, 44, 0), (0, 60, 43, 44, 51)):
        for units in (0, 1, 4):
            sizes = [
                8 if k == 44 else 4 * (units + 2) if k == 51 else 8 * (units + 1) for k in kinds
            ]
            body = b"".join(
                extension(kind, after, 0 if kind == 44 else units)
                for kind, after in zip(kinds, [*kinds[1:], 17], strict=True)
            )
            packet = v6(ipv6(body + UDP6, kinds[0], CLIENT6, SERVER6))
            assert packet == PACKET6._replace(ip_length=56 + sum(sizes)), (kinds, units)
            whole = ipv6(body + UDP6, kinds[0], CLIENT6, SERVER6)
            for captured in range(40, 40 + sum(sizes)):
                assert v6(whole[:captured], wire_length=999) == "truncated_ip"


def test_a_ninth_extension_header_is_too_many():
    assert v6(ipv6(chain(*[60] * 8) + UDP6, 60, CLIENT6, SERVER6)).source_port == 5_353
    assert v6(ipv6(chain(*[60] * 9) + UDP6, 60, CLIENT6, SERVER6)) == "ipv6_extensions"
    # the ninth need not be captured, as the eighth one announces it
    assert v6(ipv6(chain(*[60] * 9)[:64], 60, CLIENT6, SERVER6)) == "ipv6_extensions"


def test_a_chain_beyond_the_packet_contradicts_it():
    body = chain(0, 60, units=1) + UDP6
    for stated, want in ((31, "ip_header"), (32, "truncated_transport"), (40, PACKET6)):
        found = v6(ipv6(body, 0, CLIENT6, SERVER6, payload_length=stated))
        assert (found if stated < 40 else found.source_port) == (want if stated < 40 else 5_353)


def test_what_ends_a_chain_without_ports():
    for last in (59, 50, 135, 139, 140, 47, 250):
        packet = v6(ipv6(chain(0, last=last) + UDP6, 0, CLIENT6, SERVER6))
        want = PACKET6._replace(
            protocol=last, source_port=0, destination_port=0, ip_length=64, payload_length=16
        )
        assert packet == want


# ---------------------------------------------------------------- IP in IP, rule 23


def wrap(inner: bytes, version: int, outer: int, **keywords) -> bytes:
    """`inner` of a version in an IPv4 or IPv6 packet between two relays."""
    protocol = 4 if version == 4 else 41
    if outer == 4:
        return ipv4(inner, protocol, RELAY, "203.0.113.10", **keywords)
    return ipv6(inner, protocol, RELAY6, "2001:db8:ffff::10", **keywords)


def by_version(packet: bytes, version: int, **keywords):
    return (v4 if version == 4 else v6)(packet, **keywords)


@pytest.mark.parametrize("inner", [4, 6])
@pytest.mark.parametrize("middle", [4, 6])
@pytest.mark.parametrize("outer", [4, 6])
def test_the_inner_packet_is_meant(inner, middle, outer):
    datagram, want = (DATAGRAM4, PACKET4) if inner == 4 else (DATAGRAM6, PACKET6)
    once = wrap(datagram, inner, middle)
    twice = wrap(once, middle, outer)
    assert by_version(once, middle) == want
    assert by_version(twice, outer) == want
    assert by_version(wrap(twice, outer, 4), 4) == "tunnel_depth"
    assert by_version(wrap(twice, outer, 6), 6) == "tunnel_depth"


def test_the_third_is_too_deep_even_where_it_is_not_captured():
    packet = wrap(wrap(wrap(b"", 4, 4), 4, 4), 4, 4)
    assert v4(packet) == "tunnel_depth"
    assert v4(packet[:59], wire_length=99) == "truncated_ip"


def test_the_outer_headers_may_have_options_and_extensions():
    options = ipv4(DATAGRAM6, 41, RELAY, "203.0.113.10", options=b"\x01" * 40)
    assert v4(options) == PACKET6
    extensions = ipv6(chain(60, 0, last=4, units=3) + DATAGRAM4, 60, RELAY6, "2001:db8:ffff::10")
    assert v6(extensions) == PACKET4


def test_the_inner_packet_ends_with_the_outer_one():
    """What lies behind the outer packet is padding of the frame, not of the inner packet."""
    for length, want in (
        (39, "truncated_ip"),
        (40, "truncated_transport"),
        (47, "truncated_transport"),
    ):
        assert v4(wrap(DATAGRAM4, 4, 4, total_length=length)) == want
    assert v4(wrap(DATAGRAM4, 4, 4, total_length=48)) == PACKET4
    assert v6(wrap(DATAGRAM4, 4, 6, payload_length=27)) == "truncated_transport"


def test_long_outer_headers_at_the_end_of_the_buffer():
    """The inner header lies beyond what a block guarantees of every frame."""
    for kinds, inner, want in (((60,) * 8, 4, PACKET4), ((0, 43), 6, PACKET6)):
        datagram = DATAGRAM4 if inner == 4 else DATAGRAM6
        body = chain(*kinds, last=4 if inner == 4 else 41, units=9) + datagram
        frame = ipv6(body, kinds[0], RELAY6, "2001:db8:ffff::10")
        assert v6(frame) == want
        for missing in range(1, len(datagram)):
            cut = v6(frame[:-missing], wire_length=999)
            assert cut in ({want, "truncated_ip", "truncated_transport"})
            assert (cut == want) == (missing <= len(b"question"))


def test_the_outer_headers_are_part_of_the_link_length():
    offloaded = ipv4(UDP4, 17, CLIENT, SERVER, total_length=0)
    packet = v4(wrap(offloaded, 4, 4), wire_length=14 + 20 + 3_000)
    assert packet == PACKET4._replace(ip_length=3_000, payload_length=2_972)


def test_a_bad_inner_header_refuses_the_packet():
    assert v4(wrap(b"", 4, 4)) == "truncated_ip"
    assert v4(wrap(DATAGRAM6, 4, 4)) == v4(wrap(DATAGRAM4 + bytes(9), 6, 4)) == "ip_header"
    assert v4(wrap(DATAGRAM4[:27], 4, 4)) == "truncated_transport"


def test_other_tunnels_are_flows_of_their_ends():
    """GRE, VXLAN and ESP: what is inside belongs to other networks."""
    gre = bytes.fromhex("00000800") + DATAGRAM4
    packet = v4(ipv4(gre, 47, CLIENT, SERVER))
    assert packet == PACKET4._replace(
        protocol=47, source_port=0, destination_port=0, ip_length=60, payload_length=40
    )
    vxlan = udp(
        CLIENT, 50_000, SERVER, 4_789, bytes.fromhex("0800000000000100") + ethernet(DATAGRAM4)
    )
    packet = v4(ipv4(vxlan, 17, CLIENT, SERVER))
    assert packet[4:] == (50_000, 4_789, 20 + len(vxlan), len(vxlan) - 8, 0, 64, 0)
    assert v4(ipv4(DATAGRAM4, 50, CLIENT, SERVER)).protocol == 50


def test_a_later_fragment_is_not_looked_into():
    packet = v4(wrap(DATAGRAM4, 4, 4, fragment=1))
    assert packet[:6] == (4, 4, number(RELAY), number("203.0.113.10"), 0, 0)
    assert packet.payload_length == len(DATAGRAM4)
    later = ipv6(ipv6_fragment(DATAGRAM4, 4, 8, more=False), 44, RELAY6, "2001:db8:ffff::10")
    assert v6(later)[:2] == (6, 4)
    first = ipv6(ipv6_fragment(DATAGRAM4, 4, 0, more=True), 44, RELAY6, "2001:db8:ffff::10")
    assert v6(first) == PACKET4
    # a later fragment is no tunnel that would be too deep
    inner = ipv4(DATAGRAM4, 4, CLIENT, SERVER, fragment=5)
    assert v4(wrap(wrap(inner, 4, 4), 4, 4)).protocol == 4
