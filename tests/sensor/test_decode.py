"""The vectorized decoder against the reference: every corner, random damage, real captures."""

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from blocks import block_of, blocks_of, packets_of
from frames import (
    ACK,
    IPV6,
    SYN,
    arp_frame,
    ethernet,
    icmp_frame,
    ip_frame,
    ipv4,
    ipv6,
    tcp,
    tcp_frame,
    udp,
    udp_frame,
)
from real_captures import real_captures
from reference import Frame, refusals
from reference_decode import decode_reference

from sensor.packets.decode import Decoder
from sensor.packets.headers import REFUSALS

CLIENT, SERVER = "10.1.2.3", "192.168.4.5"
CLIENT6, SERVER6 = "2001:db8::a:1", "fe80::b:2"
SIZES = (1, 7, 500, 16_384)


def assert_equal(frames: Sequence[Frame], size: int) -> None:
    """Every packet and every count of refusals is what the reference says, in order."""
    decoder = Decoder()
    got = [
        packet for block in blocks_of(frames, size) for packet in packets_of(decoder.decode(block))
    ]
    wanted = [(frame.time_ns, frame.decode()) for frame in frames]
    wanted = [(time_ns, packet) for time_ns, packet in wanted if not isinstance(packet, str)]
    for mine, theirs in zip(got, wanted, strict=False):
        assert mine == theirs
    assert len(got) == len(wanted)
    assert decoder.decoded == len(wanted)
    assert {reason: n for reason, n in decoder.refused.items() if n} == refusals(frames)


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


def test_every_sample_and_every_truncation() -> None:
    wanted = Counter()
    frames = []
    for index, sample in enumerate(samples()):
        step = 1 if index % 8 == 0 or len(sample) < 64 else 5
        for length in [*range(0, min(len(sample), 200), step), len(sample)]:
            frames.append(Frame(len(frames), sample[:length], len(sample)))
            wanted[str(frames[-1].decode())[:12]] += 1
    assert_equal(frames, 4_096)
    assert {reason[:12] for reason in REFUSALS} <= set(wanted)  # the samples reach every refusal


@pytest.mark.parametrize("size", SIZES)
def test_random_damage(size: int) -> None:
    generator = random.Random(20_240_101)
    kinds = samples()
    frames = []
    for index in range(700 if size == 1 else 12_000):
        frame = bytearray(generator.choice(kinds))
        for _ in range(generator.choice((0, 0, 1, 1, 2, 4))):
            frame[generator.randrange(min(len(frame), 90))] = generator.choice(
                (0, 1, 0x45, 0x60, 0x81, 0xFF, generator.randrange(256))
            )
        if generator.random() < 0.3:
            del frame[generator.randrange(len(frame)) :]
        wire = generator.choice((-1, -1, 0, 54, 1_514, 70_000))
        frames.append(Frame(index * 1_001, bytes(frame), wire))
    assert_equal(frames, size)


def test_kernel_stripped_tag_is_one_of_two() -> None:
    """A live ring strips the outer tag, a recording puts it back: both must decode alike."""
    tags = [(0x88A8, 5), (0x8100, 6), (0x8100, 7)]
    for depth in range(4):
        inside = tcp_frame(CLIENT, 1, SERVER, 2, SYN, tags=tags[1 : 1 + depth])
        whole = tcp_frame(CLIENT, 1, SERVER, 2, SYN, tags=tags[: 1 + depth])
        if depth == 3:
            whole = inside[:12] + b"\x88\xa8\0\5" + inside[12:]
        live = block_of([Frame(1, inside)])
        live.vlan_tci[:] = 5
        live.vlan_tpid[:] = 0x88A8
        decoder, recorded = Decoder(), Decoder()
        assert packets_of(decoder.decode(live)) == packets_of(
            recorded.decode(block_of([Frame(1, whole)]))
        )
        assert decoder.refused == recorded.refused
        expected = decode_reference(inside, len(inside), stripped_tags=1)
        assert (expected == "vlan_depth") == (decoder.refused["vlan_depth"] == 1) == (depth >= 2)


def test_empty_block_and_column_types() -> None:
    decoder = Decoder()
    empty = decoder.decode(block_of([]))
    assert len(empty) == 0
    one = decoder.decode(block_of([Frame(5, tcp_frame(CLIENT, 1, SERVER, 2))]))
    types = {"timestamp_ns": np.int64, "version": np.uint8, "protocol": np.uint8}
    types |= {"tcp_flags": np.uint8}
    words = ("source_high", "source_low", "destination_high", "destination_low")
    for headers in (empty, one):
        for name in headers.__slots__:
            wanted = np.uint64 if name in words else types.get(name, np.uint16)
            assert getattr(headers, name).dtype == wanted, name


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
        assert_equal(frames, 16_384)
        seen.update(refusals(frames))
    assert set(seen) >= {
        "truncated_frame",
        "not_ip",
        "ip_header",
        "truncated_ip",
        "truncated_transport",
    }
