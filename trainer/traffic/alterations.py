"""Flows as they might have been: a few packets missing, the beginning not seen, gaps otherwise.

A network that never sees a flow twice in the same form has less to learn by heart. What is altered
changes no class: another path loses other packets and has other delays, and a capture may begin
late.
"""

import numpy as np
from numpy.typing import NDArray

from trainer.traffic.inputs import GAIN, INTERARRIVAL_BIT

LOST = 0.2
"""Of a flow, this share of its packets at most is left out, drawn evenly from 0."""

SKIPPED = 6
"""Half of the flows miss up to so many of their first packets."""

SHIFT_BITS, JITTER_BITS = 1.0, 0.6
"""Standard deviations of log2 of a gap: common to all of a flow, and of each."""

Flows = NDArray[np.float32]


def altered(x: Flows, generator: np.random.Generator, *, behind: bool) -> Flows:
    """Flows altered, each in its own way.

    Args:
        x: ``(flows, k, channels)`` of `trainer.traffic.inputs`, inter-arrival times first; padded
            with zeros.
        generator: of what is drawn.
        behind: whether padding stands behind the packets, and not before them.
    """
    held = (x != 0).any(axis=2)
    kept = held & _kept(held, generator)
    count = kept.sum(axis=1)
    flow, packet = np.nonzero(kept)
    place = (np.cumsum(kept, axis=1) - 1)[flow, packet]
    if not behind:
        place += x.shape[1] - count[flow]
    found = np.zeros_like(x)
    found[flow, place] = x[flow, packet]
    gaps = found[..., 0]
    bits = generator.normal(0, SHIFT_BITS, (len(x), 1))
    bits = bits + generator.normal(0, JITTER_BITS, gaps.shape)
    moved = np.maximum(gaps + bits * (GAIN * INTERARRIVAL_BIT), 0)
    found[..., 0] = np.where(gaps > 0, moved, 0)  # the first packet has none
    return found


def _kept(held: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.bool_]:
    """``(flows, k)`` which packets stay; of a flow that would lose all, all."""
    flows = len(held)
    lost = generator.random(held.shape) < LOST * generator.random((flows, 1))
    skipped = generator.integers(0, SKIPPED + 1, (flows, 1)) * (generator.random((flows, 1)) < 0.5)
    kept = ~lost & (np.cumsum(held, axis=1) > skipped)
    empty = ~(kept & held).any(axis=1, keepdims=True)
    return kept | empty
