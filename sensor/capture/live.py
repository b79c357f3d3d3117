"""What a live run needs to know of its source, whichever it is."""

from collections.abc import Iterator
from typing import Protocol

from sensor.capture.block import CaptureCounters, PacketBlock


class LiveSource(Protocol):
    """Frames of one interface: the ring, or tshark.

    Attributes:
        interface: its name.
        counters: what has been delivered and lost.
        blindness: why nothing is seen at present, as the end of a sentence; empty while it sees.
        pressed: whether frames will soon be lost if they are not read.
    """

    interface: str
    counters: CaptureCounters
    blindness: str

    @property
    def pressed(self) -> bool:
        """See above; it may change at any time."""
        ...

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks, and ticks where there is silence, until `stop`."""
        ...

    def stop(self) -> None:
        """Ends the iteration after what has been received; a signal handler may call it."""
        ...

    def close(self) -> None:
        """Gives back what was opened."""
        ...
