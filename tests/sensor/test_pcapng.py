import contextlib
import io
import random
import struct

import dpkt
import frames
import pcapng_bytes as ng
import pytest
from packet_rows import Packet, packets_of

from sensor.capture import pcapng
from sensor.capture.formats import open_capture
from sensor.errors import CaptureFormatError, LinkTypeError

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
ORDERS = (ng.LITTLE, ng.BIG)


def read(path, content, **options):
    path.write_bytes(content)
    with contextlib.closing(open_capture(path, **options)) as source:
        packets = packets_of(source)
    assert source.counters.packets == len(packets)
    assert source.counters.bytes == sum(packet.wire_length for packet in packets)
    return packets, source


def some_frames(count, seed=3):
    rng = random.Random(seed)
    return [rng.randbytes(rng.randrange(1, 1500)) for _ in range(count)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("chunk_bytes", [1 << 22, 300_000])
def test_an_ordinary_file_reads_as_dpkt_reads_it(tmp_path, order, chunk_bytes):
    sent = some_frames(3000)
    times = [START + 7 * k for k in range(len(sent))]
    content = ng.write(sent, times, order)
    packets, source = read(tmp_path / "x", content, chunk_bytes=chunk_bytes)
    assert source.truncated is None
    assert source.position_bytes == source.size_bytes == len(content)
    assert packets == [
        Packet(time * 1000, frame, len(frame), 1) for time, frame in zip(times, sent, strict=True)
    ]
    theirs = [(round(t * SECOND), bytes(f)) for t, f in dpkt.pcapng.Reader(io.BytesIO(content))]
    assert [(time, frame) for time, frame in theirs] == list(zip(times, sent, strict=True))


def test_what_dpkt_writes_is_read(tmp_path):
    written = io.BytesIO()
    writer = dpkt.pcapng.Writer(written, snaplen=1500)
    for k, frame in enumerate(some_frames(50)):
        writer.writepkt(frame, ts=1_700_000_000 + k)
    packets, source = read(tmp_path / "x", written.getvalue())
    assert [packet.frame for packet in packets] == some_frames(50)
    assert [packet.timestamp_ns for packet in packets] == [
        (1_700_000_000 + k) * 10**9 for k in range(50)
    ]
    assert source.truncated is None


def kinds_of_blocks(order):
    """A section of everything, and the packets that it holds."""
    content = [
        ng.section(order),
        ng.block(0x0BAD, b"custom" * 30, order),
        ng.interface(1, 64, [(ng.NAME, b"eth0"), ng.resolution(9)], order),
        ng.simple(b"a" * 10, order),
        ng.interface(101, 0, [ng.offset(-5, order), ng.resolution(0x80 | 20)], order),
        ng.enhanced(b"b" * 7, 5_000_000_123, 0, order, wire=90, entries=[(1, b"about it")]),
        ng.block(4, b"\0\0\0\0", order),
        ng.obsolete(b"c" * 8, 9 << 20 | 1 << 19, 1, order, wire=9),
        ng.simple(b"d" * 64, order, wire=700),
        ng.interface(127, 0, [], order),
        ng.enhanced(b"e" * 3, 1, 2, order, wire=1),
        ng.statistics(4, 0, order),
        ng.enhanced(b"", 0xFFFF_FFFF_FFFF_FFFF, 1, order),
    ]
    packets = [
        Packet(0, b"a" * 10, 10, 1),
        Packet(5_000_000_123, b"b" * 7, 90, 1),
        Packet(4_500_000_000, b"c" * 8, 9, 101),
        Packet(4_500_000_000, b"d" * 64, 700, 1),
        Packet(1_000, b"e" * 3, 3, 127),
        # 2^64 − 1 units of 2^−20 s are 2^44 s less one unit: far beyond what is kept.
        Packet(9_000_000_000_000_000_000, b"", 0, 101),
    ]
    return b"".join(content), packets


@pytest.mark.parametrize("chunk_bytes", [1, 13, 200, 1 << 22])
@pytest.mark.parametrize("order", ORDERS)
def test_every_kind_of_block(tmp_path, order, chunk_bytes):
    content, expected = kinds_of_blocks(order)
    packets, source = read(tmp_path / "x", content, chunk_bytes=chunk_bytes)
    assert packets == expected
    assert source.truncated is None


@pytest.mark.parametrize("chunk_bytes", [1, 200, 1 << 22])
def test_sections_change_byte_order_and_interfaces(tmp_path, chunk_bytes):
    content, expected = b"", []
    for number in range(7):
        order = ORDERS[number % 3 % 2]
        content += ng.section(order, length=12345) + ng.interface(
            1 + 100 * (number % 2), order=order
        )
        for k in range(number):
            content += ng.enhanced(b"%d" % number, START + k, order=order)
            expected.append(Packet((START + k) * 1000, b"%d" % number, 1, 1 + 100 * (number % 2)))
    packets, source = read(tmp_path / "x", content, chunk_bytes=chunk_bytes)
    assert packets == expected
    assert source.truncated is None


def test_time_of_a_simple_packet_is_kept_from_chunk_to_chunk(tmp_path):
    content = ng.write([b"first"], [START]) + ng.simple(b"x" * 40) * 300
    for chunk_bytes in (64, 1000, 1 << 22):
        packets, _ = read(tmp_path / "x", content, chunk_bytes=chunk_bytes)
        assert {packet.timestamp_ns for packet in packets} == {START * 1000}
        assert len(packets) == 301


def test_a_byte_order_that_changes_all_the_time_is_not_walked_again_and_again(
    tmp_path, monkeypatch
):
    walked = []
    walk = pcapng.walk

    def counted(buffer, start, end, *rest):
        walked.append(end - start)
        return walk(buffer, start, end, *rest)

    monkeypatch.setattr(pcapng, "walk", counted)
    pairs = 2000
    content = b"".join(
        ng.section(order) + ng.interface(order=order) + ng.enhanced(b"x", START, order=order)
        for order in ORDERS * pairs
    )
    packets, _ = read(tmp_path / "x", content)
    assert len(packets) == 2 * pairs
    assert sum(walked) < 2 * pairs * 5_000 + len(content)


def test_long_blocks_that_hold_no_packet_are_skipped(tmp_path):
    name_resolution = ng.block(4, bytes(3_000_000))
    content = name_resolution.join([ng.section(), ng.interface(), ng.enhanced(b"x", START), b""])
    packets, source = read(tmp_path / "x", content, chunk_bytes=100_000)
    assert [packet.frame for packet in packets] == [b"x"]
    assert source.truncated is None


def test_longest_packet_is_read(tmp_path):
    content = ng.write([b"q" * 262_144, b"r"], [START, START])
    packets, _ = read(tmp_path / "x", content, chunk_bytes=4096)
    assert [len(packet.frame) for packet in packets] == [262_144, 1]


def test_cut_at_every_byte_keeps_every_whole_packet(tmp_path):
    blocks = [
        ng.section(),
        ng.interface(),
        ng.enhanced(b"a" * 9, START),
        ng.simple(b"b" * 5),
        ng.interface(),
        ng.enhanced(b"c", START, 1),
    ]
    content = b"".join(blocks)
    ends = [sum(map(len, blocks[: k + 1])) for k in range(len(blocks))]
    packets_at = {2: 1, 3: 2, 5: 3}
    for cut in range(28, len(content)):
        for chunk_bytes in (1, 50, 1 << 22):
            packets, source = read(tmp_path / "x", content[:cut], chunk_bytes=chunk_bytes)
            whole = sum(end <= cut for end in ends)
            assert len(packets) == sum(index < whole for index in packets_at)
            if cut in ends:
                assert source.truncated is None
            else:
                begin = ends[whole - 1] if whole else 0
                said = f"the block at byte {begin} is cut off after {cut - begin} of"
                assert said in source.truncated
                assert source.truncated.endswith("; the packets before it were processed")


GOOD = ng.write([b"good"], [START])
ANOTHER = ng.enhanced(b"after", START)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("behind", [0, 3000])
@pytest.mark.parametrize(
    ("damaged", "says"),
    [
        (lambda o: ng.block(6, bytes(40), o, last_length=48), "has two lengths that differ"),
        (lambda o: ng.block(6, bytes(40), o, length=50), "claims a length of 50 bytes"),
        (lambda o: ng.block(6, bytes(40), o, length=0), "claims a length of 0 bytes"),
        (lambda o: ng.block(6, bytes(40), o, length=8), "claims a length of 8 bytes"),
        (lambda o: ng.block(9, bytes(40), o, length=1 << 25), "claims a length of 33554432 bytes"),
        (lambda o: ng.block(6, bytes(16), o), "claims 0 captured bytes, possible are 0"),
        (lambda o: ng.enhanced(b"abcd", 0, 0, o, captured=5), "claims 5 captured bytes, possible"),
        (lambda o: ng.enhanced(b"abcd", 0, 0, o, captured=0xFFFF_FFFF), "claims 4294967295 capt"),
        (lambda o: ng.enhanced(b"q" * 262_145, 0, 0, o), "possible are 262144"),
        (lambda o: ng.enhanced(b"abcd", 0, 1, o), "is of interface 1, which the file does not"),
        (lambda o: ng.obsolete(b"abcd", 0, 9, o), "is of interface 9, which the file does not"),
        (lambda o: ng.simple(b"abcd", o, wire=5), "claims 5 captured bytes, possible are 4"),
        (lambda o: ng.section(o) + ng.simple(b"abcd", o), "is of interface 0, which"),
        (lambda o: ng.section(o, version=(2, 0)), "begins a section of pcapng version 2.0"),
        (lambda o: ng.block(0x0A0D0D0A, bytes(16), o), "begins a section without a byte order"),
        (
            lambda o: ng.block(0x0A0D0D0A, struct.pack(f"{o}IHHq", 0x1A2B3C4D, 1, 0, 0)[:12], o),
            "begins a section in 24 bytes",
        ),
        (lambda o: ng.block(1, bytes(4), o), "describes an interface in 16 bytes"),
    ],
)
def test_the_first_block_that_contradicts_itself_ends_the_file(
    tmp_path, order, behind, damaged, says
):
    good = ng.write([b"good"] * (1 + behind), [START] * (1 + behind), order)
    content = good + damaged(order) + ng.enhanced(b"after", START, order=order) * (1 + behind)
    packets, source = read(tmp_path / "x", content)
    assert [packet.frame for packet in packets] == [b"good"] * (1 + behind)
    assert says in source.truncated
    assert "\n" not in source.truncated


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (ng.section()[:27], "ends inside the section header (27 of at least 28 bytes)"),
        (ng.block(0x0A0D0D0A, bytes(16)), "byte order is 00 00 00 00"),
        (ng.section(version=(3, 1)), "pcapng version 3.1"),
        (ng.block(0x0A0D0D0A, ng.section()[8:24], length=20), "in 20 bytes"),
    ],
)
def test_a_first_section_header_that_is_wrong_is_no_capture(tmp_path, content, says):
    with pytest.raises(CaptureFormatError) as caught:
        read(tmp_path / "x", content)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path / 'x'}: ")


def test_more_interfaces_than_there_is_memory_for_end_the_file(tmp_path):
    content = ng.section() + ng.interface() * 65_536 + ng.enhanced(b"x", 0, 65_535)
    packets, source = read(tmp_path / "x", content)
    assert (len(packets), source.truncated) == (1, None)
    packets, source = read(tmp_path / "x", content + ng.interface() + ANOTHER)
    assert len(packets) == 1
    assert "describes one more interface than 65536 in a section" in source.truncated
    # Another section has room for as many again.
    packets, source = read(tmp_path / "x", content + GOOD)
    assert (len(packets), source.truncated) == (2, None)


def test_foreign_link_types_are_refused_where_no_other_was_described_before_a_packet(tmp_path):
    foreign = ng.section() + ng.interface(127) + ng.interface(195)
    wifi = ng.enhanced(b"wifi", START)
    for content in (foreign + wifi, foreign, ng.section() + foreign + wifi + ng.interface(1)):
        with pytest.raises(
            LinkTypeError, match=r"127 \(802.11 .*, 195 \(802.15.4\), of which none"
        ):
            read(tmp_path / "x", content)
    with pytest.raises(LinkTypeError, match=r"has link type 127 .*, which is not decoded"):
        read(tmp_path / "x", ng.section() + ng.interface(127) + wifi)
    mixed = ng.section() + ng.interface(127) + ng.interface(1) + wifi + ng.enhanced(b"e", START, 1)
    packets, _ = read(tmp_path / "x", mixed)
    assert [packet.link_type for packet in packets] == [127, 1]
    # A section before that had one counts too, however far away it is.
    apart = GOOD[: -len(ng.enhanced(b"good", START))] + ng.block(4, bytes(9000)) + foreign + wifi
    for chunk_bytes in (64, 1 << 22):
        packets, _ = read(tmp_path / "x", apart, chunk_bytes=chunk_bytes)
        assert [packet.link_type for packet in packets] == [127]


def test_files_without_packets_have_none(tmp_path):
    for content in (ng.section(), ng.section() + ng.interface(), ng.section() * 3):
        packets, source = read(tmp_path / "x", content)
        assert (packets, source.truncated, source.first_time_ns()) == ([], None, -1)


def test_statistics_tell_what_the_capture_lost():
    import numpy as np

    content = b"".join(
        [
            ng.section(),
            ng.interface() * 2,
            ng.statistics(3, 0),
            ng.statistics(10, 0),
            ng.statistics(7, 1),
            ng.statistics(99, 5),
            ng.section(),
            ng.interface(),
            ng.statistics(1, 0),
        ]
    )
    parser = pcapng.PcapngParser("x", content[:28])
    buffer = np.zeros(len(content) + 128, np.uint8)
    buffer[: len(content)] = np.frombuffer(content, np.uint8)
    parser.parse(buffer, len(content))
    assert parser.drops == 10 + 7 + 1


def test_payloads_full_of_blocks_lead_nobody_astray(tmp_path):
    rng = random.Random(11)
    inner = ng.write(some_frames(40), [START] * 40)
    sent = [inner[rng.randrange(0, 400) & ~3 :] for _ in range(40)]
    sent += [frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=bytes(k)) for k in range(900)]
    content = ng.write(sent, [START] * len(sent))
    packets, _ = read(tmp_path / "x", content)
    assert [packet.frame for packet in packets] == sent
