"""The slow path: what dpkt finds, and how many frames of each second it is asked about."""

from itertools import product

import pytest
from decoding import DATAGRAM4, DATAGRAM6, PACKET4, PACKET6, decoded, outcome
from frames import IPV6, ethernet, ipv4, mpls, pppoe, snap
from reference import Frame

from sensor.packets.decode import Decoder
from sensor.packets.headers import OPTIONAL_TYPES
from sensor.packets.slow import SECOND_NS, SLOW_FRAMES

PPP, HDLC, SESSION, CISCO = 9, 50, 51, 104


@pytest.mark.parametrize("link_type", [PPP, HDLC])
def test_ppp_with_and_without_framing_and_with_compressed_protocols(link_type):
    for framing, high in product((b"\xff\x03", b""), (b"\0", b"")):
        assert outcome(framing + high + b"\x21" + DATAGRAM4, link_type) == PACKET4
        assert outcome(framing + high + b"\x57" + DATAGRAM6, link_type) == PACKET6
        for captured in range(len(framing + high)):
            cut = outcome((framing + high + b"\x21")[:captured], link_type, wire_length=99)
            # a lone 0xff may be a protocol, as odd octets are
            assert cut == ("not_ip" if captured == 1 and framing else "truncated_frame")
    for protocol in (b"\xc0\x21", b"\x80\x21", b"\x02\x81", b"\x2d", b"\x08\x00", b"\xff\x04"):
        assert outcome(protocol + DATAGRAM4, link_type) == "not_ip"
        assert outcome(b"\xff\x03" + protocol + DATAGRAM4, link_type) == "not_ip"


@pytest.mark.parametrize("link_type", [PPP, HDLC, CISCO])
def test_cisco_hdlc(link_type):
    for address in (b"\x0f", b"\x8f"):
        assert outcome(address + b"\0\x08\0" + DATAGRAM4, link_type) == PACKET4
        assert outcome(address + b"\0\x86\xdd" + DATAGRAM6, link_type) == PACKET6
        for other in (b"\x80\x35", b"\x20\0", b"\x81\0", b"\x88\x47"):
            assert outcome(address + b"\0" + other + mpls(DATAGRAM4), link_type) == "not_ip"
        for captured in range(1, 4):
            assert outcome((address + b"\0\x08")[:captured], link_type) == "truncated_frame"
    assert outcome(b"", link_type) == "truncated_frame"


def test_sessions_without_ethernet():
    assert outcome(pppoe(DATAGRAM4), SESSION) == PACKET4
    assert outcome(pppoe(DATAGRAM6, 0x57), SESSION) == PACKET6
    assert outcome(b"\x11\0\0\7\0\x22\x21" + DATAGRAM4, SESSION) == PACKET4
    assert outcome(pppoe(mpls(DATAGRAM4), 0x0281), SESSION) == "not_ip"
    for first, code in ((0x12, 0), (0x21, 0), (0x11, 9)):
        assert outcome(pppoe(DATAGRAM4, first=first, code=code), SESSION) == "not_ip"
    for captured in range(8):
        assert outcome(pppoe(DATAGRAM4)[:captured], SESSION) == "truncated_frame"


def test_snap_of_any_organization():
    assert outcome(snap(DATAGRAM4)) == PACKET4
    assert outcome(snap(DATAGRAM6, IPV6, b"\0\0\xf8")) == PACKET6
    for ethertype in (0x0806, 0x8100, 0x8847, 0x8864, 0x2000):
        assert outcome(snap(DATAGRAM4, ethertype)) == "not_ip"
    for captured in range(17, 22):
        assert outcome(snap(DATAGRAM4)[:captured], wire_length=99) == "truncated_frame"
    for captured in range(14, 17):  # what is not seen is not SNAP
        assert outcome(snap(DATAGRAM4)[:captured], wire_length=99) == "not_ip"
    for llc in ("aaaa07", "abaa03", "aaab03", "424203", "060603"):
        body = bytes.fromhex(llc + "0000000800") + DATAGRAM4
        assert outcome(ethernet(body, len(body))) == "not_ip"
    for length, want in ((0, PACKET4), (1_500, PACKET4), (1_501, "not_ip")):
        assert (
            outcome(snap(DATAGRAM4)[:12] + length.to_bytes(2, "big") + snap(DATAGRAM4)[14:]) == want
        )


def test_the_length_of_an_802_3_frame_cuts_nothing_off():
    frame = snap(DATAGRAM4)
    offloaded = frame[:12] + b"\0\1" + frame[14:24] + b"\0\0" + frame[26:]
    packet = outcome(offloaded, wire_length=122)
    assert packet == PACKET4._replace(ip_length=100, payload_length=72)


@pytest.mark.parametrize(
    ("link_type", "before"),
    [(PPP, b"\xff\x03"), (PPP, b""), (SESSION, b"\x11\0\0\1\0\2"), (1, snap(b"")[:20])],
)
def test_no_protocol_number_makes_dpkt_stumble(link_type, before):
    """Of a header alone dpkt has nothing to parse, so nothing behind it can raise."""
    decoder = Decoder(OPTIONAL_TYPES)
    numbers = range(0, 65_536, 5)
    frames = [
        Frame(k * SECOND_NS // SLOW_FRAMES, before + value.to_bytes(2, "big"), 60, link_type)
        for k, value in enumerate(numbers)
    ]
    assert decoded(decoder, frames) == []
    assert decoder.slow == sum(decoder.refused.values()) == len(numbers)


def test_nesting_that_would_recurse_is_left_to_the_layers_of_ip():
    nested = b""
    for depth in range(2_000):
        nested = ipv4(nested, 4, "10.0.0.1", "10.0.0.2")
        if depth == 50:
            assert outcome(snap(nested)) == "tunnel_depth"
    assert outcome(b"\x21" + nested, PPP) == "tunnel_depth"


def run(times_ns: list[int], size: int = 16_384) -> tuple[Decoder, list[int]]:
    """Which of PPP frames at these times are decoded, found by their ports."""
    decoder = Decoder(OPTIONAL_TYPES)
    frames = [
        Frame(time, b"\x21" + DATAGRAM4[:20] + k.to_bytes(4, "big") + DATAGRAM4[24:], -1, PPP)
        for k, time in enumerate(times_ns)
    ]
    packets = decoded(decoder, frames, size)
    return decoder, [packet.source_port << 16 | packet.destination_port for packet in packets]


@pytest.mark.parametrize("size", [7, 500, 16_384])
def test_a_second_has_room_for_a_thousand(size):
    late = 5 * SECOND_NS
    times = [late + k for k in range(1_200)]  # 200 too many
    times += [late - 1] * 3  # an earlier second, but the latest one counts
    times += [late + SECOND_NS] * 900 + [late + k for k in range(200)]  # 100 too many
    times += [late + 2 * SECOND_NS - 1, late + 2 * SECOND_NS]
    decoder, kept = run(times, size)
    first, second = list(range(1_000)), list(range(1_203, 1_203 + 1_000))
    assert kept == [*first, *second, len(times) - 1]
    assert decoder.refused["slow_path_limit"] == 200 + 3 + 100 + 1
    assert decoder.slow == decoder.decoded == len(kept)


def test_a_clock_set_back_does_not_end_the_slow_path():
    late = 3_600 * SECOND_NS
    times = [late] * 1_001
    times += [late - 10 * SECOND_NS] * 5  # no more than 10 s: out of order
    times += [late - 10 * SECOND_NS - 1] * 1_001  # set back: a second that begins
    times += [late - 9 * SECOND_NS] * 3
    _, kept = run(times)
    assert kept == [*range(1_000), *range(1_006, 2_006), *range(2_007, 2_010)]


def test_other_frames_do_not_use_the_room():
    decoder = Decoder(OPTIONAL_TYPES)
    frames = [Frame(0, ethernet(DATAGRAM4))] * 3 + [Frame(0, snap(DATAGRAM4))] * (SLOW_FRAMES + 2)
    frames.insert(5, Frame(0, snap(DATAGRAM4, 0x0806)))  # takes the path, finds nothing
    assert decoded(decoder, frames) == [PACKET4] * (3 + SLOW_FRAMES - 1)
    assert (decoder.slow, decoder.refused["slow_path_limit"]) == (SLOW_FRAMES, 3)
    assert decoder.refused["not_ip"] == 1
