import contextlib
import itertools
import os
import random
import subprocess
import sys
import threading

import frames
import pytest

from sensor.capture.files import CaptureFiles
from sensor.errors import CaptureFormatError, MissingInputError, UsageError

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def read(*paths):
    rows = []
    with contextlib.closing(CaptureFiles(paths)) as source:
        for block in source:
            assert 0 < len(block) <= 16_384
            for row in range(len(block)):
                start = int(block.offset[row])
                assert start + 128 <= block.buffer.size
                frame = block.buffer[start : start + int(block.captured_length[row])].tobytes()
                rows.append((int(block.timestamp_ns[row]), frame, int(block.wire_length[row])))
    assert source.counters.packets == len(rows)
    assert source.counters.bytes == sum(wire for _, _, wire in rows)
    return rows, source


def write(path, times, label):
    contents = [f"{label}{number}".encode().ljust(20) for number in range(len(times))]
    frames.write_pcap(path, contents, times, frames.NANOS_LE)
    return path, list(zip(times, contents, strict=True))


def merged(*files):
    """The definition: by (running maximum of the time within the file, place of the file)."""
    keyed = []
    for place, packets in enumerate(files):
        latest = itertools.accumulate((time for time, _ in packets), max)
        keyed += [
            ((key, place), time, frame) for key, (time, frame) in zip(latest, packets, strict=True)
        ]
    return [(time, frame) for _, time, frame in sorted(keyed, key=lambda entry: entry[0])]


@pytest.mark.parametrize("seed", range(8))
def test_files_are_merged_by_time_and_place(tmp_path, seed):
    rng = random.Random(seed)
    paths, packets = [], []
    for label in "abcd":
        start = START + rng.randrange(3) * 40_000
        # Few different times: ties between and within files; sometimes the clock goes back.
        times = [start + k // 2 + rng.randrange(-3, 4) for k in range(rng.randrange(60_000))]
        path, content = write(tmp_path / f"{label}.pcap", times, label)
        paths.append(path)
        packets.append(content)
    rows, source = read(*paths)
    assert [row[:2] for row in rows] == merged(*packets)
    assert source.position_bytes == source.size_bytes == sum(p.stat().st_size for p in paths)


def test_order_on_the_command_line_does_not_matter_for_files_one_after_the_other(tmp_path):
    first, one = write(tmp_path / "1.pcap", [START, START + 5], "x")
    second, two = write(tmp_path / "2.pcap", [START + 6, START + 9], "y")
    assert [row[:2] for row in read(second, first)[0]] == one + two


def test_long_files_one_after_the_other_are_not_held_in_memory(tmp_path):
    for number in range(30):
        times = [START + number * SECOND + k for k in range(4)]
        contents = [bytes(200_000)] * 4
        frames.write_pcap(tmp_path / f"{number:02}.pcap", contents, times, frames.NANOS_LE)
    code = (
        "import resource, sys; from sensor.capture.files import CaptureFiles;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "print(sum(map(len, CaptureFiles(sys.argv[1:]))),"
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    paths = sorted(map(str, tmp_path.glob("*.pcap")))
    command = [sys.executable, "-W", "ignore", "-c", code, *paths]
    packets, grown_kib = subprocess.check_output(command, text=True).split()
    assert packets == "120"
    assert int(grown_kib) < 8_000


def test_empty_and_cut_files_do_not_disturb_the_others(tmp_path):
    empty = frames.write_pcap(tmp_path / "empty.pcap", [])
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(frames.pcap_bytes([b"c" * 20, b"d" * 20], [START, START])[:-1])
    torn = tmp_path / "torn.pcap"
    torn.write_bytes(frames.pcap_bytes([])[:24] + b"\1\2\3")
    whole, packets = write(tmp_path / "whole.pcap", [START - 1, START + 1], "w")
    rows, source = read(empty, cut, whole, torn)
    assert [frame for _, frame, _ in rows] == [packets[0][1], b"c" * 20, packets[1][1]]
    assert len(source.truncated) == 2
    assert any(f"{torn}: record 1 at byte 24 is cut off" in line for line in source.truncated)
    assert any(f"{cut}: record 2 at byte 60 is cut off" in line for line in source.truncated)


def test_every_header_is_checked_before_anything_is_read(tmp_path):
    good = frames.write_pcap(tmp_path / "good.pcap", [b"x" * 20])
    (tmp_path / "bad.pcap").write_bytes(b"no capture, just text")
    with pytest.raises(CaptureFormatError, match=r"bad\.pcap"):
        CaptureFiles([good, tmp_path / "bad.pcap"])
    with pytest.raises(MissingInputError, match=r"none\.pcap"):
        CaptureFiles([good, tmp_path / "none.pcap"])


def test_a_pipe_is_read_alone(tmp_path):
    good = frames.write_pcap(tmp_path / "good.pcap", [b"x" * 20])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for names in ([pipe], [pipe, good]):
        writer = threading.Thread(target=pipe.write_bytes, args=(frames.pcap_bytes([b"y" * 9]),))
        writer.start()
        if len(names) == 1:
            assert [frame for _, frame, _ in read(*names)[0]] == [b"y" * 9]
        else:
            with pytest.raises(UsageError, match="can only be read alone"):
                CaptureFiles(names)
        writer.join()
