"""Ring blocks put together by hand, as linux/if_packet.h lays them out."""

import random
import struct

import numpy as np
import pytest

from sensor.capture.ring_records import record_offsets

BLOCK_BYTES = 1 << 16
MAC = 82
"""Where a frame begins behind its header of 48 bytes and its struct sockaddr_ll of 20, which the
kernel aligns so that what follows Ethernet's 14 bytes is at 96."""


def block(contents, before=0):
    """A ring whose block begins after `before` bytes, and where its headers are."""
    octets = bytearray(random.Random(1).randbytes(before + BLOCK_BYTES))
    at, offsets = before + 48, []
    for number, content in enumerate(contents):
        offsets.append(at)
        size = (MAC + len(content) + 7) // 8 * 8
        following = size if number < len(contents) - 1 else 0
        header = struct.pack("=6IHH5I", following, 5, 7, len(content), 60, 1, MAC, 96, *[0] * 5)
        octets[at : at + len(header)] = header
        octets[at + MAC : at + MAC + len(content)] = content
        at += size
    described = struct.pack("=6I", 1, 0, 1, len(contents), 48, at - before)
    octets[before : before + 24] = described
    return octets, offsets


def found(octets, before=0):
    ring = np.frombuffer(octets, np.uint8)
    words = memoryview(octets).cast("I")
    return record_offsets(words, ring.view(np.uint64), before // 4).tolist()


@pytest.mark.parametrize("count", [1, 2, 23, 24, 100, 400])
@pytest.mark.parametrize("sizes", [(54,), (54, 55, 56, 57, 60, 74), (192, 14, 60)])
def test_every_header_of_a_block(count, sizes):
    rng = random.Random(count)
    contents = [rng.randbytes(rng.choice(sizes)) for _ in range(min(count, 220))]
    octets, offsets = block(contents, before=4096)
    assert found(octets, 4096) == offsets


def test_few_long_frames():
    octets, offsets = block([bytes(1500)] * 40)
    assert found(octets) == offsets


def test_frame_that_looks_like_a_header_is_not_taken_for_one():
    """What is searched for stands in a frame, at every position that is aligned like a header's."""
    forged = struct.pack("=HHI", MAC, 96, 0) * 20
    contents = [bytes(60)] * 50 + [b"\0" * 6 + forged] + [bytes(60)] * 50
    octets, offsets = block(contents)
    assert found(octets) == offsets


def test_as_many_forged_headers_as_others_are_hidden():
    """The number fits, but what was found is no chain: one header has a hash, one is forged."""
    contents = [bytes(60)] * 50 + [b"\0" * 6 + struct.pack("=HHI", MAC, 96, 0) + bytes(60)]
    octets, offsets = block(contents + [bytes(60)] * 50)
    octets[offsets[70] + 28] = 1
    assert found(octets) == offsets
