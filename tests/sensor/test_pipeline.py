"""The chain as a whole: what it finds is a function of the packets alone."""

from blocks import headers_of
from traffic import Mixture, random_packets

from sensor.alerts.rule import CountingRule
from sensor.flows.sequences import END_REASONS
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import Lane, assemble, detect

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

    def __init__(self, packets):
        self.headers, self.clock_ns = headers_of(packets), 0

    def __getattr__(self, name):
        return getattr(self.headers, name)

    def __len__(self):
        return len(self.headers)


def test_incidents_do_not_depend_on_block_sizes_nor_on_lanes():
    packets = random_packets(5, 2_500, CROWD)
    found = []
    for size in (1, 7, 500, 2_500):
        blocks = [_Piece(packets[i : i + size]) for i in range(0, len(packets), size)]
        lanes = [Lane(FlowTable(schema), [CountingRule(schema)]) for schema in (SCHEMA, SHORT)]
        events = list(detect(blocks, _Decoded(), lanes))
        assert [event.order for event in events] == sorted(event.order for event in events)
        found.append((events, [lane.decided.tolist() for lane in lanes]))
    assert found[0][0]
    assert {event.kind for event in found[0][0]} == {"start", "update", "end"}
    assert all(each == found[0] for each in found[1:])


def test_rows_are_counted_by_their_end():
    packets = random_packets(6, 3_000, Mixture())
    blocks = [_Piece(packets)]
    lane = Lane(FlowTable(SCHEMA), [CountingRule(SCHEMA)])
    list(detect(blocks, _Decoded(), [lane]))
    rows = [
        END_REASONS[reason]
        for batch in assemble(blocks, _Decoded(), FlowTable(SCHEMA))
        for reason in batch.end_reason.tolist()
    ]
    assert lane.decided.tolist() == [rows.count(reason) for reason in END_REASONS]
    assert sum(lane.decided) > 100
