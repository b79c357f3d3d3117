"""What an attacker who knows the code, but not the process's secret, can't do to the flow table.

Floods of any kind neither make its memory grow nor change the rows of flows that were answered
(`docs/flows.md`, Under attack).
"""

from dataclasses import fields, replace

import numpy as np
import pytest

from sensor.alerts.rule import CountingRule
from sensor.alerts.task_incidents import EPOCH_ROWS, OPEN_INCIDENTS, REMEMBERED_ROWS
from sensor.flows.epochs import part_of
from sensor.flows.key import five_tuple
from sensor.flows.sequences import END_REASONS, SequenceBatch
from sensor.flows.slots import DEFAULT_SLOTS
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.schema import KEYS, FeatureSchema
from sensor.packets.headers import ACK, SYN, TCP, UDP, Headers

START = 1_700_000_000 * 10**9
SPAN_NS = 8 * 10**9
HOME = 0xC0A80000
"""192.168.0.0/16, where all answered flows begin and nothing else does."""
SERVER = 0x08080808
FLOOD = 200_000

EVERYBODYS = ("context", "context_saturated", "flow_ordinal")
"""Columns that count other flows: a flood changes them by design."""


def packets(time, source, source_port, destination, destination_port, protocol, flags, version=4):
    """Columns of packets, of arrays or single values; of IPv6 these are the low words."""
    count = np.size(time)
    columns = {
        "timestamp_ns": time,
        "version": version,
        "protocol": protocol,
        "source_low": source,
        "destination_low": destination,
        "source_port": source_port,
        "destination_port": destination_port,
        "ip_length": 100,
        "payload_length": 60,
        "tcp_flags": flags,
    }
    types = {"timestamp_ns": np.int64} | dict.fromkeys(("version", "protocol"), np.uint8)
    types |= {"tcp_flags": np.uint8}
    types |= {f"{end}_{word}": np.uint64 for end in ("source", "destination")
              for word in ("high", "low")}  # fmt: skip
    return Headers(
        **{
            entry.name: np.broadcast_to(columns.get(entry.name, 0), count).astype(
                types.get(entry.name, np.uint16)
            )
            for entry in fields(Headers)
        }
    )


def together(*streams):
    """Streams merged by time."""
    order = np.argsort(np.concatenate([stream.timestamp_ns for stream in streams]), kind="stable")
    return Headers(
        **{
            entry.name: np.concatenate([getattr(s, entry.name) for s in streams])[order]
            for entry in fields(Headers)
        }
    )


def answered(flows=400, each=24):
    """TCP connections with packets from both sides in turn, all through the time of a flood."""
    flow, step = np.divmod(np.arange(flows * each), each)
    out = step % 2 == 0
    home, port = HOME + flow, 40_000 + flow
    flags = np.where(step == 0, SYN, np.where(step == 1, SYN | ACK, ACK))
    stream = packets(
        START + step * (SPAN_NS // each) + flow * 1_000,
        np.where(out, home, SERVER),
        np.where(out, port, 443),
        np.where(out, SERVER, home),
        np.where(out, 443, port),
        TCP,
        flags,
    )
    return together(stream)


def flood(kind):
    number = np.arange(FLOOD)
    time = START + number * (SPAN_NS // FLOOD)
    spoofed = np.random.default_rng(3).permutation(1 << 24)[:FLOOD] + 0x0B000000
    if kind == "syn":
        return packets(time, spoofed, number & 0xFFFF, SERVER, 443, TCP, SYN)
    if kind == "one source":
        return packets(time, 0x0B000001, number & 0xFFFF, SERVER + (number >> 16), 443, TCP, SYN)
    if kind == "udp":
        return packets(time, spoofed, 53, SERVER + number % 7, number & 0xFFFF, UDP, 0)
    if kind == "answers":
        # two packets of each flow, one from either side, as if somebody had answered
        flow, out = number // 2, number % 2 == 0
        ends = 0x0B000000 + flow, np.full(FLOOD, SERVER)
        return packets(
            time,
            np.where(out, *ends),
            np.where(out, 9, 443),
            np.where(out, ends[1], ends[0]),
            np.where(out, 443, 9),
            TCP,
            np.where(out, SYN, SYN | ACK),
        )
    if kind == "resets":
        return packets(time, spoofed, number & 0xFFFF, SERVER, 443, TCP, SYN | 0x04)
    # keys that differ in few, and in the highest, bits only
    high = (number & 0xFF) << 24 | (number >> 8 & 0xFF) << 16
    return packets(time, high, (number >> 16) << 14, SERVER, 443, UDP, 0)


FLOODS = ("syn", "one source", "udp", "answers", "resets", "few bits")


def rows(table, headers):
    batches = [table.add(part_of(headers, slice(start, start + 16_384)))
               for start in range(0, len(headers), 16_384)]  # fmt: skip
    return SequenceBatch.concatenate([*batches, *table.finish()])


def of_answered(batch):
    """The rows of answered flows, flow by flow."""
    home = (batch.source_low >> np.uint64(16)) == HOME >> 16
    known = batch.take(home & (batch.protocol == TCP))
    return known.take(np.lexsort((known.row, known.source_low, known.source_port)))


def octets(held, seen=None):
    """Bytes of all arrays that an object holds, but of rows that wait for their release."""
    seen = set() if seen is None else seen
    if id(held) in seen or isinstance(held, SequenceBatch):
        return 0
    seen.add(id(held))
    if isinstance(held, np.ndarray):
        return held.nbytes
    if isinstance(held, dict):
        return sum(octets(each, seen) for each in held.values())
    if isinstance(held, (list, tuple)):
        return sum(octets(each, seen) for each in held)
    return octets(vars(held), seen) if hasattr(held, "__dict__") else 0


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_change_no_row_of_answered_flows(kind):
    calm, attacked = FlowTable(FeatureSchema()), FlowTable(FeatureSchema())
    expected = of_answered(rows(calm, answered()))
    found = of_answered(rows(attacked, together(answered(), flood(kind))))
    assert attacked.evicted > 40_000
    assert len(found) == len(expected) > 400
    for entry in fields(SequenceBatch):
        if entry.name not in EVERYBODYS:
            mine, theirs = getattr(found, entry.name), getattr(expected, entry.name)
            assert mine.tobytes() == theirs.tobytes(), entry.name


@pytest.mark.parametrize("key", KEYS[1:])
def test_neither_do_they_where_conversations_are_gathered(key):
    """Whose a packet is must be known to the end, though conversations are evicted."""
    schema = replace(FeatureSchema(), key=key)
    if key == "service":
        # what is flooded is a service of its own, or the flood would be part of the flow
        attack = replace(flood("syn"), destination_port=np.full(FLOOD, 80, np.uint16))
    else:
        attack = flood("syn")
    expected = of_answered(rows(FlowTable(schema), answered()))
    found = of_answered(rows(FlowTable(schema), together(answered(), attack)))
    assert len(found) == len(expected) > 0
    for entry in fields(SequenceBatch):
        if entry.name not in EVERYBODYS:
            mine, theirs = getattr(found, entry.name), getattr(expected, entry.name)
            assert mine.tobytes() == theirs.tobytes(), entry.name


@pytest.mark.parametrize("key", KEYS)
def test_floods_take_no_memory(key):
    """Neither of flows, nor of conversations, nor of their context."""
    table = FlowTable(replace(FeatureSchema(), key=key))
    before = octets(table)
    for kind in FLOODS if key == "five_tuple" else ("syn", "answers"):
        assert len(rows(table, flood(kind)))
        table.restart()
        assert octets(table) == before
    assert before < (40 if key == "five_tuple" else 56) << 20


def test_floods_of_victims_take_little_memory_of_incidents():
    lane = Lane(FlowTable(FeatureSchema()), [CountingRule(FeatureSchema())])
    number = np.arange(FLOOD)
    time = START + number * (SPAN_NS // FLOOD)
    # 40 flows to each of 5,000 victims, which is enough to open an incident
    attack = packets(time, 0x0B000000 + number, 9, number // 40, 443, TCP, SYN)
    for start in range(0, FLOOD, 16_384):
        batch = lane.table.add(part_of(attack, slice(start, start + 16_384)))
        lane.detect(batch, lane.table.clock_ns)
        for task in lane.trackers[0]._tasks:
            assert len(task._open) <= OPEN_INCIDENTS + EPOCH_ROWS
            assert task._remembered.size <= REMEMBERED_ROWS + EPOCH_ROWS
    assert lane.table.flows == FLOOD


def test_who_completes_more_flows_than_there_are_slots_pushes_out_silent_ones():
    """What can't hold: three packets from both sides are an answered flow, whoever sent them."""
    silent = part_of(answered(flows=1), slice(0, 3))
    flow, step = np.divmod(np.arange(3 * FLOOD // 2), 3)
    out = step % 2 == 0
    forged = packets(
        START + SPAN_NS + np.arange(flow.size) * 10_000,
        np.where(out, 0x0B000000 + flow, SERVER),
        np.where(out, 9, 443),
        np.where(out, SERVER, 0x0B000000 + flow),
        np.where(out, 443, 9),
        TCP,
        np.where(step == 0, SYN, ACK),
    )
    assert flow[-1] > DEFAULT_SLOTS
    last = of_answered(rows(FlowTable(FeatureSchema()), together(silent, forged))).end_reason
    assert END_REASONS[last[-1]] == "early"
    # it was scored early, and would end idle 120 s later; a late packet finds it no more
    late = replace(silent, timestamp_ns=silent.timestamp_ns + 2 * SPAN_NS)
    found = of_answered(rows(FlowTable(FeatureSchema()), together(silent, forged, late)))
    assert np.unique(found.flow_ordinal).size == 2


@pytest.mark.parametrize("kind", FLOODS)
def test_no_key_is_far_from_its_place(kind):
    """Keys that are near to each other do not crowd: an attacker can't choose where they go."""
    table = FlowTable(FeatureSchema())
    index = table._slots._index
    headers = part_of(flood(kind), slice(0, 60_000))
    words, _ = five_tuple(headers)
    slots, _ = index.find(words)
    away = (index._cell_of[slots] - index._hash(words, None)) & index._mask
    # of keys at random, one in 10**9 processes sees this many cells in a row taken
    assert away.max() < 200
