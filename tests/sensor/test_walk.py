"""The parallel walk finds exactly the records that following the chain one by one finds."""

import importlib
import random
import struct
import tracemalloc

import frames
import numpy as np
import pcapng_bytes as ng
import pytest

from sensor.capture import pcap, pcapng
from sensor.capture.walk import walk

START = 1_700_000_000


def chain(data: bytes, order: str) -> list[int]:
    """Record starts after the file header, by the definition of the format."""
    position, found = 24, []
    while position + 16 <= len(data):
        found.append(position)
        position += 16 + struct.unpack_from(f"{order}I", data, position + 8)[0]
    return found


def walked(data: bytes, order: str) -> list[int]:
    buffer = np.frombuffer(data + bytes(128), np.uint8)
    return walk(buffer, 24, len(data), order, pcap.RECORDS).tolist()


def fake_header(order: str, rng: random.Random) -> bytes:
    """A record header that looks right and is payload."""
    captured = rng.randrange(0, 1500)
    words = (START + rng.randrange(100), rng.randrange(10**6), captured, captured)
    return struct.pack(f"{order}IIII", *words)


@pytest.mark.parametrize("magic", frames.MAGICS)
@pytest.mark.parametrize("size", [(0, 60), (60, 1500), (1, 9000), (1400, 1500)])
def test_walk_finds_the_records_of_ordinary_captures(magic, size):
    order = "<" if magic in (frames.MICROS_LE, frames.NANOS_LE) else ">"
    rng = random.Random(str(size))
    payloads = [rng.randbytes(rng.randrange(*size)) for _ in range(4000)]
    data = frames.pcap_bytes(payloads, magic=magic)
    assert walked(data, order) == chain(data, order)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("seed", range(6))
def test_walk_is_not_led_astray_by_payloads_full_of_record_headers(order, seed):
    rng = random.Random(seed)
    payloads = []
    for _ in range(1500):
        fakes = b"".join(fake_header(order, rng) for _ in range(rng.randrange(90)))
        payloads.append(fakes + rng.randbytes(rng.randrange(16)))
    # Whole captures inside payloads: long chains that agree with one another.
    inner = frames.pcap_bytes(
        [rng.randbytes(20)] * 1000, magic=frames.MICROS_LE if order == "<" else frames.MICROS_BE
    )
    payloads[200] = payloads[700] = inner[24:]
    magic = frames.MICROS_LE if order == "<" else frames.MICROS_BE
    data = frames.pcap_bytes(payloads, magic=magic)
    assert walked(data, order) == chain(data, order)


def test_walk_crosses_records_longer_than_many_parts():
    rng = random.Random(1)
    payloads = [rng.randbytes(rng.choice([40, 1000, 200_000])) for _ in range(60)]
    data = frames.pcap_bytes(payloads)
    assert walked(data, "<") == chain(data, "<")


def test_walk_of_zeros_and_of_equal_bytes_ends():
    # Captures of time zero and of payload without any structure offer a guess at every byte.
    data = frames.pcap_bytes([bytes(500)] * 2000, [0] * 2000)
    assert walked(data, "<") == chain(data, "<")
    word = START & 0xFF000000 | (START >> 24) * 0x010101
    data = frames.pcap_bytes([struct.pack("<I", word) * 100] * 2000, [word * 1_000_000_000] * 2000)
    assert walked(data, "<") == chain(data, "<")


def test_walk_follows_a_corrupt_length_out_of_the_buffer():
    data = bytearray(frames.pcap_bytes([bytes(1000)] * 3000))
    for record, length in ((700, 0xFFFF_FFFF), (1500, 300_000)):
        damaged = bytearray(data)
        struct.pack_into("<I", damaged, 24 + record * 1016 + 8, length)
        assert walked(bytes(damaged), "<") == chain(damaged, "<")


def test_walk_of_less_than_a_header_finds_nothing():
    data = frames.pcap_bytes([b"x" * 40])
    for end in range(24, 40):
        assert walked(data[:end], "<") == []
    assert walked(data[:40], "<") == [24]


def blocks_of(data: bytes, order: str) -> list[int]:
    """Block starts of a pcapng file, by the definition; no block takes less than 12 bytes."""
    position, found = 0, []
    while position + 12 <= len(data):
        found.append(position)
        position += max(12, struct.unpack_from(f"{order}I", data, position + 4)[0])
    return found


def walked_blocks(data: bytes, order: str) -> list[int]:
    buffer = np.frombuffer(data + bytes(128), np.uint8)
    return walk(buffer, 0, len(data), order, pcapng.BLOCKS).tolist()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("seed", range(4))
def test_walk_finds_the_blocks_of_pcapng(order, seed):
    rng = random.Random(seed)
    inner = ng.write([rng.randbytes(50)] * 60, range(60), order)
    blocks = []
    for k in range(4000):
        kind = rng.randrange(40)
        payload = (
            rng.randbytes(rng.randrange(60, 900)) if kind else inner[rng.randrange(900) & ~3 :]
        )
        blocks.append(ng.enhanced(payload, k, order=order))
        if kind == 1:
            blocks += [ng.simple(payload, order), ng.block(6, b"", order), ng.block(99, b"", order)]
    data = b"".join([ng.section(order), ng.interface(order=order), *blocks])
    assert walked_blocks(data, order) == blocks_of(data, order)
    for length in (0, 1, 7, 0xFFFF_FFFF, 70_000, 11):
        damaged = bytearray(data)
        at = rng.choice(blocks_of(data, order))
        struct.pack_into(f"{order}I", damaged, at + 4, length)
        assert walked_blocks(bytes(damaged), order) == blocks_of(bytes(damaged), order)


def test_most_blocks_are_walked_together(monkeypatch):
    """Or thousands of packets would cost a loop in Python each."""
    singly = []
    walk_singly = importlib.import_module("sensor.capture.walk")._walk_singly

    def counted(*arguments):
        found = walk_singly(*arguments)
        singly.append(len(found[0]))
        return found

    monkeypatch.setattr("sensor.capture.walk._walk_singly", counted)
    rng = random.Random(9)
    for order in ("<", ">"):
        sent = [rng.randbytes(rng.randrange(60, 1500)) for _ in range(5000)]
        data = ng.write(sent, range(5000), order)
        assert len(walked_blocks(data, order)) == 5002
    assert sum(singly) < 100


@pytest.mark.parametrize("ordinary", [1, 20_000])
def test_very_short_records_take_no_memory_for_all_parts(ordinary):
    """A part that is walked for long holds a place for every other part at every step."""
    blocks = [ng.enhanced(bytes(60), 1)] * ordinary
    data = b"".join([ng.section(), ng.interface(), *blocks, ng.block(99, b"") * 150_000])
    expected = blocks_of(data, "<")
    tracemalloc.start()
    found = walked_blocks(data, "<")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == expected
    assert most < 40_000_000
