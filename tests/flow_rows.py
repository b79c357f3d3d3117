"""Rows of a flow table, written down by hand."""

import ipaddress
from dataclasses import fields

import numpy as np

from sensor.flows.sequences import SequenceBatch

N = 16


def one_row(**columns) -> SequenceBatch:
    """A batch of one row; columns not given are 0.

    `source` and `destination` are ``(address, port)``; `start`, `decided` and `last` are seconds;
    per-packet columns may be shorter than n.
    """
    batch = SequenceBatch.empty(N)
    values = {
        f.name: np.zeros_like(getattr(batch, f.name), shape=(1, *_tail(batch, f.name)))
        for f in fields(batch)
    }
    for side in ("source", "destination"):
        text, port = columns.pop(side, ("10.0.0.1", 0))
        address = ipaddress.ip_address(text)
        values[f"{side}_high"][0] = int(address) >> 64
        values[f"{side}_low"][0] = int(address) & (1 << 64) - 1
        values[f"{side}_port"][0] = port
        values["version"][0] = address.version
    for short, names in (
        ("start", ("flow_start_ns", "first_packet_ns", "last_packet_ns", "decided_ns")),
        ("last", ("last_packet_ns", "decided_ns")),
        ("decided", ("decided_ns",)),
    ):
        if short in columns:
            seconds = columns.pop(short)
            for name in names:
                values[name][0] = round(seconds * 1e9)
    for name, value in columns.items():
        given = np.atleast_1d(value)
        if values[name].ndim == 2:
            values[name][0, : given.size] = given
        else:
            values[name][0] = value
    if "length" not in columns:
        values["length"][0] = max(1, int(np.count_nonzero(values["direction"])))
    if "flow_packets" not in columns:
        values["flow_packets"][0] = values["length"][0]
    return SequenceBatch(**values)


def rows(*each: dict) -> SequenceBatch:
    """A batch of the rows that `one_row` makes of each set of columns."""
    return SequenceBatch.concatenate([one_row(**columns) for columns in each])


def _tail(batch: SequenceBatch, name: str) -> tuple[int, ...]:
    return getattr(batch, name).shape[1:]
