"""The vectorized decoder against the reference: every corner, random damage, real captures."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import blocks
import numpy as np
import pytest
from blocks import block_of, blocks_of, packets_of
from decoding import CLIENT, CLIENT6, DATAGRAM4, DATAGRAM6, SERVER, SERVER6
from frames import (
    ACK,
    IPV4,
    IPV6,
    SYN,
    arp_frame,
    ethernet,
    icmp_frame,
    ip_frame,
    ipv4,
    ipv6,
    ipv6_fragment,
    mpls,
    pppoe,
    sll,
    sll2,
    snap,
    tcp,
    tcp_frame,
    udp,
    udp_frame,
)
from real_captures import real_captures
from reference import Frame
from reference_decode import ReferenceDecoder

from sensor.packets.decode import Decoder
from sensor.packets.headers import ASKED_FOR, OPTIONAL_TYPES, PROBE_TYPES, REFUSALS

SIZES = (1, 7, 500, 16_384)


def assert_equal(frames: Sequence[Frame], size: int) -> Decoder:
    """Every packet and every counter is what the reference says, in order."""
    decoder, reference = Decoder(OPTIONAL_TYPES), ReferenceDecoder()
    got = [
        packet for block in blocks_of(frames, size) for packet in packets_of(decoder.decode(block))
    ]
    wanted = [(frame.time_ns, reference.decode(frame)) for frame in frames]
    wanted = [(time_ns, packet) for time_ns, packet in wanted if not isinstance(packet, str)]
    for mine, theirs in zip(got, wanted, strict=False):
        assert mine == theirs
    assert len(got) == len(wanted)
    assert {reason: n for reason, n in decoder.refused.items() if n} == reference.refused
    for counter in ("decoded", "offloaded", "slow", "fragments_unmatched"):
        assert getattr(decoder, counter) == getattr(reference, counter), counter
    return decoder


def extension(number: int, following: int, units: int = 0, word: int = 0) -> bytes:
    """An IPv6 extension header of `units` more than its smallest length."""
    size = 8 if number == 44 else 4 * (units + 2) if number == 51 else 8 * (units + 1)
    return (bytes([following, units]) + word.to_bytes(2, "big")).ljust(max(size, 8), b"\x3c")


def samples() -> list[bytes]:
    """A frame of each kind, longer than its headers, some with later fragments and chains."""
    segment = tcp(CLIENT, 1024, SERVER, 443, SYN | 0xC0, b"abcdef", options=b"\x02\x04\x05\xb4" * 5)
    datagram6 = udp(CLIENT6, 5353, SERVER6, 53, b"question")
    frames = [
        tcp_frame(CLIENT, 40_000, SERVER, 443, ACK, b"payload"),
        tcp_frame(CLIENT6, 40_000, SERVER6, 443, ACK, b"payload"),
        udp_frame(CLIENT, 1, SERVER, 2, bytes(30)),
        udp_frame(CLIENT6, 1, SERVER6, 2, bytes(30)),
        arp_frame(CLIENT, SERVER),
        ethernet(ipv4(segment, 6, CLIENT, SERVER, options=b"\x94\x04\0\0" * 10)),
        ip_frame(bytes(range(40)), 132, CLIENT, SERVER),
        ip_frame(bytes(range(40)), 47, CLIENT6, SERVER6),
        ip_frame(bytes(range(40)), 58, CLIENT, SERVER),
        ip_frame(bytes(range(40)), 1, CLIENT6, SERVER6),
    ]
    for tags in ([(0x8100, 5)], [(0x88A8, 5), (0x8100, 6)], [(0x9100, 7)] * 2, [(0x8100, 1)] * 3):
        frames += [
            tcp_frame(CLIENT, 1, SERVER, 2, SYN, tags=tags),
            udp_frame(CLIENT6, 1, SERVER6, 2, tags=tags),
            ethernet(arp_frame(CLIENT, SERVER)[14:], 0x0806, tags),
        ]
    for fragment in (0x2000, 0x2001, 0x0001, 0x1FFF, 0x4000, 0x8000):
        frames += [
            ethernet(ipv4(bytes(range(48)), protocol, CLIENT, SERVER, fragment=fragment))
            for protocol in (1, 6, 17, 132, 250)
        ]
    frames += [icmp_frame(CLIENT, SERVER, kind, 3, payload=bytes(8)) for kind in range(256)]
    frames += [icmp_frame(CLIENT6, SERVER6, kind, 3, payload=bytes(8)) for kind in range(256)]
    for length in (0, 1, 19, 20, 27, 28, 47, 48, 500, 65_535):
        frames.append(
            ethernet(ipv4(datagram6 + bytes(12), 17, CLIENT, SERVER, total_length=length))
        )
        frames.append(ethernet(ipv6(datagram6, 17, CLIENT6, SERVER6, payload_length=length), IPV6))
    frames += [
        ethernet(ipv4(segment, 6, CLIENT, SERVER, total_length=length)) for length in range(38, 64)
    ]
    generator = random.Random(3)
    for _ in range(400):
        numbers = [generator.choice((0, 43, 44, 51, 60)) for _ in range(generator.randint(1, 10))]
        numbers.append(generator.choice((6, 17, 58, 59, 50, 132, 1, 135)))
        body = b"".join(
            extension(
                number,
                following,
                generator.choice((0, 0, 0, 1, 2, 30)),
                generator.choice((0, 0, 1, 7, 8)),
            )
            for number, following in pairwise(numbers)
        )
        stated = generator.choice((None, None, 0, len(body) - 1, len(body) + 3, 65_535))
        packet = ipv6(body + bytes(range(24)), numbers[0], CLIENT6, SERVER6, payload_length=stated)
        frames.append(ethernet(packet, IPV6))
    return frames


def wrapped() -> list[tuple[int, bytes]]:
    """Link types and frames of every link, tag, session, label and tunnel, in both versions."""
    outer = "203.0.113.9", "203.0.113.10"
    outer6 = "2001:db8:ffff::9", "2001:db8:ffff::10"
    found = []
    for version, datagram in ((4, DATAGRAM4), (6, DATAGRAM6)):
        ethertype, ppp, inside = (IPV4, 0x21, 4) if version == 4 else (IPV6, 0x57, 41)
        twice = ipv4(ipv6(datagram, inside, *outer6), 41, *outer)
        part = ipv6_fragment(datagram, inside, 0, more=True)
        found += [
            (113, sll(datagram, ethertype)),
            (276, sll2(datagram, ethertype)),
            (276, sll2(b"\0\1\x88\x47" + mpls(datagram, 3), 0x8100)),
            (0, (2 if version == 4 else 30).to_bytes(4, "little") + datagram),
            (108, (2 if version == 4 else 24).to_bytes(4, "big") + datagram),
            *((raw, datagram) for raw in (12, 14, 101, 228, 229, 127)),
            *((kind, b"\xff\x03" + ppp.to_bytes(2, "big") + datagram) for kind in (9, 50)),
            (9, bytes([ppp]) + datagram),
            (51, pppoe(datagram, ppp)),
            (104, b"\x0f\0" + ethertype.to_bytes(2, "big") + datagram),
            (1, snap(datagram, ethertype)),
            (1, ethernet(pppoe(datagram, ppp), 0x8864, [(0x8100, 1)])),
            (1, ethernet(pppoe(mpls(datagram, 2), 0x0281), 0x8864)),
            *((1, ethernet(mpls(datagram, labels), 0x8847)) for labels in (1, 8, 9)),
            (1, ethernet(ipv4(datagram, inside, *outer))),
            (1, ethernet(ipv6(datagram, inside, *outer6), IPV6)),
            (1, ethernet(twice)),
            (1, ethernet(ipv4(twice, 4, *outer))),
            (1, ethernet(ipv6(part, 44, *outer6), IPV6)),
            (
                1,
                ethernet(ipv6(ipv6_fragment(bytes(16), inside, 64, more=False), 44, *outer6), IPV6),
            ),
        ]
    return found


def test_every_sample_and_every_truncation() -> None:
    reasons: Counter[str] = Counter()
    kinds = [(1, sample) for sample in samples()] + wrapped()
    frames = []
    for index, (link_type, sample) in enumerate(kinds):
        step = 1 if index % 8 == 0 or len(sample) < 64 or link_type != 1 else 5
        for length in [*range(0, min(len(sample), 200), step), len(sample)]:
            # a millisecond apart, so that the slow path has room for all but a few
            frames.append(Frame(len(frames) * 1_000_000, sample[:length], len(sample), link_type))
    frames += [Frame(frames[-1].time_ns, snap(DATAGRAM4))] * 1_001
    reasons.update(assert_equal(frames, 4_096).refused)
    assert all(reasons[reason] for reason in REFUSALS)  # the samples reach every refusal


@pytest.mark.parametrize("size", SIZES)
def test_random_damage(size: int) -> None:
    generator = random.Random(20_240_101)
    kinds = [(1, sample) for sample in samples()] + wrapped() * 5
    frames = []
    for index in range(700 if size == 1 else 12_000):
        link_type, sample = generator.choice(kinds)
        frame = bytearray(sample)
        for _ in range(generator.choice((0, 0, 1, 1, 2, 4))):
            frame[generator.randrange(min(len(frame), 90))] = generator.choice(
                (0, 1, 0x45, 0x60, 0x81, 0xFF, generator.randrange(256))
            )
        if generator.random() < 0.3:
            del frame[generator.randrange(len(frame)) :]
        wire = generator.choice((-1, -1, 0, 54, 1_514, 70_000))
        if generator.random() < 0.01:
            link_type = generator.choice((0, 1, 9, 12, 51, 101, 104, 108, 113, 229, 276, 300))
        frames.append(Frame(index * 100_000, bytes(frame), wire, link_type))
    decoder = assert_equal(frames, size)
    assert decoder.slow
    assert decoder.offloaded


def test_nothing_is_read_past_what_was_captured(monkeypatch) -> None:
    """Other bytes around the frames change nothing, those of the longest headers neither."""
    frames = [
        Frame(k, sample[: k % 130], 99, kind) for k, (kind, sample) in enumerate(wrapped() * 6)
    ]
    frames += [Frame(k, sample[: k % 90], 99) for k, sample in enumerate(samples())]
    frames += [Frame(k, snap(DATAGRAM4)[:k], 99) for k in range(30)]
    found = []
    for foreign in (0, 0x03, 0xA5, 0x45, 0x60, 0x2C, 0xFF):
        monkeypatch.setattr(blocks, "FOREIGN", foreign)
        decoder = Decoder()
        found.append((packets_of(decoder.decode(block_of(frames))), decoder.refused))
    assert all(each == found[0] for each in found)


def test_offloaded_packets_are_counted() -> None:
    """Rule 26: more than Ethernet carries, whatever the frame is."""
    decoder = Decoder()
    sizes = (1_499, 1_500, 1_501, 9_000, 65_515)
    frames = [
        Frame(0, ethernet(ipv4(udp(CLIENT, 1, SERVER, 2), 17, CLIENT, SERVER, total_length=size)))
        for size in sizes
    ]
    lengths = [packet.ip_length for _, packet in packets_of(decoder.decode(block_of(frames)))]
    assert lengths == [*sizes]
    assert decoder.offloaded == 3


@pytest.mark.parametrize(
    "optional", [(), ("ttl",), ("tcp_window",), ("ttl", "tcp_window"), tuple(PROBE_TYPES)]
)
def test_empty_block_and_column_types(optional: tuple[str, ...]) -> None:
    """Columns that nobody asks for hold no bytes."""
    decoder = Decoder(optional)
    empty = decoder.decode(block_of([]))
    assert len(empty) == 0
    one = decoder.decode(block_of([Frame(5, tcp_frame(CLIENT, 1, SERVER, 2))]))
    types = {"timestamp_ns": np.int64, "version": np.uint8, "protocol": np.uint8}
    types |= {"tcp_flags": np.uint8, "ttl": np.uint8}
    words = ("source_high", "source_low", "destination_high", "destination_low")
    words += tuple(PROBE_TYPES)
    for headers in (empty, one):
        for name in headers.__slots__:
            wanted = np.uint64 if name in words else types.get(name, np.uint16)
            column = getattr(headers, name)
            assert column.dtype == wanted, name
            absent = name in ASKED_FOR and name not in optional
            assert column.shape == ((len(headers), 0) if absent else (len(headers),)), name


def test_hops_and_windows_by_hand() -> None:
    """Inner headers count, later fragments have no window, and nobody else has one."""
    inner = ipv6(tcp(CLIENT6, 1, SERVER6, 2, SYN, window=40_000), 6, CLIENT6, SERVER6, hop_limit=9)
    segment = tcp(CLIENT, 1, SERVER, 2, ACK, bytes(8), window=0xFF00)
    datagrams = [
        ipv4(segment, 6, CLIENT, SERVER, ttl=255),
        ipv4(segment, 6, CLIENT, SERVER, ttl=1, options=bytes(8)),
        ipv4(inner, 41, CLIENT, SERVER, ttl=77),
        ipv4(udp(CLIENT, 1, SERVER, 2, bytes(20)), 17, CLIENT, SERVER, ttl=0),
        ipv4(segment, 6, CLIENT, SERVER, ttl=64, fragment=0x2000, identification=5),
        ipv4(bytes([255]) * 24, 6, CLIENT, SERVER, ttl=63, fragment=3, identification=5),
        ipv4(bytes([255]) * 24, 6, CLIENT, SERVER, ttl=62, fragment=3, identification=6),
    ]
    frames = [Frame(0, ethernet(datagram)) for datagram in datagrams]
    headers = Decoder(OPTIONAL_TYPES).decode(block_of(frames))
    assert headers.ttl.tolist() == [255, 1, 9, 0, 64, 63, 62]
    assert headers.tcp_window.tolist() == [0xFF00, 0xFF00, 40_000, 0, 0xFF00, 0, 0]
    assert headers.source_port.tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert_equal(frames, 1)


def test_frame_at_the_end_of_the_buffer() -> None:
    """Only the guaranteed bytes lie after the last frame; its chain is longer than those."""
    chain = [60] * 8
    body = b"".join(extension(number, 60, 3) for number in chain[:-1]) + extension(60, 17, 3)
    packet = ipv6(body + udp(CLIENT6, 7, SERVER6, 9), 60, CLIENT6, SERVER6)
    frames = [Frame(0, ethernet(packet, IPV6)), Frame(1, ethernet(packet, IPV6)[:-1])]
    assert isinstance(frames[0].decode(), tuple)
    for size in (1, 2):
        assert_equal(frames, size)


@pytest.mark.parametrize("size", [7, 16_384])
def test_real_captures(size: int) -> None:
    names = ("na-", "icmpScan", "fragmented", "test7", "mirai2000", "Win7", "benign_FTP", "nmap")
    for name, frames in real_captures("security", names):
        assert_equal(frames[: 3_000 if size == 7 else None], size), name


def test_captures_that_break_parsers() -> None:
    """The refusals of a whole collection of damaged and odd frames, one capture a block."""
    seen = Counter()
    for _, frames in real_captures("robustness", ("",)):
        seen.update(+Counter(assert_equal(frames, 16_384).refused))
    assert set(seen) >= {
        "truncated_frame",
        "not_ip",
        "ip_header",
        "truncated_ip",
        "truncated_transport",
    }
