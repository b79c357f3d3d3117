"""How flows end, against the reference and worked out by hand, for every way of cutting.

Those that a flood evicts are in `test_table.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest
from blocks import Timed, headers_of
from reference import End, ReferenceTable, ends_of
from reference_decode import Packet
from traffic import ACK, FIN, IPV4_NET, RST, SYN, Mixture, random_packets

from sensor.exchange import Lanes
from sensor.flows.ends import FlowEnds
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.schema import KEYS, FeatureSchema
from sensor.pipeline import decide

SHORT = FeatureSchema(
    lengths=(2, 4), decide_after_ms=50, idle_timeout_ms=200, repeat_min_packets=2, repeat_all=2
)
SCHEMAS = {key: replace(SHORT, key=key) for key in KEYS}
SCHEMAS["first"] = FeatureSchema(lengths=(3,), policies=("first",), context=())
MIXTURES = {
    "busy": Mixture(),
    "ties": Mixture(hosts=2, ports=2, steps_ns=(0, 0, 0, 10_000_000, 20_000_000, 50_000_000)),
    "slow": Mixture(steps_ns=(0, 400_000_000, 1_000_000_000, 30_000_000_000, -500_000_000)),
}
OTHERS = (*KEYS[1:], "first")
SECOND = 1_000_000_000


@cache
def case(schema: str, mixture: str) -> tuple[tuple[Timed, ...], list[End]]:
    """Packets whose clock is set back twice, and how their flows end by the reference."""
    packets = random_packets(3, 1_200, MIXTURES[mixture])
    packets = [
        (time - place // 400 * 1_000 * SECOND, packet)
        for place, (time, packet) in enumerate(packets)
    ]
    return tuple(packets), expected(packets, SCHEMAS[schema])


def expected(packets: Sequence[Timed], schema: FeatureSchema) -> list[End]:
    reference = ReferenceTable(schema)
    for time_ns, packet in packets:
        reference.packet(time_ns, packet)
    reference.finish()
    return reference.ends


def blocks(packets: Sequence[Timed], size: int):
    return [(headers_of(packets[at : at + size]), 0) for at in range(0, len(packets), size)]


def ends_by_block(packets, schema, size) -> tuple[list[End], FlowTable]:
    """Ends in the order in which they are given, and the table after them.

    Asserts that they come as soon as they are certain, with or after all rows of their flows.
    """
    table = FlowTable(schema, ends=True)
    found, over, streams = [], set(), set()
    for decided in decide(blocks(packets, size), Lanes([Lane(table)])):
        streams.add(decided.stream)
        assert not over & set(decided.batch.flow_ordinal.tolist())
        assert (decided.ends.ended_ns < decided.clock_ns).all()
        over |= set(decided.ends.flow_ordinal.tolist())
        found += ends_of(decided.ends)
    assert len(streams) == table.clock_steps + 1
    assert not len(table.take_ends())
    assert not table._endings._waiting
    return found, table


@pytest.mark.parametrize("size", [1, 7, 500, 16_384])
@pytest.mark.parametrize(
    ("schema", "mixture"),
    [*(("five_tuple", mixture) for mixture in MIXTURES), *((key, "busy") for key in OTHERS)],
)
def test_random_traffic_of_several_streams(schema, mixture, size):
    packets, wanted = case(schema, mixture)
    if size == 1:
        packets = packets[:300]
        wanted = expected(packets, SCHEMAS[schema])
    found, table = ends_by_block(packets, SCHEMAS[schema], size)
    for mine, theirs in zip(found, wanted, strict=False):
        assert mine == theirs
    assert len(found) == len(wanted) == table.flows
    assert sorted(end.flow_ordinal for end in found) == list(range(table.flows))
    assert sum(sum(end.packets) for end in found) == len(packets) - table.trailing
    assert table.clock_steps == (0 if size == 1 else 2)


def test_random_traffic_reaches_every_rule():
    """A guard on the generator: what it never makes would never be compared."""
    ends = [end for mixture in MIXTURES for end in case("five_tuple", mixture)[1]]
    assert {(end.end_reason, end.whole) for end in ends} == {
        ("closed", True), ("closed", False), ("idle", True), ("idle", False)
    }  # fmt: skip
    assert {end.midstream and end.whole for end in ends} == {False}
    assert any(min(end.packets) > 3 for end in ends)
    assert any(end.last_ns + 200_000_000 < end.ended_ns for end in ends if end.end_reason == "idle")
    assert all(end.end_reason == "idle" for key in KEYS[1:] for end in case(key, "busy")[1])


def flow(*steps: tuple[float, int, int, int], port: int = 5_000) -> list[Timed]:
    """Packets between two hosts: seconds, direction, TCP flags, IP length."""
    packets = []
    for seconds, direction, flags, length in steps:
        ends = (IPV4_NET + 1, IPV4_NET + 2, port, 443)
        ends = ends if direction > 0 else (ends[1], ends[0], ends[3], ends[2])
        packets.append((round(seconds * SECOND), Packet(4, 6, *ends, length, 0, flags)))
    return packets


def ends_at_once(packets, *, ticks=(), finish=True) -> FlowEnds:
    table = FlowTable(FeatureSchema(lengths=(4,), idle_timeout_ms=10_000), ends=True)
    table.add(headers_of(sorted(packets, key=lambda timed: timed[0])))
    for tick in ticks:
        table.add(headers_of([]), tick * SECOND)
    if finish:
        for _ in table.finish():
            pass
    return table.take_ends()


def test_what_trails_a_close_enters_nothing():
    closing = flow(
        (1, 1, SYN, 60), (2, -1, SYN | ACK, 64), (3, 1, FIN | ACK, 52), (4, -1, FIN | ACK, 1_000),
        (5, 1, ACK, 9_000), (6, -1, RST, 9_000),
    )  # fmt: skip
    (end,) = ends_of(ends_at_once(closing))
    assert (end.start_ns, end.last_ns, end.ended_ns) == (SECOND, 4 * SECOND, 4 * SECOND)
    assert (end.packets, end.octets) == ([2, 2], [112, 1_064])
    assert (end.end_reason, end.whole) == ("closed", True)


def test_a_port_that_is_used_again_is_another_flow_from_zero():
    packets = flow((1, 1, SYN, 60), (2, -1, RST, 40), (3, -1, ACK, 40), (4, -1, SYN, 48))
    packets += flow((5, 1, ACK, 52), (6, 1, RST, 41), port=5_000)
    first, second = ends_of(ends_at_once(packets))
    assert (first.packets, first.octets) == ([1, 1], [60, 40])
    assert (second.packets, second.octets) == ([1, 2], [48, 93])
    assert (second.source_port, second.start_ns, second.last_ns) == (443, 4 * SECOND, 6 * SECOND)


def test_disorder_counts_and_the_latest_time_is_the_flows():
    """A packet of 2 s comes after one of 3 s; the block ends with it, or the flow closes later."""
    table = FlowTable(FeatureSchema(lengths=(4,), idle_timeout_ms=10_000), ends=True)
    one, three, two, back = flow(
        (1, 1, SYN, 60), (3, -1, ACK, 1_500), (2, -1, ACK, 1_400), (2.5, 1, RST, 40)
    )
    table.add(headers_of([one, three, two]))
    table.add(headers_of([back]))
    for _ in table.finish():
        pass
    (end,) = ends_of(table.take_ends())
    assert (end.octets, end.last_ns, end.ended_ns) == ([100, 2_900], 3 * SECOND, 3 * SECOND)


def test_silence_makes_a_flow_whole_only_where_it_is_heard():
    """The timeout is 10 s; the other flow's packet at 12 s is exactly at the deadline."""
    silent, other = flow((1, 1, SYN, 60), (2, -1, ACK, 60)), flow((12, 1, SYN, 60), port=1)
    at, after = (
        ends_at_once(silent + other),
        ends_at_once(silent + flow((12.1, 1, SYN, 60), port=1)),
    )
    assert at.ended_ns.tolist() == [12 * SECOND, 22 * SECOND]
    assert at.whole.tolist() == [False, False]
    assert after.whole.tolist() == [True, False]
    midstream = flow((1, 1, ACK, 60))
    assert ends_at_once(midstream, ticks=[20]).whole.tolist() == [False]


def test_a_tick_tells_no_more_than_packets_would():
    """With ticks a live run hears the silence at the end of a recording; all else is equal."""
    packets = flow((1, 1, SYN, 60), (2, -1, ACK, 60)) + flow((9, 1, SYN, 60), port=1)
    heard = ends_at_once(packets, ticks=[10, 13, 15], finish=False)
    assert ends_of(heard)[0].whole
    ticked, replayed = ends_at_once(packets, ticks=[10, 13, 15]), ends_at_once(packets)
    assert ticked.whole.tolist() == [True, False]
    assert replayed.whole.tolist() == [False, False]
    assert [replace(end, whole=False) for end in ends_of(ticked)] == ends_of(replayed)


def test_a_table_that_is_not_asked_tells_nothing():
    table = FlowTable(SHORT)
    table.add(headers_of(random_packets(1, 500, MIXTURES["busy"])))
    assert len(table.take_ends()) == 0


def test_flows_that_had_begun_before_ends_were_kept_are_not_whole():
    """The first one has two packets before and two after; the second one begins after."""
    table = FlowTable(FeatureSchema(lengths=(4,), idle_timeout_ms=10_000))
    first = flow((1, 1, SYN, 60), (2, -1, ACK, 60), (3, 1, ACK, 100), (4, -1, RST, 40))
    assert not table.keeps_ends
    table.add(headers_of(first[:2]))
    for _ in range(2):  # asked again it goes on
        table.keep_ends()
        table.add(headers_of(first[2:3]))
        first = first[1:]
    table.add(headers_of(flow((5, 1, SYN, 60), (6, -1, RST, 40), port=1)))
    for _ in table.finish():
        pass
    one, other = ends_of(table.take_ends())
    assert (one.packets, one.octets, one.start_ns, one.whole) == ([1, 1], [100, 40], SECOND, False)
    assert (other.packets, other.octets, other.whole) == ([1, 1], [60, 40], True)
