"""What a live run needs to know of its source, whichever it is."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from sensor.capture.block import CaptureCounters, PacketBlock


class Watching(Protocol):
    """One or several interfaces that are captured on, by whomever.

    Attributes:
        interface: its name, or their names with commas between them.
        counters: what has been delivered and lost.
        blind: why nothing is seen of an interface at present, as the end of a sentence, by its
            name; those that are seen are not in it.
        pressed: whether frames will soon be lost if they are not read.
    """

    interface: str
    counters: CaptureCounters

    @property
    def blind(self) -> Mapping[str, str]:
        """See above; it may change between blocks."""
        ...

    @property
    def pressed(self) -> bool:
        """See above; it may change at any time."""
        ...

    def stop(self) -> None:
        """Ends the iteration after what has been received; a signal handler may call it."""
        ...

    def close(self) -> None:
        """Gives back what was opened."""
        ...


class LiveSource(Watching, Protocol):
    """Frames of them: the ring, or tshark."""

    def __iter__(self) -> Iterator[PacketBlock]:
        """Blocks, and ticks where there is silence, until `stop`."""
        ...
