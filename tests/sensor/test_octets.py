import gzip
import io
import os
import random
import subprocess
import sys
import threading
import zlib

import pytest
from command import sensor_process

from sensor.capture.octets import GzipOctets, Octets, open_octets
from sensor.errors import UsageError

TEXT = random.Random(8).randbytes(100_000) + bytes(300_000) + b"the end of it"


def drained(octets, room_bytes=65_536):
    """Everything that a stream gives, in rooms of a size."""
    found = b""
    room = bytearray(room_bytes)
    while count := octets.readinto(memoryview(room)):
        found += room[:count]
    octets.close()
    return found


def opened(path, content):
    path.write_bytes(content)
    return open_octets(path)


@pytest.mark.parametrize("room_bytes", [1, 1000, 1 << 20])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_what_is_looked_at_stays_to_be_read(tmp_path, pack, room_bytes):
    content = TEXT[99_000:101_000]
    octets = opened(tmp_path / "x", pack(content))
    assert octets.head(2) == content[:2]
    assert octets.head(700) == content[:700]
    assert octets.head(3) == content[:3]
    assert drained(octets, room_bytes) == content
    assert octets.damage is None
    assert octets.position_bytes == octets.size_bytes == (tmp_path / "x").stat().st_size


def test_gzip_is_known_by_its_first_bytes_whatever_the_name(tmp_path):
    packed = opened(tmp_path / "x.pcap", gzip.compress(TEXT))
    assert isinstance(packed, GzipOctets)
    assert drained(packed) == TEXT
    plain = opened(tmp_path / "x.gz", TEXT)
    assert type(plain) is Octets
    assert drained(plain) == TEXT


@pytest.mark.parametrize("padding", [b"", bytes(3), bytes(40_000)])
def test_members_follow_one_another_and_zeros_are_padding(tmp_path, padding):
    members = [gzip.compress(TEXT), gzip.compress(b""), gzip.compress(b"more", 0)]
    octets = opened(tmp_path / "x", padding.join(members) + padding)
    assert drained(octets) == TEXT + b"more"
    assert octets.damage is None


def test_cut_at_every_byte_gives_what_zlib_can_make_of_it(tmp_path):
    content = TEXT[99_900:100_300] + TEXT[:100]
    packed = gzip.compress(content)
    for cut in range(3, len(packed)):
        octets = opened(tmp_path / "x", packed[:cut])
        expected = zlib.decompressobj(31).decompress(packed[:cut])
        assert drained(octets) == expected
        assert f"ends within compressed data near byte {cut}" in octets.damage
    second = opened(tmp_path / "x", packed + packed[:-1])
    assert drained(second) == content * 2
    assert "ends within compressed data" in second.damage


def test_corrupt_data_gives_what_stands_before_it(tmp_path):
    packed = bytearray(gzip.compress(TEXT, 0))
    packed[70_000:70_010] = b"\xff" * 10  # inside a stored block: only the checksum tells
    octets = opened(tmp_path / "x", packed)
    found = drained(octets)
    assert len(found) == len(TEXT)
    assert found[:69_900] == TEXT[:69_900]
    assert "has corrupt compressed data" in octets.damage
    assert octets.damage.endswith("; the packets before it were processed")
    for room_bytes in (7, 300_000):
        behind = opened(tmp_path / "x", gzip.compress(TEXT) + b"no member")
        assert drained(behind, room_bytes) == TEXT
        assert "has corrupt compressed data" in behind.damage


def test_corrupt_code_ends_the_stream_exactly_there(tmp_path):
    # One byte of damage in the middle of a dynamic block; zlib, fed byte by byte, is the judge.
    packed = gzip.compress(bytes(random.Random(2).choices(b"abcdefgh" * 3 + TEXT[:90], k=60_000)))
    stopped = 0
    for at in range(200, len(packed) - 8, 997):
        damaged = bytearray(packed)
        damaged[at] ^= 0x55
        judge, expected = zlib.decompressobj(31), b""
        try:
            for k in range(len(damaged)):
                expected += judge.decompress(damaged[k : k + 1])
        except zlib.error:
            stopped += 1
        octets = opened(tmp_path / "x", damaged)
        found = drained(octets)
        assert found == expected
        assert octets.damage
    assert stopped > 5


def test_a_bomb_takes_time_and_no_memory(tmp_path):
    bomb = tmp_path / "bomb"
    piece = gzip.compress(bytes(16 << 20))
    bomb.write_bytes(piece * 8)
    code = (
        "import resource, sys; from sensor.capture.octets import open_octets\n"
        "octets, room, total = open_octets(sys.argv[1]), memoryview(bytearray(1 << 20)), 0\n"
        "head = octets.readinto(room)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "while count := octets.readinto(room): total += count\n"
        "print(head + total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.check_output([sys.executable, "-c", code, str(bomb)], text=True)
    total, grown_kib = map(int, done.split())
    assert total == 128 << 20
    assert grown_kib < 4_000


def test_failing_to_read_ends_the_stream_and_says_so(tmp_path):
    octets = opened(tmp_path / "x", b"some")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.dup2(descriptor, octets.fileno())  # reading a folder fails
    os.close(descriptor)
    assert drained(octets) == b"so"  # what had been looked at
    assert "reading failed at byte" in octets.damage


def test_a_pipe_that_does_not_wait_is_waited_for():
    """Whoever shares standard input may have set it so, and a slow writer is not the end."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    octets = Octets("-", io.FileIO(reading))

    def write():
        for start in range(0, len(TEXT), 10_000):
            os.write(writing, TEXT[start : start + 10_000])
        os.close(writing)

    threading.Thread(target=write).start()
    assert drained(octets) == TEXT
    assert octets.damage is None


def test_nobody_types_a_capture():
    keyboard, terminal = os.openpty()
    done = sensor_process("flows", "-", stdin=terminal)
    os.close(keyboard)
    os.close(terminal)
    assert done.returncode == UsageError.exit_status
    assert done.stderr.startswith(b"multa-sensor: error: -: is a terminal; ")
