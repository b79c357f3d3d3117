"""Damped sums over the packets of streams, for a block of packets of many streams at once.

Mirsky et al., Kitsune, NDSS 2018, section IV-A: a stream is summed up by y ← 2^(−λΔt) · y + x at
each of its packets, with Δt the seconds since the one before. That is a linear recurrence, and is
solved for all packets of all streams in a logarithmic number of passes (the prefix sums of
Hillis and Steele, Data parallel algorithms, 1986): no term is divided by a power that may have
vanished, so the result is as exact as that of a loop, however long a stream is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DECAYS = (5.0, 3.0, 1.0, 0.1, 0.01)
"""λ of the five windows in 1/s: the weight of a packet halves in 0.2 s to 100 s."""

NEVER = np.iinfo(np.int64).min
"""Time of the last packet of a stream that has none."""

ROUNDING = 1e-12
"""Share of a mean square below which a variance is nothing but rounding: the sums are exact to
some 1e-15 of themselves."""

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_LAMBDA: Array = np.array(DECAYS)[:, None]


@dataclass(frozen=True, slots=True)
class Runs:
    """The packets of a block sorted by stream; positions are into that order.

    Attributes:
        order: ``(packets,)`` packets by stream, in packet order within.
        start, stop: ``(runs,)`` first position of each stream, and the one after its last.
        stream: ``(runs,)``.
    """

    order: Index
    start: Index
    stop: Index
    stream: Index

    @classmethod
    def of(cls, stream: Index) -> "Runs":
        """Runs of ``(packets,)`` numbers of streams, at least one."""
        order = np.argsort(stream, kind="stable")
        ordered = stream[order]
        start = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        return cls(order, start, np.append(start[1:], stream.size), ordered[start])

    def elapsed(self, clock: Index, before_ns: Index) -> Array:
        """Seconds ``(packets,)`` by position since the stream's packet before; 0 for its first.

        Args:
            clock: ``(packets,)`` nanoseconds by packet, ascending.
            before_ns: ``(runs,)`` time of each stream's last packet before the block, or `NEVER`.
        """
        ordered = clock[self.order]
        previous = np.empty_like(ordered)
        previous[1:] = ordered[:-1]
        previous[self.start] = before_ns
        seconds: Array = seconds_between(previous, ordered)
        seconds[previous == NEVER] = 0
        return seconds

    def sums(self, elapsed: Array, added: Array, before: Array) -> Array:
        """Damped sums ``(quantities, decays, packets)`` by position, each packet's own included.

        Args:
            elapsed: ``(packets,)`` seconds by position.
            added: ``(quantities, decays or 1, packets)`` by position, what a packet adds.
            before: ``(streams, quantities, decays)`` sums as of each stream's last packet before
                the block, 0 without one; afterwards, as of its last one in it.
        """
        decay = damped(elapsed)
        sums: Array = np.broadcast_to(added, (len(added), *decay.shape)).copy()
        sums[:, :, self.start] += decay[:, self.start] * before[self.stream].transpose(1, 2, 0)
        decay[:, self.start] = 0
        longest = int((self.stop - self.start).max())
        step = 1
        while step < longest:
            sums[:, :, step:] += decay[:, step:] * sums[:, :, :-step]
            decay[:, step:] = decay[:, step:] * decay[:, :-step]
            step *= 2
        before[self.stream] = sums[:, :, self.stop - 1].transpose(2, 0, 1)
        return sums

    def last_of_other_side(self, side: Index) -> tuple[Index, NDArray[np.bool_]]:
        """The last position in the same run whose side is the other one.

        Args:
            side: ``(packets,)`` 0 or 1 by position.

        Returns:
            The positions, ``(packets,)``, and which of them exist.
        """
        position = np.arange(side.size)
        first, second = (
            np.maximum.accumulate(np.where(side == which, position, -1)) for which in (0, 1)
        )
        last = np.where(side == 0, second, first)
        return last, last >= np.repeat(self.start, self.stop - self.start)


def seconds_between(earlier_ns: Index, later_ns: Index) -> Array:
    """Seconds ``(packets,)`` from one time to another; `NEVER` is as good as any time."""
    seconds: Array = (later_ns - earlier_ns) / 1e9
    return seconds


def damped(elapsed: Array) -> Array:
    """What is left, ``(decays, packets)``, of what counted 1 so many seconds ago."""
    return np.asarray(np.exp2(-_LAMBDA * elapsed))


def moments(sums: Array) -> tuple[Array, Array]:
    """Means and variances ``(decays, packets)`` from sums of weights, values and squares.

    Args:
        sums: ``(3, decays, packets)``.
    """
    mean = sums[1] / sums[0]
    square = sums[2] / sums[0]
    variance = np.abs(square - mean * mean)
    variance[variance <= ROUNDING * square] = 0
    return mean, variance
