"""Slots of flows: whom eviction takes, and when it comes (rule 6)."""

import numpy as np
import pytest

from sensor.flows.slots import DEFAULT_SLOTS, EVICTION_PACKETS, FOREVER, FlowSlots
from sensor.flows.state import CONVERSATION

IDLE = 100
BOTH = 3


def filled(count, *, packets, seen, closed=(), last=0):
    """Slots with `count` flows; of their numbers `closed` have sent an RST."""
    slots = FlowSlots(DEFAULT_SLOTS, 2, IDLE)
    number = np.arange(count)
    flags = np.zeros(count, np.uint8)
    flags[list(closed)] = 0x04
    clocks = np.zeros(count, np.int64)
    words = np.stack((number, number)).astype(np.uint64)
    no, yes = np.zeros(count, np.bool_), np.ones(count, np.bool_)
    segments, _ = slots.cut(words, no, clocks, flags, yes)
    flow = np.zeros(count, CONVERSATION)
    # segments are in order of slots, which need not be that of packets
    flow["ordinal"] = segments.order
    flow["packets"] = np.broadcast_to(packets, count)[segments.order]
    flow["seen"] = np.broadcast_to(seen, count)[segments.order]
    last = np.broadcast_to(last, count)[segments.order]
    slots.settle(segments, flow, last, last + IDLE, yes)
    return slots


def evicted(slots):
    return slots.ordinal[slots.crowd()].tolist()


def needed(count):
    return DEFAULT_SLOTS // 4 - (DEFAULT_SLOTS - count)


def test_flows_of_one_side_go_first_and_the_oldest_of_them_before_others():
    seen = np.where(np.arange(60_000) % 2, 1, BOTH)
    assert (
        evicted(filled(60_000, packets=9, seen=seen)) == list(range(1, 60_000, 2))[: needed(60_000)]
    )


def test_two_packets_are_too_few_to_be_spared_and_three_are_not():
    packets = np.where(np.arange(50_000) >= 30_000, 2, 3)
    wanted = list(range(30_000, 30_000 + needed(50_000)))
    assert evicted(filled(50_000, packets=packets, seen=BOTH)) == wanted


def test_closed_flows_are_on_probation():
    closed = range(40_000, 50_000)
    wanted = list(range(40_000, 40_000 + needed(50_000)))
    assert evicted(filled(50_000, packets=9, seen=BOTH, closed=closed)) == wanted


def test_after_those_on_probation_the_most_silent_go():
    count = 65_536
    # several flows of each silence, so that ordinals decide too, and the youngest are most silent
    last = np.arange(count)[::-1] // 7
    seen = np.full(count, BOTH)
    seen[:100] = 1
    slots = filled(count, packets=3, seen=seen, last=last)
    silent = sorted(range(100, count), key=lambda flow: (last[flow], flow))
    assert evicted(slots) == sorted([*range(100), *silent[: needed(count) - 100]])


def test_eviction_comes_with_every_16384th_packet_if_too_few_slots_are_free():
    slots = filled(DEFAULT_SLOTS - EVICTION_PACKETS, packets=1, seen=1)
    assert slots.piece_size(100_000) == EVICTION_PACKETS
    assert not slots.crowded(EVICTION_PACKETS)  # 16,384 are free, which is not fewer
    slots = filled(DEFAULT_SLOTS - EVICTION_PACKETS + 1, packets=1, seen=1)
    assert not slots.crowded(EVICTION_PACKETS - 1)
    assert slots.piece_size(100_000) == 1
    assert slots.crowded(1)
    assert len(slots.crowd()) == 1


def test_another_stream_counts_its_packets_from_the_first():
    slots = filled(DEFAULT_SLOTS - 1, packets=1, seen=1)
    slots.crowded(100)
    slots.restart()
    assert slots.piece_size(100_000) == EVICTION_PACKETS


def test_a_slot_that_is_freed_is_due_for_nothing():
    slots = filled(3, packets=1, seen=1)
    held = np.flatnonzero(slots.live).astype(np.int32)
    assert slots.due[held].tolist() == [IDLE] * 3
    slots.free(held)
    assert not slots.live.any()
    assert (slots.due == FOREVER).all()


def test_slots_below_the_rule_are_refused():
    with pytest.raises(ValueError, match="at least 65,536"):
        FlowSlots(DEFAULT_SLOTS - 1, 2, IDLE)


def test_taken_slots_are_those_of_flows():
    slots = filled(3, packets=1, seen=1)
    assert (slots.taken, slots.capacity) == (3, DEFAULT_SLOTS)
    slots.free(np.flatnonzero(slots.live)[:2].astype(np.int32))
    assert slots.taken == 1
