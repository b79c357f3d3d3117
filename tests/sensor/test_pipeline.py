"""The chain as a whole: what it finds is a function of the packets alone."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from blocks import headers_of
from reference import ReferenceTable, rows_of
from traffic import IPV4_NET, Mixture, flood_packets, random_packets

from sensor.alerts.rule import CountingRule
from sensor.exchange import Lanes
from sensor.flows.sequences import END_REASONS
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.schema import KEYS, FeatureSchema, IncidentRule
from sensor.packets.decode import Decoder
from sensor.pipeline import assemble, detect

SCHEMA = FeatureSchema()
SHORT = FeatureSchema(lengths=(4,), idle_timeout_ms=5_000)
CROWD = Mixture(hosts=3, ports=5_000, steps_ns=(1_000_000, 4_000_000), again=0.1)
"""New flows by the hundred each second, to few hosts: what the counting rule is about."""


class _Decoded(Decoder):
    """Takes blocks that are headers already, as the decoder is tested elsewhere."""

    def decode(self, block):
        return block


class _Piece:
    """Headers with the one attribute of a block that the chain reads."""

    def __init__(self, packets, clock_ns=0):
        self.headers, self.clock_ns = headers_of(packets), clock_ns

    def __getattr__(self, name):
        return getattr(self.headers, name)

    def __len__(self):
        return len(self.headers)


def _pieces(packets, size):
    return [_Piece(packets[i : i + size]) for i in range(0, len(packets), size)]


def _set_back(packets, at, seconds):
    """The packets, whose clock was set back before the packet number `at`."""
    shifted = [(time - round(seconds * 1e9), packet) for time, packet in packets[at:]]
    return packets[:at] + shifted


def test_incidents_do_not_depend_on_block_sizes_nor_on_lanes():
    packets = random_packets(5, 2_500, CROWD)
    found = []
    for size in (1, 7, 500, 2_500):
        blocks = _pieces(packets, size)
        lanes = [Lane(FlowTable(schema), [CountingRule(schema)]) for schema in (SCHEMA, SHORT)]
        events = list(detect(blocks, _Decoded(), Lanes(lanes)))
        assert [event.order for event in events] == sorted(event.order for event in events)
        found.append((events, [lane.decided.tolist() for lane in lanes]))
    assert found[0][0]
    assert {event.kind for event in found[0][0]} == {"start", "update", "end"}
    assert all(each == found[0] for each in found[1:])


def test_rows_are_counted_by_their_end():
    packets = random_packets(6, 3_000, Mixture())
    blocks = [_Piece(packets)]
    lane = Lane(FlowTable(SCHEMA), [CountingRule(SCHEMA)])
    list(detect(blocks, _Decoded(), Lanes([lane])))
    rows = [
        END_REASONS[reason]
        for batch in assemble(blocks, _Decoded(), FlowTable(SCHEMA))
        for reason in batch.end_reason.tolist()
    ]
    assert lane.decided.tolist() == [rows.count(reason) for reason in END_REASONS]
    assert sum(lane.decided) > 100


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("size", [1, 7, 500, 3_000])
def test_where_the_clock_is_set_back_another_stream_begins(key, size):
    """Two steps, the second of them by little more than what is none."""
    schema = replace(SHORT, key=key)
    packets = _set_back(random_packets(8, 900, Mixture()), 400, 3_600)
    packets = _set_back(packets, 700, 11)
    table, reference = FlowTable(schema), ReferenceTable(schema)
    rows = [
        row
        for batch in assemble(_pieces(packets, size), _Decoded(), table)
        for row in rows_of(batch)
    ]
    for time_ns, packet in packets:
        reference.packet(time_ns, packet)
    assert rows == reference.finish()
    assert table.clock_steps == 2
    ordinals = {row.flow_ordinal for row in rows}
    assert ordinals == set(range(table.flows))


def test_a_clock_that_is_set_back_by_ten_seconds_is_none_that_steps():
    packets = [(10**18 + k * 1_000, packet) for k, (_, packet) in enumerate(
        random_packets(8, 400, Mixture()))]  # fmt: skip
    table = FlowTable(SHORT)
    list(assemble(_pieces(_set_back(packets, 200, 9.999), 50), _Decoded(), table))
    assert table.clock_steps == 0


def test_incidents_end_where_the_clock_is_set_back_and_begin_anew():
    half = random_packets(5, 1_200, CROWD)
    packets = half + [(time - 10**10 * 360, packet) for time, packet in half]
    alone = list(
        detect([_Piece(half)], _Decoded(), Lanes([Lane(FlowTable(SCHEMA), [CountingRule(SCHEMA)])]))
    )
    assert {"start", "end"} <= {event.kind for event in alone}
    for size in (50, 2_400):
        lane = Lane(FlowTable(SCHEMA), [CountingRule(SCHEMA)])
        events = list(detect(_pieces(packets, size), _Decoded(), Lanes([lane])))
        backwards = [a.order > b.order for a, b in itertools.pairwise(events)]
        assert sum(backwards) == 1
        first, second = events[: backwards.index(True) + 1], events[backwards.index(True) + 1 :]
        for stream in (first, second):
            started = [event.address for event in stream if event.kind == "start"]
            assert sorted(started) == sorted(e.address for e in stream if e.kind == "end")
            assert sorted(started) == sorted(e.address for e in alone if e.kind == "start")


class _Everything:
    """Takes every row for an attack, of which two flows are one."""

    name, fingerprint, version, model_sha256 = "everything", "", "1", ""
    tasks = (replace(CountingRule(SCHEMA).tasks[0], incident=IncidentRule("responder", 2, 10)),)

    def score(self, batch):
        return np.ones((len(batch), 1), np.float32)


@pytest.mark.parametrize("seconds", [0, 3_600])
def test_flows_before_and_after_a_step_are_not_counted_together(seconds):
    """One flow to an address, 64 packets to another one, and another flow to the first."""
    ((time, packet),) = flood_packets(1, 1)
    elsewhere = packet._replace(destination=packet.destination + 1)
    other = packet._replace(source_port=packet.source_port ^ 1)
    later = time + 10**9 - seconds * 10**9
    packets = [(time, packet), *[(later, elsewhere)] * 64, (later, other)]
    lane = Lane(FlowTable(SCHEMA), [_Everything()])
    events = list(detect([_Piece(packets)], _Decoded(), Lanes([lane])))
    assert bool(events) == (seconds == 0)
    assert lane.table.clock_steps == (seconds > 0)


def test_a_tick_after_a_step_follows_the_new_clock():
    """A live link whose clock was set back still ends its silent flows."""
    packets = _set_back(random_packets(8, 300, Mixture()), 200, 3_600)
    late = max(time for time, _ in packets[200:]) + 10 * 10**9
    table = FlowTable(SHORT)
    batches = assemble([_Piece(packets), _Piece([], late)], _Decoded(), table)
    next(batch for batch in batches if table.clock_steps)
    ticked = next(batches)
    assert table.clock_ns == late
    assert len(ticked)
    assert table.late == 0


@pytest.mark.parametrize("key", ["source", "host_pair"])
def test_incidents_are_about_the_victim_under_other_keys(key):
    """A flood from many sources to the host with number 1, beside answered connections to it."""
    schema = replace(SCHEMA, key=key)
    lane = Lane(FlowTable(schema), [CountingRule(SCHEMA)])
    events = list(detect([_Piece(flood_packets(3_000, 500_000))], _Decoded(), Lanes([lane])))
    assert {event.task.incident.role for event in events} == {"responder"}
    assert {event.address for event in events} == {(4, 0, IPV4_NET + 1)}
    assert [event.kind for event in events][0 :: len(events) - 1] == ["start", "end"]


def test_what_a_tick_made_late_is_counted_up_to_the_step():
    packets = _set_back(random_packets(8, 300, Mixture()), 200, 3_600)
    ticked = max(time for time, _ in packets[:200]) + 10**9
    table = FlowTable(SHORT)
    blocks = [_Piece(packets[:200], ticked), _Piece(packets[200:])]
    list(assemble(blocks, _Decoded(), table))
    assert (table.clock_steps, table.late) == (1, 63)
