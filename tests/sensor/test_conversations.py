"""Flows of several conversations, by hand: keys, owners, directions, what is inherited (rule 4).

Times are seconds; the flow table is held against the reference for every key in `test_table.py`.
"""

from dataclasses import replace
from ipaddress import ip_address

import numpy as np
import pytest
from blocks import headers_of
from reference import rows_of
from reference_decode import Packet
from traffic import ACK, FIN, RST, SYN

from sensor.flows.conversations import Conversations
from sensor.flows.slots import DEFAULT_SLOTS
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema

ANN, BEN, WEB = "10.0.0.1", "10.0.0.2", "10.0.0.80"
START = 1_700_000_000 * 10**9


def packet(source, source_port, destination, destination_port, flags=ACK, protocol=6):
    ends = int(ip_address(source)), int(ip_address(destination))
    version = ip_address(source).version
    return Packet(version, protocol, *ends, source_port, destination_port, 100, 60, flags)


def flows(key, *timed):
    """The last row of each flow, by ordinal, whatever the block size."""
    schema = replace(FeatureSchema(), key=key)
    packets = [(START + int(seconds * 1e9), each) for seconds, each in timed]
    found = []
    for size in (1, 2, 3, len(packets)):
        table, rows = FlowTable(schema), []
        for start in range(0, len(packets), size):
            rows += rows_of(table.add(headers_of(packets[start : start + size])))
        for batch in table.finish():
            rows += rows_of(batch)
        found.append({row.flow_ordinal: row for row in rows})
        assert table.flows == len(found[-1])
    assert all(each == found[0] for each in found)
    return [row for _, row in sorted(found[0].items())]


def ends(row):
    text = tuple(str(ip_address(end)) for end in (row.source, row.destination))
    return (text[0], row.source_port, text[1], row.destination_port, row.protocol)


TWO_CLIENTS = (
    (0, packet(ANN, 1111, WEB, 443, SYN)),
    (0.1, packet(WEB, 443, ANN, 1111, SYN | ACK)),
    (0.2, packet(BEN, 2222, WEB, 443, SYN)),
    (0.3, packet(ANN, 1111, WEB, 443, RST)),
    (0.4, packet(WEB, 443, ANN, 1111)),
    (0.5, packet(WEB, 443, BEN, 2222, SYN | ACK)),
    (0.6, packet(ANN, 3333, WEB, 80, SYN)),
)


def test_a_service_gathers_its_clients():
    web, other = flows("service", *TWO_CLIENTS)
    assert ends(web) == (ANN, 1111, WEB, 443, 6)
    assert web.direction == [1, -1, 1, 1, -1, -1]
    assert web.interarrival_us == [0] + [100_000] * 5
    assert ends(other) == (ANN, 3333, WEB, 80, 6)
    # two conversations with the server began before it, one of them from the same source
    assert other.context == [0, 0, 1, 1, 2, 2]


def test_a_source_gathers_what_it_begins():
    ann, ben = flows("source", *TWO_CLIENTS)
    assert (ends(ann), ann.direction) == ((ANN, 1111, WEB, 443, 6), [1, -1, 1, -1, 1])
    assert (ends(ben), ben.direction) == ((BEN, 2222, WEB, 443, 6), [1, -1])
    assert ben.context == [1, 1, 0, 0, 1, 1]


def test_a_pair_of_hosts_gathers_all_between_them():
    ann, ben = flows("host_pair", *TWO_CLIENTS)
    assert (ends(ann), ann.direction) == ((ANN, 0, WEB, 0, 6), [1, -1, 1, -1, 1])
    assert (ends(ben), ben.direction) == ((BEN, 0, WEB, 0, 6), [1, -1])


def test_a_connection_that_closes_ends_no_flow_and_a_reused_port_begins_none():
    reused = ((0, packet(ANN, 1, WEB, 443, RST)), (1.5, packet(ANN, 1, WEB, 443, SYN)))
    for key in ("service", "source", "host_pair"):
        (row,) = flows(key, *reused)
        assert (row.length, row.end_reason, row.midstream) == (2, "idle", True)
    assert len(flows("five_tuple", *reused)) == 2


def test_a_syn_ack_that_comes_first_makes_its_sender_the_service():
    answer = packet(WEB, 443, ANN, 1111, SYN | ACK)
    for key in ("service", "source"):
        (row,) = flows(key, (0, answer), (1, packet(ANN, 1111, WEB, 443)))
        assert (ends(row), row.direction) == ((ANN, 1111, WEB, 443, 6), [-1, 1])
    (row,) = flows("host_pair", (0, answer), (1, packet(ANN, 1111, WEB, 443)))
    assert (ends(row), row.direction) == ((WEB, 0, ANN, 0, 6), [1, -1])


def test_a_conversation_that_went_silent_may_be_begun_by_the_other_side():
    out, back = packet(ANN, 1111, WEB, 443), packet(WEB, 443, ANN, 1111)
    keep = packet(BEN, 1, WEB, 443)
    kept = [(seconds, keep) for seconds in (60, 120, 180)]
    for last, wanted in ((120, 1), (120.001, 2)):
        rows = flows("service", (0, out), *kept[:1], (last, keep), (last, back))
        assert len(rows) == wanted
        assert rows[0].direction == ([1, 1, 1, -1] if wanted == 1 else [1, 1, 1])
        assert wanted == 1 or ends(rows[1]) == (WEB, 443, ANN, 1111, 6)


def test_silent_conversations_leave_their_slots():
    table = FlowTable(replace(FeatureSchema(), key="host_pair"))
    for seconds, port in ((0, 1), (60, 2), (120, 3), (120.1, 3)):
        timed = (START + int(seconds * 1e9), packet(ANN, port, WEB, 443))
        table.add(headers_of([timed]))
        live = int(table._keying._conversations._slots.live.sum())
        assert live == (min(port, 2) if seconds > 120 else port)


def test_conversations_are_evicted_as_flows_are():
    """Of four old conversations the one that was answered twice is still known after a flood."""
    answered, twice, one_side, closed = range(1, 5)

    def said(port, *, out, flags=ACK):
        ends = (ANN, port, WEB, 443) if out else (WEB, 443, ANN, port)
        return START, packet(*ends, flags)

    old = [said(answered, out=out) for out in (True, False, True)]
    old += [said(twice, out=out) for out in (True, False)]
    old += [said(one_side, out=True)] * 5
    old += [said(closed, out=out) for out in (True, False, True)]
    old += [said(closed, out=True, flags=RST)]
    known = len(old)
    flood = Packet(4, 17, int(ip_address(BEN)), 0, 9, 9, 60, 32, 0)
    packets = old + [(START, flood._replace(destination=k)) for k in range(65_536 - known)]
    packets += [said(port, out=False) for port in (answered, twice, one_side, closed)]
    headers = headers_of(packets)
    conversations = Conversations(DEFAULT_SLOTS, 10**11, None)
    conversed = conversations.take(headers, headers.timestamp_ns)
    assert conversed.outward[:10].tolist() == [True, False, True, True, False] + [True] * 5
    assert conversed.outward[-4:].tolist() == [False, True, True, True]
    # whatever piece a packet was in, its conversation has its addresses
    records = conversed.records[conversed.of_packet]
    assert (records["source_low"] + records["destination_low"]).tolist() == (
        headers.source_low + headers.destination_low
    ).tolist()
    held = conversations._records[conversations._slots.live]
    held = np.sort(held["destination_low"][held["protocol"] == 17])
    assert 32_000 < held.size < 50_000
    assert held.tolist() == list(range(65_536 - known))[-held.size :]
    conversations.restart()
    assert not conversations._slots.live.any()
    assert conversations._slots._packets == 0


def test_sources_of_one_ipv6_network_are_one_and_still_have_two_sides():
    one, two, far = "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"
    near, other = flows(
        "source",
        (0, packet(one, 1, far, 2, SYN)),
        (1, packet(two, 1, one, 2, SYN)),
        (2, packet(one, 2, two, 1, SYN | ACK)),
        (3, packet(far, 1, one, 2, SYN)),
    )
    assert (near.direction, other.direction) == ([1, 1, -1], [1])
    assert ends(near) == (one, 1, far, 2, 6)


def test_versions_and_protocols_are_apart_where_the_rule_says_so():
    same = ("10.0.0.1", "::a00:1")
    packets = [
        (number, packet(address, 5, address, 6, SYN, protocol))
        for number, (address, protocol) in enumerate((a, p) for a in same for p in (6, 17))
    ]
    assert len(flows("service", *packets)) == 4
    # both protocols of an address are one source; the IPv6 one is the network ::/64
    assert [row.length for row in flows("source", *packets)] == [2, 2]
    pairs = flows("host_pair", *packets)
    assert [(row.length, row.version, row.protocol) for row in pairs] == [(2, 4, 6), (2, 6, 6)]
    assert [row.direction for row in pairs] == [[1, 1], [1, 1]]


def test_a_flow_has_the_context_of_its_first_conversation_as_it_began():
    """The flow of the pair ends idle only with its conversation, so both are looked at here."""
    packets = [(0.001 * k, packet(ANN, 1000 + k, WEB, 443, SYN)) for k in range(5)]
    packets += [(0.1, packet(WEB, 443, ANN, 1004, SYN | ACK)), (0.2, packet(WEB, 9, BEN, 9, SYN))]
    (web, other) = flows("service", *packets)
    assert (web.context, other.context) == ([0] * 6, [0] * 6)
    assert web.length == 6
    ann, web_itself = flows("source", *packets)
    assert (ann.length, web_itself.length) == (6, 1)


def test_both_fins_end_nothing_but_conversations():
    closing = (
        (0, packet(ANN, 1, WEB, 443, SYN)),
        (1, packet(ANN, 1, WEB, 443, FIN | ACK)),
        (2, packet(WEB, 443, ANN, 1, FIN | ACK)),
        (3, packet(WEB, 443, ANN, 1, SYN)),
    )
    # the SYN of the other side begins a conversation of its own, whose responder has port 1
    first, second = flows("service", *closing)
    assert (first.length, first.direction) == (3, [1, 1, -1])
    assert ends(second) == (WEB, 443, ANN, 1, 6)


@pytest.mark.parametrize("key", ["service", "source", "host_pair"])
def test_another_stream_knows_nothing_of_the_one_before(key):
    table = FlowTable(replace(FeatureSchema(), key=key))
    rows = []
    for first, answer in ((ANN, WEB), (WEB, ANN)):
        block = [(START, packet(first, 7, answer, 7, SYN)), (START, packet(answer, 7, first, 7))]
        rows.append(rows_of(table.add(headers_of(block))))
        for batch in table.finish():
            rows[-1] += rows_of(batch)
        table.restart()
    (one,), (two,) = rows
    assert (one.flow_ordinal, two.flow_ordinal) == (0, 1)
    assert [one.direction, two.direction] == [[1, -1]] * 2
    assert ends(two)[0] == WEB
    assert np.array_equal(two.context, one.context)
