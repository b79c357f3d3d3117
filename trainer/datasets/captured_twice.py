"""Packets that a capture holds twice, as one taken on two interfaces or a mirror port may.

A copy is the same captured packet from the network layer on, less TTL and header checksum, within
2 ms of its original (`docs/semantics.md` 18). Copies are removed only where a source is *said* to
be captured twice, and only after the capture has proved it: at least `LEAST_SHARE` of its frames
have to stand in runs of exactly two. A flood of identical datagrams can't meet that by accident.
With even gaps its runs are as long as the flood, or of one. With independent gaps, of which a
share q is longer than 2 ms, the share of frames in runs of two is 2·(1 − q)·q², which is largest
at q = 2/3 and then 30 %. Runs of other lengths lose nothing.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.capture.block import PacketBlock
from sensor.capture.formats import open_capture
from sensor.capture.link_types import ETHERNET
from sensor.errors import ConfigurationError

WITHIN_NS = 2_000_000

LEAST_SHARE = 0.4

_ETHERNET_BYTES = 14
_IPV4 = b"\x08\x00"
_TTL, _CHECKSUM = 8, slice(10, 12)


def copies(path: Path) -> NDArray[np.bool_]:
    """Which frames of a capture are copies ``(frames,)``.

    Raises:
        ConfigurationError: the capture does not hold its packets twice, or is not Ethernet.
        MultaError: the capture can't be read.
    """
    runs: list[list[int]] = []
    # By packet, the number of its last run and the time of that run's last frame.
    last: dict[bytes, tuple[int, int]] = {}
    frames = 0
    source = open_capture(path)
    try:
        for block in source:
            if (block.link_type != ETHERNET).any():
                raise ConfigurationError(
                    f"{path}: is not Ethernet throughout; captured_twice is for Ethernet only"
                )
            for index in range(len(block)):
                packet, time = _identity(block, index), int(block.timestamp_ns[index])
                number, before = last.get(packet, (-1, 0))
                if number >= 0 and abs(time - before) <= WITHIN_NS:
                    runs[number].append(frames)
                else:
                    number = len(runs)
                    runs.append([frames])
                last[packet] = (number, time)
                frames += 1
    finally:
        source.close()
    second = np.zeros(frames, bool)
    second[[run[1] for run in runs if len(run) == 2]] = True
    share = 2 * float(second.sum()) / max(1, frames)
    if share < LEAST_SHARE:
        raise ConfigurationError(
            f"{path}: is said to be captured twice, but only {share:.0%} of its frames are pairs; "
            "remove captured_twice"
        )
    return second


def without(block: PacketBlock, drop: NDArray[np.bool_]) -> PacketBlock:
    """The block's frames but those to drop ``(packets,)``."""
    keep = ~drop
    return PacketBlock(
        block.buffer,
        block.offset[keep],
        block.captured_length[keep],
        block.wire_length[keep],
        block.timestamp_ns[keep],
        block.vlan_tci[keep],
        block.vlan_tpid[keep],
        block.link_type[keep],
        block.clock_ns,
    )


def _identity(block: PacketBlock, index: int) -> bytes:
    start = int(block.offset[index])
    frame = block.buffer[start : start + int(block.captured_length[index])].tobytes()
    packet = bytearray(frame[_ETHERNET_BYTES:])
    if frame[12:14] == _IPV4 and len(packet) > _CHECKSUM.stop:
        packet[_TTL] = 0
        packet[_CHECKSUM] = b"\0\0"
    return frame[12:14] + bytes(packet)
