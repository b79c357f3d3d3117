"""The reference table: keys of several conversations, and clocks that are set back, by hand.

Times are in milliseconds from an arbitrary second on; the schema is the default one.
"""

from ipaddress import IPv4Address, IPv6Address

from frames import ACK, FIN, RST, SYN, icmp_frame, tcp_frame, udp_frame
from reference import Frame, ReferenceTable, Row, reference_rows
from reference_decode import Packet

from sensor.model.schema import FeatureSchema

BASE_NS = 1_700_000_000_000_000_000
ANN, BEA, WEB = "10.0.0.1", "10.0.0.2", "10.0.0.9"
SERVICE = FeatureSchema(key="service")
SOURCE = FeatureSchema(key="source")
HOST_PAIR = FeatureSchema(key="host_pair")
FIVE_TUPLE = FeatureSchema()


def at(milliseconds: float) -> int:
    return BASE_NS + int(milliseconds * 1_000_000)


def ask(milliseconds: float, flags: int = ACK, who: str = ANN, port: int = 40_000) -> Frame:
    return Frame(at(milliseconds), tcp_frame(who, port, WEB, 443, flags))


def answer(milliseconds: float, flags: int = ACK, who: str = ANN, port: int = 40_000) -> Frame:
    return Frame(at(milliseconds), tcp_frame(WEB, 443, who, port, flags))


def ends(row: Row) -> tuple[tuple[str, int], tuple[str, int]]:
    address = IPv4Address if row.version == 4 else IPv6Address
    return (
        (str(address(row.source)), row.source_port),
        (str(address(row.destination)), row.destination_port),
    )


def test_service_gathers_clients_and_ends_with_no_conversation() -> None:
    frames = [
        ask(0, SYN),
        answer(1, SYN | ACK),
        ask(2, RST),
        answer(3, ACK),  # trailing in its conversation, a packet of the service
        ask(4, SYN, who=BEA, port=50_000),
        answer(5, SYN | ACK, who=BEA, port=50_000),
        ask(6, SYN),  # a new conversation of the same endpoints
        Frame(at(7), tcp_frame(ANN, 40_001, WEB, 80, SYN)),  # another service
        Frame(at(8), udp_frame(ANN, 40_000, WEB, 443)),  # and another protocol
    ]
    rows = reference_rows(frames, SERVICE)
    assert [(row.length, row.end_reason) for row in rows] == [
        (7, "early"),
        (1, "early"),
        (1, "early"),
    ]
    assert rows[0].direction == [1, -1, 1, -1, 1, -1, 1]
    assert ends(rows[0]) == ((ANN, 40_000), (WEB, 443))
    assert [row.protocol for row in rows] == [6, 6, 17]
    assert [row.flow_ordinal for row in rows] == [0, 1, 2]


def test_service_of_a_syn_ack_is_its_sender() -> None:
    rows = reference_rows([answer(0, SYN | ACK), ask(1)], SERVICE)
    assert [(row.direction, ends(row)) for row in rows] == [([-1, 1], ((ANN, 40_000), (WEB, 443)))]


def test_source_gathers_what_an_address_begins() -> None:
    frames = [
        ask(0, SYN),
        answer(1, SYN | ACK),
        Frame(at(2), udp_frame(ANN, 5_353, BEA, 53)),
        Frame(at(3), udp_frame(BEA, 53, ANN, 5_353)),
        Frame(at(4), icmp_frame(ANN, BEA, 8)),
        Frame(at(5), icmp_frame(BEA, ANN, 8)),  # an echo request of Bea's, the same five-tuple
        Frame(at(6), udp_frame(BEA, 53, ANN, 5_354)),  # this one Bea begins
    ]
    rows = reference_rows(frames, SOURCE)
    assert [(ends(row)[0][0], row.length) for row in rows] == [(ANN, 5), (BEA, 2)]
    assert rows[0].direction == [1, -1, 1, -1, 1]
    assert rows[1].direction == [1, 1]
    # The ports are those of the first conversation.
    assert ends(rows[0]) == ((ANN, 40_000), (WEB, 443))


def test_source_of_ipv6_is_its_first_64_bits() -> None:
    one, two = "2001:db8::1", "2001:db8::2:0:0:2"
    frames = [
        Frame(at(0), udp_frame("2001:db8::1", 1, "2001:db8:1::9", 53)),
        Frame(at(1), udp_frame("2001:db8::ffff:1", 2, "2001:db8:1::9", 53)),
        Frame(at(2), udp_frame("2001:db8:0:1::1", 1, "2001:db8:1::9", 53)),
        Frame(at(3), udp_frame(one, 7, two, 8)),  # within the prefix: still two sides
        Frame(at(4), udp_frame(two, 8, one, 7)),
    ]
    rows = reference_rows(frames, SOURCE)
    assert [(row.length, row.direction) for row in rows] == [(4, [1, 1, 1, -1]), (1, [1])]
    assert ends(rows[0])[0] == ("2001:db8::1", 1)


def test_host_pair_gathers_protocols_and_is_owned_by_the_first_sender() -> None:
    frames = [
        answer(0, SYN | ACK),  # not inverted: the pair is owned by who sent its first packet
        ask(1),
        Frame(at(2), udp_frame(ANN, 1, WEB, 2)),
        Frame(at(3), icmp_frame(WEB, ANN, 8)),
        Frame(at(4), udp_frame(ANN, 1, BEA, 2)),
    ]
    rows = reference_rows(frames, HOST_PAIR)
    assert [row.length for row in rows] == [4, 1]
    assert rows[0].direction == [1, -1, -1, 1]
    assert ends(rows[0]) == ((WEB, 0), (ANN, 0))
    assert [row.protocol for row in rows] == [6, 17]


def test_midstream_is_that_of_the_first_conversation() -> None:
    frames = [ask(0, ACK), ask(1, SYN, port=40_001), ask(2_000_000, SYN), ask(2_000_001, ACK)]
    assert [row.midstream for row in reference_rows(frames, HOST_PAIR)] == [True, False]
    # A flow of the key outlives its conversations: the one that it begins with counts.
    frames = [ask(0, SYN), *[Frame(at(k), udp_frame(BEA, k, WEB, 53)) for k in (1, 2)]]
    assert [row.midstream for row in reference_rows(frames, SOURCE)] == [False, False]


def test_fin_from_both_sides_ends_a_five_tuple_flow_only() -> None:
    frames = [ask(0, SYN), ask(1, FIN), answer(2, FIN | ACK), ask(3), ask(130_000)]
    assert [row.end_reason for row in reference_rows(frames, FIVE_TUPLE)] == ["closed", "early"]
    for schema in (SERVICE, SOURCE, HOST_PAIR):
        rows = reference_rows(frames, schema)
        assert [(row.length, row.end_reason) for row in rows] == [(4, "early"), (1, "early")]


def test_context_is_that_of_the_first_packets_conversation() -> None:
    frames = [
        Frame(at(0), udp_frame(ANN, 1, WEB, 53)),
        Frame(at(1), udp_frame(ANN, 2, WEB, 53)),
        Frame(at(2), udp_frame(ANN, 3, WEB, 53)),
        Frame(at(3), udp_frame(BEA, 4, WEB, 53)),
    ]
    # Bea's is the second flow of the key, but three flows of the five-tuple came before it.
    rows = reference_rows(frames, SOURCE)
    assert [row.context for row in rows] == [[0] * 6, [3, 3, 0, 0, 3, 3]]
    assert [row.context[0] for row in reference_rows(frames, FIVE_TUPLE)] == [0, 1, 2, 3]


def test_context_of_an_old_conversation_is_as_it_was() -> None:
    """A flow is evicted, its conversation is not: the next flow has the conversation's context."""
    schema = FeatureSchema(key="service")
    table = ReferenceTable(schema, slots=16, evict_every=16)
    frames = [Frame(at(k), udp_frame(ANN, 100 + k, WEB, 53)) for k in range(3)]
    for frame in frames:
        feed(table, frame)
    (flow,) = table.flows.entries.values()
    del table.flows.entries[flow.key]
    feed(table, Frame(at(900), udp_frame(ANN, 102, WEB, 53)))
    rows = table.finish()
    assert [row.context for row in rows] == [[2] * 6]


def feed(table: ReferenceTable, *frames: Frame) -> None:
    for frame in frames:
        packet = frame.decode()
        assert isinstance(packet, Packet)
        table.packet(frame.time_ns, packet)


def test_the_64th_packet_in_a_row_that_is_far_behind_sets_the_clock_back() -> None:
    late = [ask(k, SYN, port=k + 1) for k in range(64)]
    rows = reference_rows([ask(10_063.5, SYN), *late])
    # The 63 were handled at the old clock: their deadlines are a second after it.
    assert [(row.source_port, row.decided_ns) for row in rows] == [
        *[(port, at(11_063.5)) for port in (40_000, *range(1, 64))],
        (64, at(1_063)),
    ]
    assert [row.flow_ordinal for row in rows] == [*range(65)]
    # The memory of context begins anew with the clock.
    assert [row.context[0] for row in rows][-2:] == [63, 0]


def test_steps_need_64_packets_in_a_row_and_more_than_ten_seconds() -> None:
    def steps(*frames: Frame) -> int:
        table = ReferenceTable(FIVE_TUPLE)
        feed(table, *frames)
        return table.clock_steps

    late = [ask(k / 100, SYN, port=k + 1) for k in range(64)]
    assert steps(ask(20_000), *late) == 1
    assert steps(ask(20_000), *late[:63]) == 0
    assert steps(ask(20_000), *late[:63], ask(10_000), *late[:63]) == 0
    assert steps(ask(20_000), *late[:63], ask(9_999.999)) == 1
    assert steps(ask(20_000), *late, *late[1:]) == 1
    assert steps(ask(20_000), *late, ask(20_000), *late) == 2


def test_a_step_counts_evictions_anew() -> None:
    """After a step the first eviction is 16 packets away, as at the beginning."""
    table = ReferenceTable(FIVE_TUPLE, slots=16, evict_every=64)
    feed(table, ask(30_000))
    feed(table, *[Frame(at(0), udp_frame(ANN, k, WEB, 53)) for k in range(64)])
    assert table.clock_steps == 1
    assert (table.decoded, len(table.flows)) == (1, 1)
    feed(table, *[Frame(at(1), udp_frame(BEA, k, WEB, 53)) for k in range(62)])
    assert len(table.flows) == 63
    feed(table, Frame(at(1), udp_frame(BEA, 62, WEB, 53)))
    assert len(table.flows) == 12
