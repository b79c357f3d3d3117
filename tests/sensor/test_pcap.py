import contextlib
import io
import os
import random
import struct
import subprocess
import sys

import dpkt
import frames
import numpy as np
import pytest

from sensor.capture.block import BLOCK_PACKETS, GATHER_BYTES
from sensor.capture.formats import open_capture
from sensor.errors import (
    CaptureFormatError,
    LinkTypeError,
    MissingInputError,
    PermissionDeniedError,
)


def read(path, **options):
    """(timestamp_ns, frame, wire length) of every packet, copied out block by block."""
    source = open_capture(path, **options)
    packets = []
    for block in source:
        assert len(block) <= BLOCK_PACKETS
        assert block.buffer.size - int(block.offset.max(initial=0)) >= GATHER_BYTES
        assert block.timestamp_ns.dtype == block.offset.dtype == np.int64
        for row in range(len(block)):
            start = int(block.offset[row])
            frame = block.buffer[start : start + int(block.captured_length[row])].tobytes()
            packets.append((int(block.timestamp_ns[row]), frame, int(block.wire_length[row])))
    source.close()
    source.close()
    return packets, source


def dpkt_read(data):
    """(timestamp in microseconds, frame) as dpkt has them; its seconds are floats or Decimals."""
    reader = dpkt.pcap.Reader(io.BytesIO(data))
    return [(round(time * 10**6), bytes(frame)) for time, frame in reader]


def some_frames(count=300, seed=4):
    rng = random.Random(seed)
    return [
        frames.tcp_frame("10.0.0.1", 40_000 + k, "10.0.0.2", 80, payload=rng.randbytes(k % 1400))
        for k in range(count)
    ]


@pytest.mark.parametrize("magic", frames.MAGICS)
def test_all_magics_read_as_dpkt_reads_them(tmp_path, magic):
    sent = some_frames()
    times = [1_700_000_000_123_456_789 + 1_000_000_001 * k for k in range(len(sent))]
    data = frames.pcap_bytes(sent, times, magic)
    path = tmp_path / "x.pcap"
    path.write_bytes(data)
    packets, source = read(path)
    assert [frame for _, frame, _ in packets] == [frame for _, frame in dpkt_read(data)] == sent
    unit = 1 if magic in (frames.NANOS_LE, frames.NANOS_BE) else 1000
    assert [time for time, _, _ in packets] == [time // unit * unit for time in times]
    assert [wire for _, _, wire in packets] == [len(frame) for frame in sent]
    assert source.truncated is None
    assert source.counters.packets == len(sent)
    assert source.counters.bytes == sum(map(len, sent))
    assert source.position_bytes == source.size_bytes == len(data)


def test_seconds_beyond_2038_stay_positive(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", [b"x" * 20], [0xFFFF_FFFF * 10**9 + 5000])
    assert read(path)[0] == [(0xFFFF_FFFF * 10**9 + 5000, b"x" * 20, 20)]


def test_snap_length_keeps_the_wire_length(tmp_path):
    path = tmp_path / "x.pcap"
    path.write_bytes(frames.pcap_bytes([b"y" * 500, b"z" * 30], snaplen=64))
    assert [(frame, wire) for _, frame, wire in read(path)[0]] == [
        (b"y" * 64, 500),
        (b"z" * 30, 30),
    ]


def test_wire_length_is_never_less_than_what_was_captured(tmp_path):
    path = tmp_path / "x.pcap"
    path.write_bytes(frames.pcap_bytes([b"y" * 50], wire_lengths=[0]))
    assert read(path)[0][0][2] == 50


@pytest.mark.parametrize("chunk_bytes", [1, 17, 1000, 4096, 65_536])
def test_records_across_chunk_borders_come_whole(tmp_path, chunk_bytes):
    sent = some_frames(120)
    path = frames.write_pcap(tmp_path / "x.pcap", sent)
    packets, source = read(path, chunk_bytes=chunk_bytes)
    assert [frame for _, frame, _ in packets] == sent
    assert source.truncated is None


def test_blocks_hold_at_most_their_number_of_packets(tmp_path):
    count = 2 * BLOCK_PACKETS + 7
    path = frames.write_pcap(tmp_path / "x.pcap", [b"a" * 20] * count)
    with contextlib.closing(open_capture(path)) as source:
        assert [len(block) for block in source] == [BLOCK_PACKETS, BLOCK_PACKETS, 7]


def test_cut_at_every_byte_keeps_every_whole_record(tmp_path):
    sent = [b"a" * 20, b"", b"b" * 7, b"c" * 33]
    data = frames.pcap_bytes(sent)
    ends = [24]
    for frame in sent:
        ends.append(ends[-1] + 16 + len(frame))
    path = tmp_path / "x.pcap"
    for cut in range(24, len(data) + 1):
        path.write_bytes(data[:cut])
        for chunk_bytes in (1, 9, 1 << 20):
            packets, source = read(path, chunk_bytes=chunk_bytes)
            whole = sum(end <= cut for end in ends) - 1
            assert [frame for _, frame, _ in packets] == sent[:whole]
            if cut in ends:
                assert source.truncated is None
            else:
                assert f"record {whole + 1} at byte {ends[whole]} is cut off" in source.truncated
                assert f"after {cut - ends[whole]} of" in source.truncated


@pytest.mark.parametrize("length", [262_145, 0x7FFF_FFFF, 0xFFFF_FFFF])
@pytest.mark.parametrize("count", [5, 5000])
def test_corrupt_length_ends_the_capture_before_it(tmp_path, length, count):
    data = bytearray(frames.pcap_bytes([bytes([k % 250]) * 100 for k in range(count)]))
    struct.pack_into("<I", data, 24 + 3 * 116 + 8, length)
    path = tmp_path / "x.pcap"
    path.write_bytes(data)
    packets, source = read(path)
    assert [frame[:1] for _, frame, _ in packets] == [b"\0", b"\1", b"\2"]
    assert f"record 4 at byte {24 + 3 * 116} is corrupt" in source.truncated
    assert f"claims {length} captured bytes" in source.truncated


def test_longest_possible_record_is_read(tmp_path):
    sent = [b"q" * 262_144, b"r" * 60]
    path = frames.write_pcap(tmp_path / "x.pcap", sent)
    assert [frame for _, frame, _ in read(path, chunk_bytes=4096)[0]] == sent


def test_empty_capture_has_no_packets(tmp_path):
    packets, source = read(frames.write_pcap(tmp_path / "x.pcap", []))
    assert packets == []
    assert source.truncated is None


def test_capture_cut_while_it_is_read_ends_without_a_signal(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", [b"a" * 1000] * 100)
    source = open_capture(path, chunk_bytes=16_384)
    blocks = iter(source)
    next(blocks)
    os.truncate(path, 40_000)
    for _ in blocks:
        pass
    source.close()
    assert source.counters.packets == (40_000 - 24) // 1016
    assert "is cut off" in source.truncated


def test_standard_input_is_read_through_a_pipe():
    data = frames.pcap_bytes(some_frames(200))
    code = (
        "from sensor.capture.formats import open_capture; s = open_capture('-');"
        "print(sum(map(len, s)), s.truncated)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True)
    assert done.stdout == b"200 None\n"


HEADER = frames.pcap_bytes([])


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        (b"", CaptureFormatError, "is empty"),
        (b"This is no capture.\n", CaptureFormatError, "is not a capture file"),
        (HEADER[:23], CaptureFormatError, "ends inside the file header (23 of 24 bytes)"),
        (HEADER[:3], CaptureFormatError, "is not a capture file"),
        (bytes.fromhex("28b52ffd") + bytes(40), CaptureFormatError, "unzstd"),
        (b"snoop\0\0\0" + bytes(40), CaptureFormatError, "--source tshark"),
        (HEADER[:4] + b"\1\0\0\0" + HEADER[8:], CaptureFormatError, "pcap version 1.0"),
        (frames.pcap_bytes([], link_type=127), LinkTypeError, "127 (802.11 Wi-Fi with radiotap)"),
        (frames.pcap_bytes([], link_type=12345), LinkTypeError, "link type 12345"),
    ],
)
def test_foreign_files_are_refused_in_one_line(tmp_path, content, error, says):
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    with pytest.raises(error) as caught:
        open_capture(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message


def test_frame_check_bits_are_not_part_of_the_link_type(tmp_path):
    path = tmp_path / "x.pcap"
    path.write_bytes(frames.pcap_bytes([b"x" * 20], link_type=0x4400_0001))
    assert len(read(path)[0]) == 1


def test_missing_file_folder_and_strange_names(tmp_path):
    with pytest.raises(MissingInputError, match="No such file"):
        open_capture(tmp_path / "none.pcap")
    with pytest.raises(CaptureFormatError, match="is a folder"):
        open_capture(tmp_path)
    with pytest.raises(MissingInputError):
        open_capture("a\0b")


@contextlib.contextmanager
def unprivileged():
    """Gives up root's right to read everything, where the tests run as root."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(was)


def test_unreadable_file(tmp_path):
    path = frames.write_pcap(tmp_path / "x.pcap", [])
    path.chmod(0)
    with unprivileged(), pytest.raises(PermissionDeniedError, match="no permission"):
        open_capture(path)


@pytest.mark.parametrize("archive", ["robustness", "security", "iot-sentinel"])
def test_real_captures_read_as_dpkt_reads_them(shared_archive, archive):
    compared = 0
    for path in sorted(shared_archive(archive).rglob("*")):
        if not path.is_file() or path.read_bytes()[:4] not in frames.MAGICS:
            continue
        try:
            packets, source = read(path, chunk_bytes=60_000)
        except (LinkTypeError, CaptureFormatError):
            continue
        expected = dpkt_read(path.read_bytes())
        if source.truncated is None:
            assert len(packets) == len(expected), path
        # dpkt delivers what is left of a record that was cut, and follows corrupt lengths.
        pairs = zip(packets, expected, strict=False)
        for (time_ns, frame, _), (time_us, expected_frame) in pairs:
            assert abs(time_ns - time_us * 1000) <= 1000, path
            assert frame == expected_frame, path
        compared += 1
    assert compared > 10
