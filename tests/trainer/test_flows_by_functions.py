"""Labeling functions for flows, on rows written down by hand."""

import numpy as np
import pytest
from flow_rows import rows

from trainer.weak.applying import apply
from trainer.weak.flows import columns
from trainer.weak.loading import load

EVERY = load("flows")
TCP, UDP, ICMP = 6, 17, 1
SYN, SYN_ACK, ACK, RST, RST_ACK = 0x02, 0x12, 0x10, 0x04, 0x14


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


def datagram(source, destination, payload, to="10.0.0.2", **more):
    return {
        "protocol": UDP,
        "direction": [1] * len(payload),
        "payload_length": payload,
        "source": ("10.0.0.1", source),
        "destination": (to, destination),
        **more,
    }


def votes(task, *row):
    """Votes on each row by the functions of a task that do not abstain."""
    return [
        {
            function.name: int(vote)
            for function, vote in zip(EVERY, of_row, strict=True)
            if function.task.name == task and vote >= 0
        }
        for of_row in apply(EVERY, columns(rows(*row)))
    ]


FLOOD = context(srv=(300, 900), dst=(300, 900))
GROUP = "239.255.255.250"


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
        (datagram(40_000, 53, [40]), "ssdp_flood", {"no_ssdp_elsewhere": 0}),
        (datagram(40_000, 1900, [100]), "ssdp_flood", {"no_ssdp_flood_of_few": 0}),
        (
            datagram(40_000, 1900, [100], context=context(srv=(10, 10))),
            "ssdp_flood",
            {"ssdp_searched_by_many": 1},
        ),
        (
            datagram(40_000, 1900, [100], context=context(srv=(10, 10)), to=GROUP),
            "ssdp_flood",
            {},
        ),
        (
            datagram(40_000, 1900, [100], context=context(srv=(20, 20)), to=GROUP),
            "ssdp_flood",
            {"ssdp_searched_by_many": 1},
        ),
        (
            datagram(40_000, 1900, [100], context=context(srv=(2, 20))),
            "ssdp_flood",
            {"ssdp_searched_by_many": 1},
        ),
        (datagram(40_000, 1900, [100], context=context(srv=(2, 19))), "ssdp_flood", {}),
        (
            datagram(40_000, 1900, [100], context=context(srv=(2, 5))),
            "ssdp_flood",
            {"no_ssdp_flood_of_few": 0},
        ),
        (
            datagram(40_000, 1900, [100], context=context(srv=(2, 90)), to=GROUP),
            "ssdp_flood",
            {"no_ssdp_flood_of_few": 0},
        ),
        # An announcement.
        (datagram(40_000, 1900, [300], to=GROUP), "ssdp_flood", {"no_ssdp_elsewhere": 0}),
        (datagram(1900, 40_000, [300]), "ssdp_flood", {"no_ssdp_flood_of_few": 0}),
        (datagram(41_000, 40_000, [300] * 3), "ssdp_flood", {"no_ssdp_flood_of_few": 0}),
        # One datagram of another port, and a stream of them, are no answers.
        (datagram(41_000, 40_000, [300]), "ssdp_flood", {"no_ssdp_elsewhere": 0}),
        (datagram(41_000, 40_000, [300] * 16), "ssdp_flood", {"no_ssdp_elsewhere": 0}),
        (syn(RST_ACK), "scan", {"no_scan_of_few": 0}),
        (
            syn(context=context(srv=(200, 400))),
            "scan",
            {"no_scan_of_few": 0, "no_scan_of_a_used_service": 0},
        ),
        (answered(), "scan", {"no_scan_talks": 0, "no_scan_of_few": 0}),
        (datagram(40_000, 161, [40]), "scan", {"no_scan_of_few": 0}),
        (
            {"protocol": ICMP, "direction": [1]},
            "scan",
            {"no_scan_elsewhere": 0, "no_scan_of_few": 0},
        ),
    ],
)
def test_by_hand(row, task, expected):
    assert votes(task, row) == [expected]


def asked(count, step=0.1, port=None, hosts=None, of=syn):
    """Ports of a host that one source asks for in vain, or hosts of a network for one port."""
    return [
        of(
            source=("10.0.0.1", port or 40_000 + k),
            destination=(f"{hosts}.{k}", 23) if hosts else ("10.0.0.2", 100 + k),
            decided=k * step,
        )
        for k in range(count)
    ]


def lone(**more):
    return {"protocol": UDP, "direction": [1], "payload_length": [20], **more}


def refused(**more):
    return syn(RST_ACK, **more)


OF_MANY, FROM_ONE, OF_FEW = {"scan_of_many": 1}, {"scan_from_one_port": 1}, {"no_scan_of_few": 0}


@pytest.mark.parametrize("of", [syn, refused, lone])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"count": 15}, OF_MANY),
        ({"count": 14}, {}),
        ({"count": 6}, {}),
        ({"count": 5}, OF_FEW),
        ({"count": 25, "hosts": "10.0.1"}, OF_MANY),
        ({"count": 24, "hosts": "10.0.1"}, {}),
        ({"count": 8, "hosts": "10.0.1"}, OF_FEW),
        ({"count": 5, "port": 50_000}, FROM_ONE),
        ({"count": 15, "port": 50_000}, FROM_ONE | OF_MANY),
        ({"count": 4, "port": 50_000}, {}),
        ({"count": 3, "port": 50_000}, {}),
        ({"count": 2, "port": 50_000}, OF_FEW),
        # Of a window of five minutes on each side.
        ({"count": 15, "step": 300 / 14}, OF_MANY),
    ],
)
def test_scans_are_told_by_how_much_a_source_asks_for_in_vain(of, given, expected):
    assert votes("scan", *asked(of=of, **given)) == [expected] * given["count"]


def test_what_is_asked_for_at_leisure_is_no_scan():
    """The first and the last of fifteen have seven others within five minutes, the middle all."""
    found = votes("scan", *asked(15, step=300 / 7))
    assert found == [{}] * 7 + [OF_MANY] + [{}] * 7


def test_what_is_asked_for_again_counts_once():
    again = {**asked(1)[0], "source": ("10.0.0.1", 39_999), "decided": 2}
    assert votes("scan", *asked(14), again) == [{}] * 15


def test_an_open_port_belongs_to_its_scan_and_proves_none():
    half_open = {
        "protocol": TCP,
        "direction": [1, -1, 1],
        "tcp_flags": [SYN, SYN_ACK, RST],
        "source": ("10.0.0.1", 39_999),
        "destination": ("10.0.0.2", 80),
        "decided": 2,
    }
    assert votes("scan", *asked(15), half_open)[-1] == OF_MANY
    assert votes("scan", *asked(14), half_open) == [{}] * 15


def searches(count, step=0.1):
    """In one name."""
    return [datagram(40_000 + k, 1900, [100], decided=k * step) for k in range(count)]


def answers(count, to=None, port=None):
    """Of one device, to different hosts unless one is named."""
    return [
        {
            **datagram(0, port or 40_000 + k, [300] * 3, to=to or f"10.0.1.{k}", decided=k / 10),
            "source": ("10.0.0.2", 30_000 + k),
        }
        for k in range(count)
    ]


SEARCHED, ANSWERED = {"ssdp_searched_by_many": 1}, {"ssdp_answered_by_many": 1}
FEW = {"no_ssdp_flood_of_few": 0}


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (searches(20), SEARCHED),
        (searches(19), {}),
        (searches(6), {}),
        (searches(5), FEW),
        (answers(20), ANSWERED),
        (answers(19), {}),
        (answers(11), {}),
        (answers(10), FEW),
        (answers(20, "10.0.0.1", 5_000), ANSWERED),
        (answers(10, "10.0.0.1", 5_000), FEW),
        # To one host, but to a port of their own each: searched for often, answered once.
        (answers(30, "10.0.0.1"), FEW),
    ],
)
def test_ssdp_floods_are_told_by_how_many_ask_and_answer(each, expected):
    assert votes("ssdp_flood", *each) == [expected] * len(each)


def test_answers_to_one_who_searches_too_often():
    found = votes("ssdp_flood", *searches(20), *answers(3, "10.0.0.1"))
    assert found == [SEARCHED] * 20 + [ANSWERED] * 3
    found = votes("ssdp_flood", *searches(5), *answers(3, "10.0.0.1"))
    assert found == [FEW] * 8


def test_searches_of_another_minute_do_not_count():
    """Ten seconds on each side: twenty of those that are a second apart, but at the ends."""
    found = votes("ssdp_flood", *searches(40, step=1))
    assert found == [{}] * 9 + [SEARCHED] * 22 + [{}] * 9


def test_votes_do_not_depend_on_how_a_table_is_cut():
    """A table of 30,000 rows, which is longer than what a function looks at, in five pieces."""
    batch = rows(*asked(30, port=50_000), *asked(30), *searches(9), *answers(9), answered())
    drawn = batch.take(np.random.default_rng(0).integers(0, len(batch), 30_000))
    drawn.decided_ns[:] = np.arange(30_000) * 10**6
    given = columns(drawn)
    functions = [each for each in EVERY if each.before]
    assert len(functions) == 6
    whole = apply(functions, given)
    assert (whole == 1).any(axis=0).sum() == 4
    np.testing.assert_array_equal(apply(functions, given, piece_rows=6_000), whole)


def test_columns_are_those_of_rows_and_the_context_by_name():
    batch = rows(syn(context=(1, 2, 3, 4, 5, 6)), syn())
    found = columns(batch)
    assert (found["srv_1s"][0], found["src_10s"][0], found["dst_10s"][0]) == (1, 4, 6)
    assert found["tcp_flags"] is batch.tcp_flags
    assert {len(column) for column in found.values()} == {2}
    np.testing.assert_array_equal(found["protocol"], [TCP, TCP])
