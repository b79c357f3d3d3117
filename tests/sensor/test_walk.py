"""The parallel walk finds exactly the records that following the chain one by one finds."""

import random
import struct

import frames
import numpy as np
import pytest

from sensor.capture import pcap
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
