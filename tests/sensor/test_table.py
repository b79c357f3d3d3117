"""The flow table against the reference, row by row, for every way of cutting the stream."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

import pytest
from blocks import Timed, headers_of
from reference import ReferenceTable, Row, ends_of, rows_of
from traffic import Mixture, flood_packets, random_packets

from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import KEYS, FeatureSchema

DEFAULT = FeatureSchema()
SHORT = FeatureSchema(
    lengths=(2, 4),
    decide_after_ms=50,
    idle_timeout_ms=200,
    repeat_min_packets=2,
    repeat_all=2,
)
FIRST = FeatureSchema(
    lengths=(3,), policies=("first",), decide_after_ms=40, idle_timeout_ms=90, context=()
)
ONE = FeatureSchema(lengths=(1,), decide_after_ms=10, idle_timeout_ms=20, repeat_min_packets=1)
SCHEMAS = {"default": DEFAULT, "short": SHORT, "first": FIRST, "one": ONE}
SCHEMAS |= {key: replace(SHORT, key=key) for key in KEYS[1:]}

BUSY = Mixture()
SPARSE = Mixture(hosts=30, ports=40, again=0.5)
SLOW = Mixture(steps_ns=(0, 400_000_000, 1_000_000_000, 30_000_000_000, -500_000_000))
TIES = Mixture(hosts=2, ports=2, steps_ns=(0, 0, 0, 10_000_000, 20_000_000, 50_000_000))
LONG = Mixture(hosts=2, ports=1, steps_ns=(0, 1_000_000, 7_000_123), again=0.98)
EDGES = Mixture(steps_ns=(0, 500_000_000, 1_000_000_000, 4_500_000_000), again=0.2)
MIXTURES = {"busy": BUSY, "sparse": SPARSE, "slow": SLOW, "ties": TIES, "long": LONG}
MIXTURES |= {"edges": EDGES}


def pieces(packets: Sequence[Timed], size: int) -> Iterator[Sequence[Timed]]:
    for start in range(0, len(packets), size):
        yield packets[start : start + size]


def ending(table: FlowTable) -> SequenceBatch:
    return SequenceBatch.concatenate([*table.finish()])


def expected(
    packets: Sequence[Timed], schema: FeatureSchema, table: ReferenceTable | None = None
) -> list[Row]:
    table = table or ReferenceTable(schema)
    for time_ns, packet in packets:
        table.packet(time_ns, packet)
    return table.finish()


def assembled(
    packets: Sequence[Timed], schema: FeatureSchema, size: int, table: FlowTable | None = None
) -> list[Row]:
    """Rows of the table; asserts after each block that what could be released was (rule 2)."""
    table = table or FlowTable(schema)
    rows: list[Row] = []
    clock = 0
    for piece in pieces(packets, size):
        batch = table.add(headers_of(piece))
        clock = max(clock, *(time_ns for time_ns, _ in piece))
        assert table.clock_ns == clock
        assert not (batch.decided_ns >= clock).any()
        rows += rows_of(batch)
    last = ending(table)
    assert not (last.decided_ns < clock).any()
    return rows + rows_of(last)


def assert_same(got: list[Row], wanted: list[Row], schema: FeatureSchema = DEFAULT) -> None:
    """Row by row, so that a failure shows one row and not a million."""
    for mine, theirs in zip(got, wanted, strict=False):
        if mine != theirs:
            mine_, theirs_ = asdict(mine), asdict(theirs)
            differing = [name for name in mine_ if mine_[name] != theirs_[name]]
            if not schema.context:
                differing = [name for name in differing if not name.startswith("context")]
            assert not differing, (
                f"flow {theirs.flow_ordinal} row {theirs.row}: {differing}\n"
                f"table     {mine}\nreference {theirs}"
            )
    assert len(got) == len(wanted)


@pytest.mark.parametrize("size", [7, 500, 16_384])
@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_random_traffic(schema: str, mixture: str, size: int) -> None:
    for seed in range(2):
        packets = random_packets(seed, 1_000 if size == 7 else 4_000, MIXTURES[mixture])
        wanted = expected(packets, SCHEMAS[schema])
        assert len(wanted) > 20
        assert_same(assembled(packets, SCHEMAS[schema], size), wanted, SCHEMAS[schema])


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("schema", ["default", "short", *KEYS[1:]])
def test_one_packet_at_a_time(schema: str, mixture: str) -> None:
    packets = random_packets(99, 400, MIXTURES[mixture])
    assert_same(
        assembled(packets, SCHEMAS[schema], 1), expected(packets, SCHEMAS[schema]), SCHEMAS[schema]
    )


def test_random_traffic_reaches_every_rule() -> None:
    """A guard on the generator: what it never makes would never be compared."""
    rows = [row for mixture in MIXTURES.values()
            for row in expected(random_packets(0, 6_000, mixture), SHORT)]  # fmt: skip
    assert {row.end_reason for row in rows} == {"full", "early", "closed", "idle"}
    assert {row.version for row in rows} == {4, 6}
    assert {row.protocol for row in rows} == {1, 6, 17, 47, 58}
    assert {row.midstream for row in rows} == {True, False}
    assert any(row.sequence_index >= 4 for row in rows)
    assert any(row.interarrival_us[0] for row in rows if row.sequence_index)
    assert any(row.source == row.destination for row in rows)
    assert max(max(row.context) for row in rows) > 20


def test_silence_is_a_tick() -> None:
    """Ticks between blocks decide what is due and count what comes too late."""
    generator = random.Random(5)
    for seed in range(5):
        packets = random_packets(seed, 3_000, BUSY)
        table, reference = FlowTable(SHORT), ReferenceTable(SHORT)
        rows: list[Row] = []
        ticked = late = 0
        for piece in pieces(packets, 50):
            latest = max(time_ns for time_ns, _ in piece)
            clock = latest + generator.choice((-10_000_000, 0, 40_000_000, 300_000_000))
            rows += rows_of(table.add(headers_of(piece), clock_ns=clock))
            for time_ns, packet in piece:
                reference.packet(time_ns, packet)
                late += time_ns < ticked
            # a tick that is behind the packets makes nothing late
            ticked = clock if clock > reference.clock else ticked
            reference.tick(clock)
            assert table.clock_ns == reference.clock
            if generator.random() < 0.2:
                clock += 150_000_000
                rows += rows_of(table.add(headers_of([]), clock_ns=clock))
                ticked = clock if clock > reference.clock else ticked
                reference.tick(clock)
        assert_same(rows + rows_of(ending(table)), reference.finish())
        assert table.late == late > 0


@pytest.mark.parametrize("key", KEYS)
def test_flood_evicts_by_probation_then_silence(key: str) -> None:
    """Under `service` all of it is one flow, but its conversations are evicted."""
    schema = replace(DEFAULT, key=key)
    packets = flood_packets(80_000, 1_000, pool=50_000 if key == "five_tuple" else 150_000)
    reference = ReferenceTable(schema)
    wanted = expected(packets, schema, reference)
    assert any(row.context_saturated for row in wanted)
    evicted = sum(row.end_reason == "evicted" for row in wanted)
    assert evicted == 0 if key == "service" else evicted > 500
    ends = {end.whole for end in reference.ends if end.end_reason == "evicted"}
    assert ends == (set() if key == "service" else {False})
    for size in (5_000, 65_536) if key == "five_tuple" else (20_000,):
        table = FlowTable(schema, ends=True)
        assert_same(assembled(packets, schema, size, table), wanted)
        assert ends_of(table.take_ends()) == reference.ends


def test_context_is_saturated_from_the_edge_of_the_window_on() -> None:
    """One flow at 0 and one at 1 ns are forgotten when 65,536 others have begun."""
    flows = [packet for _, packet in flood_packets(70_000, 0) if packet.tcp_flags == 2]
    packets = [(10**18 + time_ns, flows.pop()) for time_ns in (0, 1)]
    packets += [(10**18 + 5 * 10**9, flows[index % len(flows)]._replace(source_port=index % 65_536))
                for index in range(65_535)]  # fmt: skip
    packets = [(t, packet._replace(source=index)) for index, (t, packet) in enumerate(packets)]
    last = packets[-1][1]
    packets += [(10**18 + 10**10, last._replace(source=index)) for index in (70_000, 70_001)]
    wanted = expected(packets, DEFAULT)
    edge = [row for row in wanted if row.source >= 70_000]
    assert [row.context_saturated for row in edge] == [False, True]
    assert_same(assembled(packets, DEFAULT, 65_536), wanted)


def test_established_flows_are_evicted_by_silence() -> None:
    """More answered flows than slots, so that the second stage of the eviction is reached."""
    generator = random.Random(8)
    packets: list[Timed] = []
    for flow in range(52_000):
        (_, first), *_ = flood_packets(1, 0, seed=flow)
        first = first._replace(source_port=flow & 0xFFFF, source=first.source + (flow >> 16))
        first = first._replace(tcp_flags=16)
        back = first._replace(
            source=first.destination,
            destination=first.source,
            source_port=first.destination_port,
            destination_port=first.source_port,
        )
        start = flow * 10_000
        packets += [(start, first), (start + 20_000, back), (start + 40_000, first)]
        packets += [(start + generator.randrange(10**9), back)] * (flow % 2)
    packets.sort(key=lambda timed: timed[0])
    wanted = expected(packets, DEFAULT)
    assert any(row.end_reason == "evicted" and row.flow_packets > 2 for row in wanted)
    for size in (10_000, 65_536):
        assert_same(assembled(packets, DEFAULT, size), wanted)


def test_slots_below_the_rule_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 65,536"):
        FlowTable(DEFAULT, slots=65_535)


def test_counts() -> None:
    packets = random_packets(4, 6_000, LONG)
    table, reference = FlowTable(SHORT), ReferenceTable(SHORT)
    for piece in pieces(packets, 777):
        table.add(headers_of(piece))
    for time_ns, packet in packets:
        reference.packet(time_ns, packet)
    ending(table)
    wanted = reference.finish()
    assert table.flows == max(row.flow_ordinal for row in wanted) + 1
    assert table.skipped == reference.skipped > 0


def test_column_types() -> None:
    table = FlowTable(DEFAULT)
    batches = [table.add(headers_of([])), table.add(headers_of(random_packets(1, 100, BUSY)))]
    batches += table.finish()
    model = SequenceBatch.empty(DEFAULT.n)
    for batch in batches:
        for name in model.__slots__:
            column = getattr(batch, name)
            assert column.dtype == getattr(model, name).dtype, name
            assert column.shape[1:] == getattr(model, name).shape[1:], name
