"""What time it is on a link from which nothing comes (`docs/semantics.md` 2)."""

import time

import numpy as np

from sensor.capture.block import GATHER_BYTES, PacketBlock, one_link_type
from sensor.capture.link_types import ETHERNET


class Silence:
    """The time of the last frame, and how long ago it was heard."""

    def __init__(self, margin_ns: int) -> None:
        """Nothing has been heard yet.

        Args:
            margin_ns: a frame that has come by now is heard within this time.
        """
        self._margin_ns = margin_ns
        self._clock_ns = 0
        self._heard_ns = time.monotonic_ns()

    def end(self, timestamp_ns: int) -> None:
        """Takes in the time of a frame that was heard now.

        The last frame's, not the greatest: a clock that was set back has to be followed.
        """
        self._clock_ns = timestamp_ns
        self._heard_ns = time.monotonic_ns()

    def tick(self) -> PacketBlock:
        """An empty block that moves the clock on; no frame to come is older than it says."""
        clock_ns = 0
        if self._clock_ns:
            # It was heard later than it came, so this is rather too early than too late.
            silence_ns = time.monotonic_ns() - self._heard_ns
            clock_ns = self._clock_ns + max(0, silence_ns - self._margin_ns)
        none, no_tags = np.empty(0, np.int64), np.empty(0, np.uint16)
        return PacketBlock(
            buffer=np.zeros(GATHER_BYTES, np.uint8),
            offset=none,
            captured_length=none,
            wire_length=none,
            timestamp_ns=none,
            vlan_tci=no_tags,
            vlan_tpid=no_tags,
            link_type=one_link_type(ETHERNET, 0),
            clock_ns=clock_ns,
        )
