"""What the fuzzers ask of the decoder and of the readers, for any bytes at all.

An input of `decoder` is a list of frames: a byte that chooses the link type, then, again and
again, a flag byte (a tag that the kernel took, a wrong wire length, a gap in time), a length byte
and the frame.
An input of `capture` is a file.
"""

import functools
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from blocks import block_of, packets_of
from mutations import examine
from reference_decode import Frame, Packet, ReferenceDecoder

from sensor.capture.block import PacketBlock
from sensor.capture.files import cut
from sensor.packets.decode import Decoder
from sensor.packets.headers import OPTIONAL_TYPES, Headers

LINK_TYPES = (1, 1, 1, 0, 9, 12, 50, 51, 101, 104, 108, 113, 228, 229, 276, 147)
START_NS = 1_700_000_000_000_000_000


@functools.cache
def scratch() -> Path:
    """A folder for input files, in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108 -- named as a place, the folder in it is ours
    return Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))


def frames_of(octets: bytes) -> list[Frame]:
    """Frames of one link type; an Ethernet frame's flag bit 0 says that the kernel took a tag."""
    link_type = LINK_TYPES[octets[0] % len(LINK_TYPES)] if octets else 1
    frames: list[Frame] = []
    at, time_ns = 1, START_NS
    while at + 2 <= len(octets) and len(frames) < 64:
        flags, length = octets[at], octets[at + 1]
        body = octets[at + 2 : at + 2 + length]
        # the wire length is sometimes more and sometimes less than what was captured
        wire_length = max(0, len(body) + (flags >> 3) - 8) if flags & 2 else len(body)
        time_ns += 20_000_000_000 if flags & 4 else 1_000_000
        tags = flags & 1 if link_type == 1 else 0
        frames.append(Frame(time_ns, body, wire_length, link_type, tags))
        at += 2 + length
    return frames


def decoder(octets: bytes) -> None:
    """The decoder agrees with the reference frame by frame, and with itself one by one.

    Raises:
        AssertionError: they differ.
    """
    frames = frames_of(octets)
    if not frames:
        return
    together, headers = compare(frames)
    singly = Decoder(OPTIONAL_TYPES)
    block = _block(frames)
    parts = [singly.decode(_row(block, row)) for row in range(len(frames))]
    assert singly.refused == together.refused
    for entry in fields(Headers):
        columns = [getattr(part, entry.name) for part in parts]
        assert (np.concatenate(columns) == getattr(headers, entry.name)).all(), entry.name


def compare(frames: Sequence[Frame]) -> tuple[Decoder, Headers]:
    """Decodes frames as one block, and holds packets, refusals and counters against the reference.

    Raises:
        AssertionError: they differ.
    """
    together, reference = Decoder(OPTIONAL_TYPES), ReferenceDecoder()
    headers = together.decode(_block(frames))
    expected = [(frame.time_ns, reference.decode(frame)) for frame in frames]
    wanted = [pair for pair in expected if isinstance(pair[1], Packet)]
    for mine, theirs in zip(packets_of(headers), wanted, strict=True):
        assert mine == theirs
    assert {reason: count for reason, count in together.refused.items() if count} == {
        reason: count for reason, count in reference.refused.items() if count
    }
    for counter in ("decoded", "offloaded", "fragments_unmatched", "slow"):
        assert getattr(together, counter) == getattr(reference, counter), counter
    return together, headers


def _block(frames: Sequence[Frame]) -> PacketBlock:
    tags = np.array([0x8100 * frame.stripped_tags for frame in frames], np.uint16)
    return replace(block_of(frames), vlan_tpid=tags)


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
