"""Fragments by hand: whose flow a later one joins, and what it must not join."""

import pytest
from decoding import CLIENT, CLIENT6, SERVER, SERVER6, decoded, number, outcome
from frames import ACK, IPV6, ethernet, icmp, ipv4, ipv6, ipv6_fragment, pppoe, tcp, udp
from reference import Frame
from reference_decode import Packet

from sensor.packets.decode import Decoder
from sensor.packets.fragments import APART_NS, REMEMBERED
from sensor.packets.headers import OPTIONAL_TYPES

MORE = 0x2000
SIZES = [1, 7, 500, 16_384]
DATAGRAM = udp(CLIENT, 5_353, SERVER, 53, bytes(40))
FLOW = (4, 17, number(CLIENT), number(SERVER), 5_353, 53)
NONE = (4, 17, number(CLIENT), number(SERVER), 0, 0)
FLOW6 = (6, 17, number(CLIENT6), number(SERVER6), 5_353, 53)
NONE6 = (6, 17, number(CLIENT6), number(SERVER6), 0, 0)


def part4(fragment: int, identification: int = 1, protocol: int = 17, source=CLIENT) -> bytes:
    """24 octets of a datagram: the first ones, or others where there is an offset."""
    octets = DATAGRAM[:24] if fragment & 0x1FFF == 0 else bytes(24)
    return ipv4(octets, protocol, source, SERVER, identification=identification, fragment=fragment)


def part6(offset: int, identification: int = 1, *, more: bool = True, before: bytes = b"") -> bytes:
    octets = udp(CLIENT6, 5_353, SERVER6, 53, bytes(16)) if offset == 0 else bytes(24)
    octets = ipv6_fragment(octets, 17, offset, more=more, identification=identification)
    return ipv6(before + octets, 60 if before else 44, CLIENT6, SERVER6)


def flows(packets: list[bytes], times_s=(), size: int = 16_384, decoder=None) -> list[Packet]:
    """What Ethernet frames with these packets are decoded to."""
    times_s = times_s or [0] * len(packets)
    frames = [
        Frame(int(time * 1e9), ethernet(packet, 0x0800 if packet[0] >> 4 == 4 else IPV6))
        for time, packet in zip(times_s, packets, strict=True)
    ]
    found = decoded(decoder or Decoder(OPTIONAL_TYPES), frames, size)
    assert len(found) == len(frames)
    return found


def ends(packets: list[Packet]) -> list[tuple]:
    return [packet[:6] for packet in packets]


@pytest.mark.parametrize("size", SIZES)
def test_later_fragments_join_their_first_one(size):
    packets = [part4(MORE), part4(MORE | 3), part4(6), part6(0), part6(24), part6(48, more=False)]
    decoder = Decoder(OPTIONAL_TYPES)
    found = flows(packets, size=size, decoder=decoder)
    assert ends(found) == [FLOW] * 3 + [FLOW6] * 3
    # the first one's payload is what follows its UDP header, the others' all that follows IP
    assert [packet.ip_length for packet in found] == [44] * 3 + [72] * 3
    assert [packet.payload_length for packet in found] == [16, 24, 24, 16, 24, 24]
    assert decoder.fragments_unmatched == 0


def test_every_offset_makes_a_later_fragment():
    offsets = [1 << bit for bit in range(13)]
    later4 = [part4(offset) for offset in offsets]
    later6 = [part6(8 * offset) for offset in offsets]
    found = flows([part4(MORE), *later4, part6(0), *later6])
    assert ends(found) == [FLOW] * 14 + [FLOW6] * 14
    assert ends(flows(later4 + later6)) == [NONE] * 13 + [NONE6] * 13


def test_a_fragment_before_its_first_one_is_alone():
    decoder = Decoder(OPTIONAL_TYPES)
    found = flows([part4(3), part6(24), part4(MORE), part6(0), part4(3)], decoder=decoder)
    assert ends(found) == [NONE, NONE6, FLOW, FLOW6, FLOW]
    assert decoder.fragments_unmatched == 2


@pytest.mark.parametrize(
    "other",
    [
        part4(3, identification=2),
        part4(3, protocol=6),
        part4(3, source="10.1.2.4"),
        part6(24),
        ipv4(bytes(24), 17, CLIENT, "192.168.4.6", identification=1, fragment=3),
        ipv4(bytes(24), 17, SERVER, CLIENT, identification=1, fragment=3),
    ],
)
def test_every_part_of_the_key_counts(other):
    decoder = Decoder(OPTIONAL_TYPES)
    found = flows([part4(MORE), other], decoder=decoder)
    assert found[1].source_port == found[1].destination_port == 0
    assert decoder.fragments_unmatched == 1


def test_ipv6_fragments_match_whatever_the_next_header_says():
    """RFC 8200 4.5: only the first fragment's next header counts."""
    odd = part6(24)[:40] + b"\x3c" + part6(24)[41:]
    assert ends(flows([part6(0), odd])) == [FLOW6] * 2
    assert ends(flows([odd]))[0][1] == 60
    assert ends(flows([part6(0), part6(24, identification=2)])) == [FLOW6, NONE6]


def test_what_is_whole_is_not_remembered():
    whole = [part4(0), part4(0x4000), part4(0x8000), part6(0, more=False)]
    found = flows([*whole, part4(3), part6(24)])
    assert ends(found) == [FLOW] * 3 + [FLOW6, NONE, NONE6]


def test_what_is_refused_is_not_remembered():
    short = ipv4(DATAGRAM[:4], 17, CLIENT, SERVER, identification=1, fragment=MORE)
    decoder = Decoder(OPTIONAL_TYPES)
    assert ends(decoded(decoder, [Frame(0, ethernet(p)) for p in (short, part4(3))])) == [NONE]
    assert decoder.refused["truncated_transport"] == decoder.fragments_unmatched == 1


def test_flags_and_ports_of_tcp_and_icmp():
    """A later fragment has no transport header, so no flags and no window, whatever its bytes are.

    The time to live is each packet's own.
    """
    segment = tcp(CLIENT, 1, SERVER, 2, ACK, bytes(20))
    first = ipv4(segment, 6, CLIENT, SERVER, identification=9, fragment=MORE)
    later = ipv4(b"\xff" * 40, 6, CLIENT, SERVER, identification=9, fragment=5, ttl=61)
    echo = ipv4(icmp(8, payload=bytes(16)), 1, CLIENT, SERVER, identification=9, fragment=MORE)
    rest = ipv4(b"\xff" * 16, 1, CLIENT, SERVER, identification=9, fragment=3)
    found = flows([first, later, echo, rest])
    assert [packet[4:] for packet in found] == [
        (1, 2, 60, 20, ACK, 64, 8_192),
        (1, 2, 60, 40, 0, 61, 0),
        (8, 0, 44, 16, 0, 64, 0),
        (8, 0, 36, 16, 0, 64, 0),
    ]


def test_a_later_fragment_may_be_cut_behind_its_ip_header():
    frame = ethernet(part4(3))
    assert outcome(frame[:34], wire_length=58)[:6] == NONE
    assert outcome(frame[:33], wire_length=58) == "truncated_ip"
    odd = ipv4(bytes(2), 17, CLIENT, SERVER, fragment=3)
    assert outcome(ethernet(odd)).payload_length == 2


@pytest.mark.parametrize("size", SIZES)
def test_the_latest_first_fragment_counts(size):
    """An identification that comes again belongs to the datagram that came last."""
    other = ipv4(
        udp(CLIENT, 7, SERVER, 8, bytes(16)), 17, CLIENT, SERVER, identification=1, fragment=MORE
    )
    found = flows([part4(MORE), part4(3), other, part4(3), part4(MORE), part4(3)], size=size)
    assert [packet.source_port for packet in found] == [5_353, 5_353, 7, 7, 5_353, 5_353]


@pytest.mark.parametrize("size", SIZES)
def test_thirty_seconds_apart_at_most(size):
    times = (100, 130, 130.000000001, 70, 69.999999999)
    decoder = Decoder(OPTIONAL_TYPES)
    frames = [
        Frame(int(time * 1_000_000_000 + 0.5), ethernet(part4(MORE if k == 0 else 3)))
        for k, time in enumerate(times)
    ]
    assert ends(decoded(decoder, frames, size)) == [FLOW, FLOW, NONE, FLOW, NONE]
    assert decoder.fragments_unmatched == 2
    assert APART_NS == 30_000_000_000


def test_times_at_the_ends_of_their_range():
    frames = [Frame(-(1 << 63), ethernet(part4(MORE))), Frame((1 << 63) - 1, ethernet(part4(3)))]
    assert ends(decoded(Decoder(OPTIONAL_TYPES), frames)) == [FLOW, NONE]
    assert ends(
        decoded(Decoder(OPTIONAL_TYPES), [frames[0], frames[0]._replace(octets=ethernet(part4(3)))])
    ) == [
        FLOW,
        FLOW,
    ]


def test_only_the_latest_counts_even_where_it_is_too_far_away():
    """One look-up each: no search among older ones under the same key."""
    found = flows([part4(MORE), part4(MORE), part4(3)], times_s=[10, 100, 10])
    assert ends(found)[2] == NONE


@pytest.mark.parametrize("size", [500, 16_384])
def test_the_last_4096_first_fragments_are_remembered(size):
    assert REMEMBERED == 4_096
    others = [part4(MORE, identification=k % 60_000 + 2) for k in range(REMEMBERED)]
    decoder = Decoder(OPTIONAL_TYPES)
    found = flows(
        [part4(MORE), *others[1:], part4(3), others[0], part4(3)], size=size, decoder=decoder
    )
    assert ends(found)[-3:] == [FLOW, FLOW, NONE]
    # those that were refreshed are remembered from there on
    found = flows(
        [part4(MORE), *others[:50], part4(MORE), *others[50:], part4(3)], size=size, decoder=decoder
    )
    assert ends(found)[-1] == FLOW


def test_all_of_them_are_remembered_when_older_ones_are_forgotten():
    numbers = range(1, 3 * REMEMBERED + 1)
    firsts = [part4(MORE, number) for number in numbers]
    later = [part4(3, number) for number in numbers[-REMEMBERED:]]
    decoder = Decoder(OPTIONAL_TYPES)
    assert set(ends(flows(firsts + later, decoder=decoder))) == {FLOW}
    assert decoder.fragments_unmatched == 0


def test_memory_stays_bounded():
    decoder = Decoder(OPTIONAL_TYPES)
    for start in range(0, 60_000, 15_000):
        flows([part4(MORE, k + 1) for k in range(start, start + 15_000)], decoder=decoder)
        assert len(decoder._fragments._known) <= 2 * REMEMBERED
        assert decoder._fragments._first.size == REMEMBERED


@pytest.mark.parametrize("size", SIZES)
def test_fragments_of_a_tunnel_join_the_inner_flow(size):
    """4in6 whose outer packet was fragmented: only the first one holds the inner headers."""
    inner = ipv4(DATAGRAM, 17, CLIENT, SERVER, ttl=9)
    relays = ("2001:db8:ffff::9", "2001:db8:ffff::10")

    def outer(octets: bytes, offset: int, *, more: bool) -> bytes:
        return ipv6(ipv6_fragment(octets, 4, offset, more=more), 44, *relays)

    packets = [outer(inner[:40], 0, more=True), outer(inner[40:], 40, more=False)]
    found = flows(packets, size=size)
    assert ends(found) == [FLOW] * 2
    assert found[0].ttl == 9
    assert found[1][6:] == (40 + 8 + len(inner) - 40, len(inner) - 40, 0, 64, 0)
    # without the first one it is a packet between the relays
    assert ends(flows(packets[1:])) == [(6, 4, number(relays[0]), number(relays[1]), 0, 0)]


def test_fragments_in_several_headers_of_one_packet():
    relays = ("203.0.113.9", "203.0.113.10")

    def outer(octets: bytes, fragment: int, identification: int) -> bytes:
        return ipv4(octets, 4, *relays, fragment=fragment, identification=identification)

    # first in both: remembered under the outer header only
    both = outer(part4(MORE, 1), MORE, 77)
    rest = outer(bytes(24), 3, 77)
    inner_rest = part4(3, 1)
    assert ends(flows([both, rest, inner_rest])) == [FLOW, FLOW, NONE]
    # first outside and later inside: a later one, and not remembered
    mixed = outer(part4(3, 1), MORE, 77)
    assert ends(flows([part4(MORE, 1), mixed, rest])) == [
        FLOW,
        FLOW,
        (4, 4, number(relays[0]), number(relays[1]), 0, 0),
    ]


def test_two_fragment_headers_in_one_ipv6_packet():
    twice = ipv6_fragment(b"", 44, 0, more=True, identification=5)
    datagram = udp(CLIENT6, 5_353, SERVER6, 53, bytes(16))
    first = ipv6(
        twice + ipv6_fragment(datagram, 17, 0, more=True, identification=6), 44, CLIENT6, SERVER6
    )
    later = ipv6(
        twice + ipv6_fragment(datagram, 17, 24, more=True, identification=6), 44, CLIENT6, SERVER6
    )
    assert ends(flows([first, part6(24, 5), part6(24, 6), later])) == [FLOW6, FLOW6, NONE6, NONE6]
    assert ends(flows([part6(0, 6), later])) == [FLOW6, FLOW6]


def test_fragments_behind_extension_headers_and_in_pppoe():
    before = bytes([44, 0]) + bytes(6)
    assert (
        ends(flows([part6(0, before=before), part6(24), part6(24, before=before)])) == [FLOW6] * 3
    )
    session = [Frame(0, ethernet(pppoe(part4(f)), 0x8864)) for f in (MORE, 3)]
    assert ends(decoded(Decoder(OPTIONAL_TYPES), session)) == [FLOW] * 2
