"""Columns of flows that have ended, and what follows from them."""

from dataclasses import fields

import numpy as np

from sensor.flows.ends import NO_ENDS, FlowEnds
from sensor.flows.sequences import END_REASONS, SequenceBatch


def ends_of(*flows: dict) -> FlowEnds:
    """Ends with the given columns, the others 0."""
    columns = {}
    for entry in fields(FlowEnds):
        none = getattr(NO_ENDS, entry.name)
        columns[entry.name] = np.zeros((len(flows), *none.shape[1:]), none.dtype)
        for place, flow in enumerate(flows):
            columns[entry.name][place] = flow.get(entry.name, 0)
    return FlowEnds(**columns)


def test_columns_are_taken_and_joined_with_their_types():
    ends = ends_of(*({"flow_ordinal": k, "packets": (k, 2 * k), "whole": k % 2} for k in range(5)))
    last, first = ends.take(np.array([4, 3])), ends.take(slice(2))
    joined = FlowEnds.concatenate([NO_ENDS, last, first, NO_ENDS])
    assert len(joined) == 4
    assert joined.flow_ordinal.tolist() == [4, 3, 0, 1]
    assert joined.packets.tolist() == [[4, 8], [3, 6], [0, 0], [1, 2]]
    assert ends.take(ends.whole).flow_ordinal.tolist() == [1, 3]
    for entry in fields(FlowEnds):
        assert getattr(joined, entry.name).dtype == getattr(NO_ENDS, entry.name).dtype


def test_who_a_flow_is_has_the_types_of_rows():
    rows = SequenceBatch.empty(4)
    shared = {entry.name for entry in fields(rows)} & {entry.name for entry in fields(NO_ENDS)}
    assert len(shared) == 11
    for name in shared:
        assert getattr(rows, name).dtype == getattr(NO_ENDS, name).dtype, name
    assert END_REASONS[2:] == ("closed", "idle", "evicted")


def test_bandwidth_is_that_of_both_directions_over_the_duration():
    half_a_second = {"start_ns": 10, "last_ns": 500_000_010, "octets": (1_000, 4_000)}
    one_packet = {"start_ns": 10, "last_ns": 10, "octets": (50, 0)}
    ends = ends_of(half_a_second, one_packet)
    assert ends.duration_ns.tolist() == [500_000_000, 0]
    assert ends.bandwidth_bps.tolist() == [80_000.0, 50 * 8 * 1e6]
    assert not NO_ENDS.bandwidth_bps.size
