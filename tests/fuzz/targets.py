"""What the fuzzers ask of the decoder and of the readers, for any bytes at all.

An input of `decoder` is a list of frames: a byte that chooses the link type, then, again and
again, a flag byte (its low bits set the kernel's stripped VLAN tag), a length byte and the frame.
An input of `capture` is a file.
"""

import functools
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from blocks import block_of
from mutations import examine
from reference import Frame

from sensor.capture.block import PacketBlock
from sensor.capture.files import cut
from sensor.packets.decode import Decoder
from sensor.packets.headers import Headers

LINK_TYPES = (1, 1, 1, 0, 9, 12, 50, 51, 101, 104, 108, 113, 228, 229, 276, 147)
START_NS = 1_700_000_000_000_000_000


@functools.cache
def scratch() -> Path:
    """A folder for input files, in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108 -- named as a place, the folder in it is ours
    return Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))


def frames_of(octets: bytes) -> tuple[list[Frame], list[int]]:
    """Frames, and for each the tag protocol that the kernel stripped, or 0."""
    link_type = LINK_TYPES[octets[0] % len(LINK_TYPES)] if octets else 1
    frames, tags = [], []
    at = 1
    while at + 2 <= len(octets) and len(frames) < 64:
        flags, length = octets[at], octets[at + 1]
        body = octets[at + 2 : at + 2 + length]
        # the wire length is sometimes more and sometimes less than what was captured
        wire_length = len(body) + ((flags >> 2) - 8 if flags & 2 else 0)
        time_ns = START_NS + len(frames) * 1_000_000
        frames.append(Frame(time_ns, body, max(0, wire_length), link_type))
        tags.append(0x8100 if flags & 1 and link_type == 1 else 0)
        at += 2 + length
    return frames, tags


def decoder(octets: bytes) -> None:
    """Every frame is decoded or refused, columns are sane, and block sizes don't matter.

    Raises:
        AssertionError: they are not.
    """
    frames, tags = frames_of(octets)
    if not frames:
        return
    block = replace(block_of(frames), vlan_tpid=np.array(tags, np.uint16))
    together, singly = Decoder(), Decoder()
    headers = together.decode(block)
    refused = sum(together.refused.values())
    assert together.decoded == len(headers)
    assert together.decoded + refused == len(frames)
    assert (headers.payload_length <= headers.ip_length).all()
    assert np.isin(headers.version, (4, 6)).all()
    assert not headers.tcp_flags[headers.protocol != 6].any()
    parts = [singly.decode(_row(block, row)) for row in range(len(frames))]
    assert singly.refused == together.refused
    for entry in fields(Headers):
        columns = [getattr(part, entry.name) for part in parts]
        assert (np.concatenate(columns) == getattr(headers, entry.name)).all(), entry.name


def _row(block: PacketBlock, row: int) -> PacketBlock:
    return cut(block, slice(row, row + 1))


def capture(octets: bytes, path: Path) -> None:
    """A file of any bytes gives one `MultaError` at most, in less than a second.

    Raises:
        AssertionError: it gives something else.
    """
    path.write_bytes(octets)
    failure = examine(path).failure
    assert not failure, failure
