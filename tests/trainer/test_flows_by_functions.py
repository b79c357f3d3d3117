"""Labeling functions for flows, on rows written down by hand."""

import numpy as np
import pytest
from flow_rows import rows

from trainer.weak.applying import apply
from trainer.weak.flows import columns
from trainer.weak.loading import load

EVERY = load("flows")
TCP, UDP, ICMP = 6, 17, 1
SYN, SYN_ACK, ACK, RST_ACK = 0x02, 0x12, 0x10, 0x14


def context(srv=(0, 0), src=(0, 0), dst=(0, 0)):
    return (*srv, *src, *dst)


def answered(**more):
    """A handshake, a request and its answer."""
    return {
        "protocol": TCP,
        "direction": [1, -1, 1, 1, -1],
        "tcp_flags": [SYN, SYN_ACK, ACK, ACK, ACK],
        "payload_length": [0, 0, 0, 90, 300],
        **more,
    }


def syn(*answer, **more):
    return {
        "protocol": TCP,
        "direction": [1, *(-1 for _ in answer)],
        "tcp_flags": [SYN, *answer],
        **more,
    }


def datagram(source, destination, payload, **more):
    return {
        "protocol": UDP,
        "direction": [1] * len(payload),
        "payload_length": payload,
        "source": ("10.0.0.1", source),
        "destination": ("10.0.0.2", destination),
        **more,
    }


def votes(row, task):
    """Votes on a row by the functions of a task that do not abstain."""
    found = apply(EVERY, columns(rows(row)))[0]
    return {
        function.name: int(vote)
        for function, vote in zip(EVERY, found, strict=True)
        if function.task.name == task and vote >= 0
    }


FLOOD = context(srv=(300, 900), dst=(300, 900))
SWEEP = context(src=(200, 400), dst=(200, 400))


@pytest.mark.parametrize(
    ("row", "task", "expected"),
    [
        (syn(context=FLOOD), "syn_dos", {"syn_to_a_busy_service": 1, "syn_among_hundreds": 1}),
        (
            syn(SYN_ACK, context=FLOOD),
            "syn_dos",
            {"syn_to_a_busy_service": 1, "syn_among_hundreds": 1},
        ),
        (answered(context=FLOOD), "syn_dos", {"no_syn_flood_talks": 0}),
        (syn(), "syn_dos", {"no_syn_flood_alone": 0}),
        (
            datagram(1900, 40_000, [300], context=context(dst=(90, 90))),
            "ssdp_flood",
            {"ssdp_among_many": 1, "ssdp_replies_unasked": 1},
        ),
        (
            datagram(40_000, 1900, [100], context=context(srv=(50, 60))),
            "ssdp_flood",
            {"ssdp_among_many": 1, "ssdp_searched_by_hundreds": 1},
        ),
        (
            datagram(41_000, 40_000, [300, 310, 320], context=context(src=(9, 90))),
            "ssdp_flood",
            {"ssdp_replies_from_any_port": 1, "no_ssdp_flood_alone": 0},
        ),
        (
            datagram(40_000, 53, [40]),
            "ssdp_flood",
            {"no_ssdp_elsewhere": 0, "no_ssdp_flood_alone": 0},
        ),
        (syn(RST_ACK, context=SWEEP), "scan", {"scan_refused": 1, "scan_of_one_host": 1}),
        (syn(context=SWEEP), "scan", {"scan_unanswered": 1, "scan_of_one_host": 1}),
        (
            syn(context=context(src=(200, 400), srv=(200, 400))),
            "scan",
            {"no_scan_of_a_used_service": 0},
        ),
        (answered(), "scan", {"no_scan_talks": 0, "no_scan_alone": 0}),
        (
            {"protocol": ICMP, "direction": [1], "context": SWEEP},
            "scan",
            {"no_scan_without_syn": 0},
        ),
    ],
)
def test_by_hand(row, task, expected):
    assert votes(row, task) == expected


def test_columns_are_those_of_rows_and_the_context_by_name():
    batch = rows(syn(context=(1, 2, 3, 4, 5, 6)), syn())
    found = columns(batch)
    assert (found["srv_1s"][0], found["src_10s"][0], found["dst_10s"][0]) == (1, 4, 6)
    assert found["tcp_flags"] is batch.tcp_flags
    assert {len(column) for column in found.values()} == {2}
    np.testing.assert_array_equal(found["protocol"], [TCP, TCP])
