import contextlib
import os
import resource
import threading
import time

import dpkt
import frames
import numpy as np
import pytest

from sensor.capture import record as record_module
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


def test_older_recording_is_never_replaced(tmp_path):
    path = tmp_path / "x.pcap"
    path.write_bytes(b"a month of packets")
    with pytest.raises(OutputError, match=r"x\.pcap: .*holds something already; choose another"):
        Recorder(path)
    assert path.read_bytes() == b"a month of packets"


def test_empty_file_and_device_are_taken(tmp_path):
    (tmp_path / "x.pcap").touch()
    record(tmp_path / "x.pcap")
    assert (tmp_path / "x.pcap").stat().st_size == 24
    record("/dev/null")


def test_name_holds_the_time_of_the_start(tmp_path):
    before = time.strftime("%Y")
    record(tmp_path / "%Y.pcap")
    assert (tmp_path / f"{before}.pcap").exists() or time.strftime("%Y") != before


def test_full_disk_ends_the_recording_and_nothing_else(tmp_path):
    """A block that does not fit is cut off; the file holds every frame before it, and no other."""
    path = tmp_path / "x.pcap"
    sent = [bytes(14) + bytes([k]) * 986 for k in range(30)]
    blocks = [block_of(sent[k : k + 10], [NOW] * 10) for k in (0, 10, 20)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder = Recorder(path)
    # Python ignores SIGXFSZ, so the write fails, in the middle of the second block.
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, limits[1]))
    try:
        passed = list(recorded(blocks, recorder))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    recorder.close()
    assert [id(block) for block in passed] == [id(block) for block in blocks]
    assert (recorder.recorded, recorder.unrecorded) == (10, 20)
    assert recorder.failure == "file too large"
    assert path.read_bytes() == frames.pcap_bytes(sent[:10], [NOW] * 10, frames.NANOS_LE)


def test_pipe_whose_reader_goes_away_ends_the_recording(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="nobody reads this pipe; start its reader first"):
        Recorder(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with contextlib.closing(Recorder(tmp_path / "pipe")) as recorder:
        recorder.write(block_of([b"x" * 60], [NOW]))
        assert len(os.read(reader, 1000)) == 24 + 16 + 60
        os.close(reader)
        recorder.write(block_of([b"x" * 60], [NOW]))
    assert (recorder.recorded, recorder.unrecorded, recorder.failure) == (1, 1, "broken pipe")


def test_pipe_whose_reader_stands_still_ends_the_recording(tmp_path, monkeypatch):
    """Else the sensor would stand still too, and no signal could end it."""
    monkeypatch.setattr(record_module, "PATIENCE_S", 0.0)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    blocks = [block_of([b"x" * 1_000] * 10, [NOW] * 10) for _ in range(20)]
    with contextlib.closing(Recorder(tmp_path / "pipe")) as recorder:
        assert len(list(recorded(blocks, recorder))) == 20
    os.close(reader)
    # Linux gives a pipe 64 KiB, which is room for six of these blocks.
    assert (recorder.recorded, recorder.unrecorded) == (60, 140)
    assert recorder.failure == "its reader stands still"


def test_pipe_whose_reader_is_slow_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    recorder = Recorder(tmp_path / "pipe")
    sent = [bytes([k]) * 1_000 for k in range(250)]
    received = []

    def read():
        while octets := os.read(reader, 5_000):
            received.append(octets)

    thread = threading.Thread(target=read)
    thread.start()
    recorder.write(block_of(sent, [NOW] * 250))
    recorder.close()
    thread.join(timeout=60)
    os.close(reader)
    assert recorder.failure == ""
    assert b"".join(received) == frames.pcap_bytes(sent, [NOW] * 250, frames.NANOS_LE)


def test_no_folder_and_full_disk_are_named(tmp_path):
    with pytest.raises(OutputError, match=r"none/x\.pcap: the recording can't be written"):
        Recorder(tmp_path / "none" / "x.pcap")
    with pytest.raises(OutputError, match=r"/dev/full: .*no space left"):
        Recorder("/dev/full")
    with pytest.raises(OutputError):
        Recorder("a\0b")
