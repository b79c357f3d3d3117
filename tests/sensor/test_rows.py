"""Planning rows, by hand: one flow, packets one nanosecond apart, n = 4."""

import numpy as np
import pytest

from sensor.flows.rows import FOREVER, Ends, PacketStore, Pieces, packet_type, plan_rows, unwanted
from sensor.flows.sequences import END_REASONS
from sensor.flows.state import FLOW, ORIGIN
from sensor.model.schema import FeatureSchema

SCHEMA = FeatureSchema(lengths=(4,), repeat_min_packets=2, repeat_all=3)


def flow_state(packets=0, early_ns=1_000, early_length=0, rows=0):
    flow = np.zeros(1, FLOW)
    for name in ("packets", "early_ns", "early_length", "rows"):
        flow[name] = locals()[name]
    return flow


def pieces(first, count, schema=SCHEMA):
    """`count` packets of one flow from number `first` on; packet k is at k ns and k bytes long."""
    number = np.delete(np.arange(first, first + count), unwanted(first + np.arange(count), schema))
    packets = np.zeros(number.size, packet_type())
    for name in ("ip_length", "payload_length", "interarrival_us"):
        packets[name] = number
    packets["direction"] = 1
    segment = np.zeros(number.size, np.int64)
    return Pieces(np.array([count]), segment, number, number, number, packets)


def ends(clock=FOREVER, reason="idle"):
    return Ends(np.array([clock]), np.array([END_REASONS.index(reason)], np.uint8))


def planned(flow, block, end, now, schema=SCHEMA):
    """Rows as (sequence index, packets carried, packets from the block, decided, reason, row)."""
    plan = plan_rows(schema, flow, block, end, now)
    rows = zip(
        plan.index.tolist(), plan.carry.tolist(), plan.count.tolist(), plan.decided.tolist(),
        [END_REASONS[reason] for reason in plan.reason], plan.number.tolist(), strict=True,
    )  # fmt: skip
    return plan, sorted(rows, key=lambda row: row[-1])


def test_full_sequences_early_row_and_rest_in_one_block():
    # packets 0…9, the early deadline passes after packet 2, the flow closes with packet 9
    plan, rows = planned(flow_state(early_ns=2), pieces(0, 10), ends(9, "closed"), 20)
    assert rows == [
        (0, 0, 3, 2, "early", 0),
        (0, 0, 4, 3, "full", 1),
        (1, 0, 4, 7, "full", 2),
        (2, 0, 2, 9, "closed", 3),
    ]
    assert (plan.rows[0], plan.early_ns[0]) == (4, FOREVER)


def test_sequences_go_on_from_the_block_before():
    _, rows = planned(flow_state(6, FOREVER, rows=1), pieces(6, 3), ends(), 20)
    assert rows == [(1, 2, 2, 7, "full", 1)]


def test_a_deadline_that_is_the_clock_has_not_passed():
    assert planned(flow_state(1, early_ns=50), Pieces.none(1), ends(), 50)[1] == []
    assert planned(flow_state(1, early_ns=50), Pieces.none(1), ends(), 51)[1] == [
        (0, 1, 0, 50, "early", 0)
    ]


def test_a_flow_that_closes_at_the_deadline_has_no_early_row():
    _, rows = planned(flow_state(early_ns=1), pieces(0, 2), ends(1, "closed"), 9)
    assert rows == [(0, 0, 2, 1, "closed", 0)]


@pytest.mark.parametrize(("packets", "emitted"), [(3, False), (4, True)])
def test_the_end_adds_a_row_only_if_packets_were_added(packets, emitted):
    flow = flow_state(packets, FOREVER, early_length=3, rows=1)
    _, rows = planned(flow, Pieces.none(1), ends(70), 99, FeatureSchema(lengths=(8,)))
    assert rows == ([(0, 4, 0, 70, "idle", 1)] if emitted else [])


@pytest.mark.parametrize(("packets", "emitted"), [(4, False), (5, False), (6, True)])
def test_a_partial_last_sequence_needs_its_minimum(packets, emitted):
    _, rows = planned(flow_state(packets, FOREVER), Pieces.none(1), ends(70), 99)
    assert rows == ([(1, 2, 0, 70, "idle", 0)] if emitted else [])


def test_beyond_repeat_all_only_powers_of_two_are_emitted():
    _, rows = planned(flow_state(early_ns=FOREVER), pieces(0, 40), ends(), 99)
    assert [row[0] for row in rows] == [0, 1, 2, 4, 8]
    # the packets of sequences 3, 5, 6, 7 and 9
    assert unwanted(np.arange(40), SCHEMA).tolist() == [
        *range(12, 16),
        *range(20, 32),
        *range(36, 40),
    ]


def test_policy_first_looks_at_the_first_sequence_only():
    schema = FeatureSchema(lengths=(4,), policies=("first",))
    block = pieces(0, 11, schema)
    _, rows = planned(flow_state(early_ns=FOREVER), block, ends(10, "closed"), 99, schema)
    assert rows == [(0, 0, 4, 3, "full", 0)]


def test_rows_are_filled_from_the_store_and_the_block():
    store, slots, flow = PacketStore(4, 5), np.array([3], np.int32), flow_state()
    block = pieces(0, 2)
    plan = plan_rows(SCHEMA, flow, block, ends(), 2)
    store.keep(plan, block, slots, np.array([True]), flow)
    flow["packets"] = 2
    block = pieces(2, 5)
    plan = plan_rows(SCHEMA, flow, block, ends(6, "closed"), 7)
    batch = store.rows(plan, flow, np.zeros(2, ORIGIN), slots, block)
    assert batch.ip_length.tolist() == [[0, 1, 2, 3], [4, 5, 6, 0]]
    assert batch.direction.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch.length.tolist() == [4, 3]
    assert batch.first_packet_ns.tolist() == [0, 4]
    assert batch.last_packet_ns.tolist() == [3, 6]
    assert batch.flow_packets.tolist() == [4, 7]
