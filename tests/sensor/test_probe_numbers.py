"""Numbers and timestamps by which an answer is known, against dpkt's reading of the same bytes."""

import contextlib
import random
import struct
from pathlib import Path

import dpkt
import frames
import numpy as np
import pytest
from blocks import block_of
from frames import ACK, ICMP, ICMPV6, PSH, SYN, TCP
from reference import Frame

from sensor.capture.formats import open_capture
from sensor.packets.decode import Decoder
from sensor.packets.headers import PROBE_TYPES

CAPTURES = Path(__file__).parents[1] / "captures"
A, B = "192.0.2.1", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::2"


def numbers(*octets):
    """Both columns of frames."""
    headers = Decoder(PROBE_TYPES).decode(block_of([Frame(1, each) for each in octets]))
    assert len(headers) == len(octets)
    return headers.sequence_numbers.tolist(), headers.tcp_timestamps.tolist()


def stamped(options, source=A, destination=B):
    """A segment with options, filled up to words with zeros."""
    options += bytes(-len(options) % 4)
    segment = frames.tcp(source, 1, destination, 2, ACK, b"data", options=options)
    return frames.ip_frame(segment, TCP, source, destination)


def option(value, echo):
    return struct.pack("!BBII", 8, 10, value, echo)


def test_numbers_of_tcp_and_echo_messages():
    segment = frames.tcp(A, 1, B, 2, SYN, sequence=0xFFFFFFFE, acknowledgement=7)
    rest = struct.pack("!HH", 0xABCD, 3)
    request = frames.ip_frame(frames.icmp(8, 0, rest), ICMP, A, B)
    reply6 = frames.ip_frame(frames.icmpv6(B6, A6, 129, 0, rest), ICMPV6, B6, A6)
    unreachable = frames.ip_frame(frames.icmp(3, 1, rest), ICMP, A, B)
    datagram = frames.udp_frame(A, 5, B, 6, b"12345678")
    found, stamps = numbers(
        frames.ip_frame(segment, TCP, A, B), request, reply6, unreachable, datagram
    )
    echo = 1 << 32 | 0xABCD0003
    assert found == [0xFFFFFFFE << 32 | 7, echo, echo, 0, 0]
    assert stamps == [0] * 5


def test_an_echo_whose_numbers_are_cut_has_none():
    """Four bytes make an ICMP message; a later fragment has no header at all."""
    short = frames.ethernet(frames.ipv4(b"\x08\0\xf7\xff", ICMP, A, B))
    whole = frames.icmp(8, 0, b"\0\1\0\2", bytes(24))
    first, later = (
        frames.ethernet(frames.ipv4(part, ICMP, A, B, identification=9, fragment=word))
        for part, word in ((whole[:16], 0x2000), (whole[16:], 2))
    )
    assert numbers(short, first, later)[0] == [0, 1 << 32 | 0x00010002, 0]


def test_timestamps_wherever_the_option_stands():
    mss, permitted, scale = b"\2\4\5\xb4", b"\4\2", b"\3\3\7"
    expected = 5 << 32 | 6
    usual = b"\1\1" + option(5, 6)
    layouts = [usual, mss + permitted + option(5, 6) + b"\1" + scale, option(5, 6), b"\1" * 30]
    layouts[-1] += option(5, 6)
    for layout in layouts:
        for ends in ((A, B), (A6, B6)):
            assert numbers(stamped(layout, *ends))[1] == [expected], layout


@pytest.mark.parametrize(
    "options",
    [
        b"\0\1" + option(5, 6),  # behind the end of the list
        b"\2\1" + option(5, 6) + b"\0\0",  # behind an option shorter than its own head
        b"\1\1\x08\x0b" + bytes(12),  # of another length
        b"\1" * 31 + option(5, 6)[:9],  # reaches beyond the header
        b"\1" * 40,
        b"\x08\x0a\0\0",
        b"\2\xff" + bytes(38),
    ],
)
def test_what_is_no_option_of_timestamps(options):
    assert numbers(stamped(options))[1] == [0]


def test_options_that_were_not_captured_whole():
    frame = stamped(b"\1\1" + option(5, 6))
    cut = block_of([Frame(1, frame[: 14 + 20 + 31], len(frame)), Frame(2, frame[:-4], len(frame))])
    assert Decoder(PROBE_TYPES).decode(cut).tcp_timestamps.tolist() == [0, 5 << 32 | 6]


def by_dpkt(octets):
    """Both numbers of an Ethernet frame with TCP in IP, as dpkt reads them."""
    segment = dpkt.ethernet.Ethernet(octets).data.data
    found = dict(reversed(dpkt.tcp.parse_opts(segment.opts)))
    value = found.get(dpkt.tcp.TCP_OPT_TIMESTAMP, b"")
    return segment.seq << 32 | segment.ack, int.from_bytes(value, "big") if len(value) == 8 else 0


def test_random_options_as_dpkt_reads_them():
    rng = random.Random(5)
    kinds = [b"\1", b"\4\2", b"\3\3\7", b"\2\4\5\xb4", b"\x05\x0a" + bytes(8)]
    octets = []
    for _ in range(400):
        parts = rng.choices(kinds, k=rng.randrange(6))
        if rng.random() < 0.7:
            place = rng.randrange(len(parts) + 1)
            parts.insert(place, option(rng.getrandbits(32), rng.getrandbits(32)))
        options = b"".join(parts)[:40]
        options += b"\1" * (-len(options) % 4)
        ends = rng.choice([(A, B), (A6, B6)])
        segment = frames.tcp(
            ends[0], 1, ends[1], 2, ACK | PSH, b"x", sequence=rng.getrandbits(32), options=options
        )
        octets.append(frames.ip_frame(segment, TCP, *ends))
    expected = [by_dpkt(each) for each in octets]
    assert sum(stamps > 0 for _, stamps in expected) > 150
    assert list(zip(*numbers(*octets), strict=True)) == expected


def test_recorded_segments_as_dpkt_reads_them():
    path = CAPTURES / "renegotiation-after-301.pcap"
    with path.open("rb") as file:
        expected = [by_dpkt(octets) for _, octets in dpkt.pcap.Reader(file)]
    with contextlib.closing(open_capture(str(path))) as source:
        columns = [Decoder(PROBE_TYPES).decode(block) for block in source]
    found = [
        np.concatenate([getattr(each, name) for each in columns]).tolist() for name in PROBE_TYPES
    ]
    assert list(zip(*found, strict=True)) == expected
    assert len(expected) > 500  # none of them has the option: the lab's hosts don't ask for it
