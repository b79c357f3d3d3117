"""Cutting runs into segments: idle gaps, closes, reused ports, within one block."""

import numpy as np

from sensor.flows import segments
from sensor.flows.segments import CLOSED, FIN_LOWER, FIN_UPPER
from sensor.packets.headers import ACK, FIN, RST, SYN

IDLE = 100


def cut(packets, *, live=False, last=0, bits=0):
    """Segments of one slot's packets, given as (clock, flags, from the lower endpoint)."""
    clock, flags, lower = (np.array(column) for column in zip(*packets, strict=True))
    slot = np.full(len(packets), 2, np.int32)
    order = segments.group(slot, np.zeros(3, np.uint16))
    found = segments.cut(
        order, slot, clock.astype(np.int64), flags.astype(np.uint8), lower.astype(bool),
        np.array([False, False, live]), np.array([0, 0, last]), np.array([0, 0, bits], np.uint8),
        IDLE,
    )  # fmt: skip
    return [
        (int(a), int(b), bool(fresh), int(closing), int(state))
        for a, b, fresh, closing, state in zip(
            found.start, found.stop, found.fresh, found.closing, found.closed_bits, strict=True
        )
    ]


def test_runs_keep_packet_order():
    slot = np.array([7, 3, 7, 7, 3], np.int32)
    order = segments.group(slot, np.full(8, 9, np.uint16))
    assert slot[order].tolist() in ([7, 7, 7, 3, 3], [3, 3, 7, 7, 7])
    assert [p for p in order.tolist() if slot[p] == 7] == [0, 2, 3]
    assert [p for p in order.tolist() if slot[p] == 3] == [1, 4]


def test_silence_of_exactly_the_timeout_does_not_end_a_flow():
    assert cut([(0, ACK, 1), (100, ACK, 0)]) == [(0, 2, True, 2, 0)]
    assert cut([(0, ACK, 1), (101, ACK, 0)]) == [(0, 1, True, 2, 0), (1, 2, True, 2, 0)]
    assert cut([(150, ACK, 1)], live=True, last=50) == [(0, 1, False, 1, 0)]
    assert cut([(151, ACK, 1)], live=True, last=50) == [(0, 1, True, 1, 0)]


def test_a_flow_closes_with_rst_or_with_fin_from_both_sides():
    assert cut([(0, SYN, 1), (1, RST, 0), (2, ACK, 1)]) == [(0, 3, True, 1, CLOSED)]
    both = FIN_LOWER | FIN_UPPER | CLOSED
    assert cut([(0, FIN, 1), (1, FIN, 1), (2, FIN, 0)]) == [(0, 3, True, 2, both)]
    assert cut([(0, FIN, 0)], live=True, bits=FIN_LOWER) == [(0, 1, False, 0, both)]
    assert cut([(0, FIN, 1)], live=True, bits=FIN_LOWER) == [(0, 1, False, 1, FIN_LOWER)]


def test_what_trails_a_closed_flow_begins_none_but_a_syn_does():
    assert cut([(0, ACK, 1), (1, SYN | ACK, 1)], live=True, bits=CLOSED)[0][2:4] == (False, -1)
    assert cut([(0, ACK, 1), (1, SYN, 1)], live=True, bits=CLOSED) == [
        (0, 1, False, -1, CLOSED),
        (1, 2, True, 2, 0),
    ]


def test_ports_are_reused_again_and_again_within_a_block():
    packets = [(i, flags, 1) for i, flags in enumerate([SYN, RST, SYN, SYN, RST, SYN | RST, SYN])]
    # the fourth packet is a retransmission, the sixth begins a flow and closes it at once
    assert cut(packets) == [
        (0, 2, True, 1, CLOSED),
        (2, 5, True, 4, CLOSED),
        (5, 6, True, 5, CLOSED),
        (6, 7, True, 7, 0),
    ]
