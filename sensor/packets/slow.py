"""The slow path: headers before IP that are read frame by frame (`docs/semantics.md` 19).

It is for links that a gateway hardly ever has. The number of frames in each second of packet time
is limited, so nobody can slow the sensor down.
"""

import numpy as np

from sensor.capture.block import PacketBlock
from sensor.packets.headers import REFUSAL_CODES
from sensor.packets.link import NOT_IP, SLOW, Links

SLOW_FRAMES = 1_000
"""Frames in each second of packet time that take the slow path: some milliseconds of work."""

SECOND_NS = 1_000_000_000
CLOCK_STEP_NS = 10 * SECOND_NS
"""A frame that is this much older than an earlier one tells that the clock was set back."""


class SlowPath:
    """Finds the IP header in frames that are left to it, as many as a second allows.

    Attributes:
        frames: how many it has looked at.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._latest_ns = -(1 << 63)
        self._in_second = 0

    def read(self, block: PacketBlock, links: Links) -> None:
        """Completes `links` where they say `SLOW`, in place."""
        rows = np.flatnonzero(links.kind == SLOW)
        if not rows.size:
            return
        # dpkt takes 5 MB, which only those sensors pay that meet such a frame
        from sensor.packets.slow_headers import HEADER_BYTES, find_ip  # noqa: PLC0415

        admitted = np.array([self._admit(time) for time in block.timestamp_ns[rows].tolist()])
        links.refuse(rows[~admitted], "slow_path_limit")
        rows = rows[admitted]
        self.frames += rows.size
        columns = (rows, block.offset[rows], block.captured_length[rows], block.link_type[rows])
        for row, offset, captured, link_type in zip(*(c.tolist() for c in columns), strict=True):
            octets = block.buffer[offset : offset + min(captured, HEADER_BYTES)].tobytes()
            links.kind[row], links.length[row], refusal = find_ip(link_type, octets)
            if links.kind[row] == NOT_IP:
                links.refusal[row] = REFUSAL_CODES[refusal]

    def _admit(self, time_ns: int) -> bool:
        """Whether the second of a frame has room left."""
        if time_ns // SECOND_NS > self._latest_ns // SECOND_NS or (
            time_ns < self._latest_ns - CLOCK_STEP_NS
        ):
            self._in_second = 0
            self._latest_ns = time_ns
        self._latest_ns = max(time_ns, self._latest_ns)
        self._in_second += 1
        return self._in_second <= SLOW_FRAMES
