"""Which files are captures, and how many packets are in the strangest of them."""

import contextlib
import gzip
import random
import subprocess
import sys

import frames
import pcapng_bytes as ng
import pytest
from packet_rows import packets_of

from sensor.capture.formats import open_capture
from sensor.errors import CaptureFormatError, LinkTypeError

START = 1_700_000_000
SENT = [random.Random(k).randbytes(60 + k) for k in range(300)]
PCAP = frames.pcap_bytes(SENT, [(START + k) * 10**9 for k in range(300)])
PCAPNG = ng.write(SENT, [(START + k) * 10**6 for k in range(300)])


def read(path):
    with contextlib.closing(open_capture(path)) as source:
        return packets_of(source), source


@pytest.mark.parametrize("name", ["x.pcap", "x.pcapng", "x.gz", "x"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_one_capture_in_all_its_forms(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(PCAP))
    packets, source = read(path)
    assert [packet.frame for packet in packets] == SENT
    assert source.truncated is None
    assert source.position_bytes == source.size_bytes == path.stat().st_size
    path.write_bytes(pack(PCAPNG))
    again, source = read(path)
    assert again == packets
    assert source.truncated is None


@pytest.mark.parametrize("content", [PCAP, PCAPNG], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_takes_every_form(content, pack):
    code = (
        "from sensor.capture.formats import open_capture; s = open_capture('-');"
        "print(s.size_bytes, s.first_time_ns(), sum(map(len, s)), s.truncated)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=pack(content), capture_output=True, check=True
    )
    assert done.stdout.decode() == f"0 {START * 10**9} 300 None\n"


def test_first_time_is_told_and_nothing_is_lost_by_it(tmp_path):
    for content in (PCAP, PCAPNG, gzip.compress(PCAP)):
        (tmp_path / "x").write_bytes(content)
        with contextlib.closing(open_capture(tmp_path / "x", 1000)) as source:
            assert source.first_time_ns() == START * 10**9
            assert source.first_time_ns() == START * 10**9
            assert source.counters.packets == 0
            assert len(packets_of(source)) == source.counters.packets == 300


@pytest.mark.parametrize("content", [PCAP, PCAPNG], ids=["pcap", "pcapng"])
def test_cut_compressed_captures_are_read_to_the_cut(tmp_path, content):
    packed = gzip.compress(content)
    path = tmp_path / "x"
    path.write_bytes(packed[: len(packed) // 2])
    packets, source = read(path)
    assert 100 < len(packets) < 200
    assert [packet.frame for packet in packets] == SENT[: len(packets)]
    assert f"ends within compressed data near byte {len(packed) // 2}" in source.truncated
    # A wrong checksum comes when all packets have been there.
    path.write_bytes(packed[:-8] + bytes(4) + packed[-4:])
    packets, source = read(path)
    assert len(packets) == 300
    assert "has corrupt compressed data" in source.truncated


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(PCAP, mtime=0)[:12], "ends within compressed data"),
        (b"\x1f\x8bno gzip", "has corrupt compressed data"),
        (gzip.compress(b"just text", mtime=0), "is not a capture file of a known format"),
        (gzip.compress(gzip.compress(PCAP)), "first bytes are 1f 8b 08 00"),
        (bytes.fromhex("34cdb2a1") + bytes(40), "--source tshark"),
    ],
)
def test_what_is_no_capture_is_refused_in_one_line(tmp_path, content, says):
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(CaptureFormatError) as caught:
        open_capture(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_no_strange_file_does_harm(shared_archive):
    """Of 1,221 captures that have broken parsers, how many are read, cut or refused.

    tests/sensor/test_tshark.py holds the packets of them against tshark's.
    """
    outcomes = {"read": 0, "cut": 0, "refused": 0}
    for path in sorted(shared_archive("robustness").rglob("*")):
        if not path.is_file():
            continue
        try:
            packets, source = read(path)
        except (LinkTypeError, CaptureFormatError) as error:
            outcomes["refused"] += "\n" not in str(error)
            continue
        assert source.counters.packets == len(packets)
        outcomes["cut" if source.truncated else "read"] += 1
    assert outcomes == {"read": 936, "cut": 3, "refused": 282}
