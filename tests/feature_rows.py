"""Seeded random rows of a flow table: the columns that features are made of."""

from collections.abc import Collection

import numpy as np

from sensor.flows.sequences import SequenceBatch
from sensor.model.golden import empty_rows

PROTOCOLS = (6, 6, 6, 17, 17, 1, 58, 47)


def random_rows(n: int, count: int, seed: int, optional: Collection[str] = ()) -> SequenceBatch:
    """`count` rows of 1 to n packets; every value that a decoder can deliver may occur."""
    generator = np.random.default_rng(seed)
    rows = empty_rows(n, count, optional)
    shape = (count, n)
    rows.length[:] = generator.integers(1, n + 1, count)
    packet = np.arange(n) < rows.length[:, None]
    rows.protocol[:] = generator.choice(PROTOCOLS, count)
    rows.ip_length[:] = generator.integers(0, 65_536, shape) * packet
    rows.payload_length[:] = (2 ** generator.uniform(0, 16, shape) - 1).astype(np.uint16) * packet
    rows.interarrival_us[:] = np.minimum(2 ** generator.uniform(0, 27, shape), 6e7) * packet
    rows.direction[:] = generator.choice((-1, 1), shape) * packet
    rows.tcp_flags[:] = generator.integers(0, 256, shape) * packet * (rows.protocol == 6)[:, None]
    rows.context[:] = (2 ** generator.uniform(0, 17, (count, 6)) - 1).astype(np.uint32)
    rows.flow_ordinal[:] = np.arange(count)
    if "ttl" in optional:
        rows.ttl[:] = generator.integers(0, 256, shape) * packet
    if "tcp_window" in optional:
        windows = generator.integers(0, 65_536, shape)
        rows.tcp_window[:] = windows * packet * (rows.protocol == 6)[:, None]
    return rows
