import contextlib
import os

import dpkt
import frames
import numpy as np
import pytest

from sensor.capture.block import PacketBlock, one_link_type
from sensor.capture.formats import open_capture
from sensor.capture.record import Recorder, recorded
from sensor.errors import OutputError

NOW = 1_700_000_000_000_000_001


def block_of(contents, times, tags=None, wire=None):
    """A block as the ring makes it; `tags` are (tpid, tci) that were stripped, or (0, 0)."""
    sizes = np.array([len(content) for content in contents], np.int64)
    tags = np.array(tags or [(0, 0)] * len(contents), np.uint16).reshape(-1, 2)
    return PacketBlock(
        buffer=np.frombuffer(b"".join(contents) + bytes(128), np.uint8),
        offset=np.cumsum(sizes) - sizes,
        captured_length=sizes,
        wire_length=np.array(wire, np.int64) if wire else sizes,
        timestamp_ns=np.array(times, np.int64),
        vlan_tci=tags[:, 1],
        vlan_tpid=tags[:, 0],
        link_type=one_link_type(1, sizes.size),
    )


def record(path, *blocks):
    with contextlib.closing(Recorder(path)) as recorder:
        passed = list(recorded(blocks, recorder))
    assert [id(block) for block in passed] == [id(block) for block in blocks]


def test_frames_and_nanoseconds_are_kept(tmp_path):
    path = tmp_path / "x.pcap"
    sent = [frames.tcp_frame("10.0.0.1", k, "10.0.0.2", 80, payload=b"x" * k) for k in range(50)]
    times = [NOW + 7 * k for k in range(50)]
    record(path, block_of(sent[:20], times[:20]), block_of([], []), block_of(sent[20:], times[20:]))
    assert path.read_bytes() == frames.pcap_bytes(sent, times, frames.NANOS_LE)


def test_stripped_tags_are_put_back_where_they_were(tmp_path):
    path = tmp_path / "x.pcap"
    plain = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2)
    outer = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, tags=[(0x88A8, 0x6005)])
    double = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, tags=[(0x8100, 7), (0x8100, 9)])
    inner = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, tags=[(0x8100, 9)])
    tags = [(0, 0), (0x88A8, 0x6005), (0x8100, 7)]
    record(path, block_of([plain, plain, inner], [NOW, NOW, NOW], tags))
    with path.open("rb") as file:
        assert [frame for _, frame in dpkt.pcap.Reader(file)] == [plain, outer, double]


def test_tag_counts_in_both_lengths_of_a_cut_frame(tmp_path):
    path = tmp_path / "x.pcap"
    frame = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=b"y" * 1000)
    record(path, block_of([frame[:60]], [NOW], [(0x8100, 3)], [len(frame)]))
    with contextlib.closing(open_capture(path)) as source:
        (block,) = list(source)
    assert block.captured_length.tolist() == [64]
    assert block.wire_length.tolist() == [len(frame) + 4]
    assert block.timestamp_ns.tolist() == [NOW]


def test_recording_is_for_its_owner_and_group(tmp_path):
    path = tmp_path / "x.pcap"
    old = os.umask(0o022)
    try:
        record(path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640


def test_closing_twice_is_allowed(tmp_path):
    recorder = Recorder(tmp_path / "x.pcap")
    recorder.close()
    recorder.close()


def test_no_folder_and_full_disk_are_named(tmp_path):
    with pytest.raises(OutputError, match=r"none/x\.pcap: the recording can't be written"):
        Recorder(tmp_path / "none" / "x.pcap")
    with pytest.raises(OutputError, match=r"/dev/full: .*No space left"):
        Recorder("/dev/full")
    with pytest.raises(OutputError):
        Recorder("a\0b")
