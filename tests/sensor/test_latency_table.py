"""Rows of round-trip times against the independent reading of rules 38 and 39."""

import struct
from dataclasses import fields

import frames
import numpy as np
import pytest
from blocks import block_of, blocks_of
from frames import ICMP
from latency_reference import Reference
from latency_traffic import SECOND, START, traffic
from reference import Frame

from sensor.flows.sequences import MEASURED_TYPES, SequenceBatch
from sensor.latency.latency_table import LatencyTable
from sensor.model.schema import PEER_LATENCY, FeatureSchema
from sensor.packets.decode import Decoder

SIZES = (1, 7, 500, 16_384)
SCHEMA = FeatureSchema(
    lengths=(64,), fields=("rtt", "rtt_gap", "answered", "valid"), context=(), key=PEER_LATENCY
)
SHORT = FeatureSchema(
    lengths=(3, 5), fields=("rtt", "rtt_gap", "answered", "valid"), context=(), key=PEER_LATENCY
)


def rows_of(sent, size, schema=SCHEMA):
    """All rows, and the table."""
    table, decoder = LatencyTable(schema), Decoder(schema.decoded)
    blocks = blocks_of([Frame(*each) for each in sent], size)
    batches = [table.add(decoder.decode(block)) for block in blocks]
    return SequenceBatch.concatenate([*batches, *table.finish()]), table


def reference_of(sent, n=64):
    reference = Reference(n)
    for each in sent:
        reference.add(*each)
    reference.finish()
    return reference


def echo(number, at, server="192.0.2.1", *, reply=False):
    """A frame of an exchange, with its time."""
    rest = struct.pack("!HH", number >> 16, number & 0xFFFF)
    ends = (server, "10.0.0.1") if reply else ("10.0.0.1", server)
    return at, frames.ip_frame(frames.icmp(0 if reply else 8, 0, rest), ICMP, *ends)


def as_tuples(batch):
    """Rows as the reference has them."""
    steps = zip(*(getattr(batch, name).tolist() for name in MEASURED_TYPES), strict=True)
    return [
        (decided, series, number, start, tuple(zip(*each, strict=True))[:length])
        for decided, series, number, start, each, length in zip(
            batch.decided_ns.tolist(),
            batch.flow_ordinal.tolist(),
            batch.row.tolist(),
            batch.flow_start_ns.tolist(),
            steps,
            batch.length.tolist(),
            strict=True,
        )
    ]


@pytest.mark.parametrize(
    ("schema", "seed", "exchanges", "sizes"),
    [(SCHEMA, 4, 900, (500, 16_384)), (SHORT, 5, 150, SIZES)],
)
def test_rows_are_those_of_the_reference_at_every_block_size(schema, seed, exchanges, sizes):
    sent = traffic(seed, exchanges)
    reference = reference_of(sent, schema.n)
    assert max(row.number for row in reference.rows) > schema.n
    assert reference.skipped > 5
    first, _ = rows_of(sent, sizes[0], schema)
    for size in sizes:
        batch, table = rows_of(sent, size, schema)
        for mine, theirs in zip(as_tuples(batch), reference.rows, strict=False):
            assert mine == tuple(theirs)
        assert len(batch) == len(reference.rows)
        assert table.skipped == reference.skipped
        assert table.flows == np.count_nonzero(batch.row == 0)
        for column in fields(batch):
            np.testing.assert_array_equal(
                getattr(batch, column.name), getattr(first, column.name), column.name
            )


def test_a_row_by_hand():
    """Three pings a second apart, of which the second has no answer."""
    sent = [
        echo(1, START),
        echo(1, START + 20_000_500, reply=True),
        echo(2, START + SECOND),
        echo(3, START + 2 * SECOND),
        echo(3, START + 2 * SECOND + 1_500, reply=True),
        echo(4, START + 10 * SECOND),
    ]
    batch, table = rows_of(sent, 500)
    assert batch.length.tolist() == [1, 2, 3, 4]
    # what has no answer is known 3 s after it was asked: behind the third, and at the end
    assert batch.rtt[3, :4].tolist() == [20_000, 1, 0, 0]
    assert batch.rtt_gap[3, :4].tolist() == [0, 1_980, 1_999, 9_000]
    assert batch.answered[3, :4].tolist() == [1, 1, 0, 0]
    assert not batch.rtt[:, 4:].any()
    times = [20_000_500, 2 * SECOND + 1_500, 4 * SECOND, 13 * SECOND]
    assert (batch.decided_ns - START).tolist() == times
    assert (batch.first_packet_ns - START).tolist() == [0, 2 * SECOND, SECOND, 10 * SECOND]
    assert (batch.last_packet_ns - START).tolist() == [*times[:2], SECOND, 10 * SECOND]
    assert set(batch.flow_start_ns.tolist()) == {START}
    assert batch.sequence_index.tolist() == batch.row.tolist() == [0, 1, 2, 3]
    assert batch.flow_packets.tolist() == [1, 2, 3, 4]
    assert set(batch.source_low.tolist()) == {0x0A000001}
    assert set(batch.destination_low.tolist()) == {0xC0000201}
    assert set(batch.protocol.tolist()) == {ICMP}
    assert (table.flows, table.active, table.skipped, table.late) == (1, 1, 0, 0)


def test_silence_decides_as_packets_do():
    table, decoder = LatencyTable(SCHEMA), Decoder(SCHEMA.decoded)
    sent = [echo(1, START), echo(1, START + 5, reply=True), echo(2, START + SECOND)]
    block = block_of([Frame(*each) for each in sent])
    assert len(table.add(decoder.decode(block))) == 1
    nothing = decoder.decode(block_of([]))
    assert len(table.add(nothing, START + 4 * SECOND)) == 0
    (row,) = as_tuples(table.add(nothing, START + 4 * SECOND + 1))
    assert row[0] == START + 4 * SECOND
    assert table.clock_ns == START + 4 * SECOND + 1
    table.add(decoder.decode(block))
    assert table.late == 3


def test_another_stream_begins_with_nothing():
    table, decoder = LatencyTable(SCHEMA), Decoder(SCHEMA.decoded)
    sent = [echo(1, START), echo(1, START + 5, reply=True), echo(2, START + SECOND)]
    block = block_of([Frame(*each) for each in sent])
    rows = []
    for _ in range(2):
        rows.append(SequenceBatch.concatenate([table.add(decoder.decode(block)), *table.finish()]))
        assert table.active == 1
        table.restart()
        assert (table.active, table.clock_ns) == (0, 0)
    first, again = map(as_tuples, rows)
    assert [row[1:3] for row in first] == [(0, 0), (0, 1)]
    assert [row[1:3] for row in again] == [(1, 0), (1, 1)]
    assert [row[3:] for row in again] == [row[3:] for row in first]
    assert (table.flows, table.clock_steps) == (2, 2)


def test_a_flood_of_answers_costs_so_many_rows_a_second():
    """1,200 peers answer within each of two seconds, and one peer 30 times in another."""
    sent = []
    for number in range(2_400):
        at, server = START + number * 800_000, f"192.0.{2 + number // 250}.{number % 250 + 1}"
        sent += [echo(number, at, server), echo(number, at + 10, server, reply=True)]
    for number in range(30):
        at = START + 5 * SECOND + number * 10_000_000
        sent += [echo(number, at), echo(number, at + 10, reply=True)]
    for size in (500, 16_384):
        batch, table = rows_of(sent, size)
        second = (batch.decided_ns - START) // SECOND
        assert np.bincount(second).tolist() == [1_000, 1_000, 0, 0, 0, 3]
        assert table.skipped == 2_400 + 30 - len(batch)
        assert table.flows == 2_400


def test_what_has_been_measured_at_length_makes_room_by_silence():
    """4,096 series, of which the longest silent 1,024 go when as many may come."""
    sent = []
    for number in range(3_000 + 1_100):
        server = f"10.{number // 62_500 + 1}.{number // 250 % 250}.{number % 250 + 1}"
        at = START + number * 2_000_000
        sent += [echo(number, at, server), echo(number, at + 10, server, reply=True)]
    results = [rows_of(sent, size) for size in (500, 16_384)]
    for batch, table in results:
        # after the 3,072nd measurement 1,024 places are free, after the 4,096th none
        assert (table.flows, table.evicted) == (4_100, 1_024)
        assert table.active == 4_100 - 1_024
        assert len(batch) == table.flows - table.skipped
