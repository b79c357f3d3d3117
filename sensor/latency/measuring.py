"""Measurements of a stream of packets, for whoever wants them and no rows."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from sensor.flows.epochs import Epochs
from sensor.latency.latency_table import Measured
from sensor.latency.peers import Placed
from sensor.packets.headers import Headers


def measure(
    packets: Iterable[tuple[Headers, int]], measured: Measured
) -> Iterator[NDArray[np.void]]:
    """Measurements of series, in order (`sensor.latency.measurements.MEASUREMENT`).

    Where the clock was set back a stream ends, and another begins (`docs/semantics.md` 3).

    Args:
        packets: decoded packets of each block with `PROBE_TYPES`, and the lower bound of the clock
            after it.
        measured: takes them, and counts.
    """
    epochs = Epochs()
    for block, lower_ns in packets:
        for begins, headers, clock_ns in epochs.cut(block, lower_ns):
            if begins:
                yield from _chosen(measured.finish())
                measured.restart()
            yield from _chosen(measured.add(headers, clock_ns))
    yield from _chosen(measured.finish())


def _chosen(pieces: Iterable[tuple[NDArray[np.void], Placed]]) -> Iterator[NDArray[np.void]]:
    return (found[placed.chosen] for found, placed in pieces)
