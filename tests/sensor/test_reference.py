"""The reference table: hand-worked cases for each rule of flows and rows.

Times are in milliseconds from an arbitrary second on. With the default schema n is 16,
`decide_after` 1 s, the idle timeout 120 s, and a last repeated sequence needs 4 packets.
"""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import dpkt
import pytest
from frames import (
    ACK,
    FIN,
    RST,
    SYN,
    icmp_frame,
    pcap_bytes,
    tcp_frame,
    udp_frame,
)
from reference import (
    Frame,
    Packet,
    ReferenceTable,
    Row,
    read_pcap,
    reference_rows,
)

from sensor.model.schema import FeatureSchema

BASE_NS = 1_700_000_000_000_000_000
CLIENT, SERVER, OTHER = "10.0.0.1", "10.0.0.2", "10.0.0.3"
CLIENT6, SERVER6 = "2001:db8::1", "2001:db8::2"


def at(milliseconds: float) -> int:
    return BASE_NS + int(milliseconds * 1_000_000)


def forth(milliseconds: float, flags: int = ACK, payload: bytes = b"", port: int = 40_000) -> Frame:
    return Frame(at(milliseconds), tcp_frame(CLIENT, port, SERVER, 443, flags, payload))


def back(milliseconds: float, flags: int = ACK, payload: bytes = b"", port: int = 40_000) -> Frame:
    return Frame(at(milliseconds), tcp_frame(SERVER, 443, CLIENT, port, flags, payload))


def said(rows: list[Row]) -> list[tuple[int, int, int, int, str, float]]:
    """(ordinal, row, sequence, length, reason, decision in ms) of each row."""
    return [
        (
            row.flow_ordinal,
            row.row,
            row.sequence_index,
            row.length,
            row.end_reason,
            (row.decided_ns - BASE_NS) / 1_000_000,
        )
        for row in rows
    ]


def test_handshake_and_close_make_one_row() -> None:
    rows = reference_rows(
        [
            forth(0, SYN),
            back(10, SYN | ACK),
            forth(10.0019, ACK),
            forth(12, ACK, b"GET"),
            back(40, FIN | ACK, b"hello"),
            forth(41, FIN | ACK),
        ]
    )
    assert said(rows) == [(0, 0, 0, 6, "closed", 41)]
    (row,) = rows
    assert row.ip_length == [40, 40, 40, 43, 45, 40]
    assert row.payload_length == [0, 0, 0, 3, 5, 0]
    assert row.interarrival_us == [0, 10_000, 1, 1_998, 28_000, 1_000]
    assert row.direction == [1, -1, 1, 1, -1, 1]
    assert row.tcp_flags == [2, 18, 16, 16, 17, 17]
    assert (row.version, row.protocol, row.midstream) == (4, 6, False)
    assert (row.source, row.source_port) == (int(IPv4Address(CLIENT)), 40_000)
    assert (row.destination, row.destination_port) == (int(IPv4Address(SERVER)), 443)
    assert (row.flow_start_ns, row.first_packet_ns, row.last_packet_ns) == (at(0), at(0), at(41))
    assert row.flow_packets == 6


def test_originator_is_inverted_by_a_syn_ack_and_midstream_is_marked() -> None:
    rows = reference_rows([back(0, SYN | ACK), forth(1), forth(2, ACK, port=40_001)])
    assert [(row.source_port, row.midstream) for row in rows] == [(40_000, False), (40_001, True)]
    assert rows[0].direction == [-1, 1]


def test_early_row_then_the_rest() -> None:
    rows = reference_rows([forth(0, SYN), forth(500), forth(1_000), forth(1_000.1), forth(1_001)])
    # At 1,000 ms the deadline has not passed (T > D); at 1,000.1 it has, before that packet.
    assert said(rows) == [(0, 0, 0, 3, "early", 1_000), (0, 1, 0, 5, "idle", 121_001)]
    assert [row.flow_packets for row in rows] == [3, 5]


def test_early_row_is_not_repeated_when_nothing_was_added() -> None:
    assert said(reference_rows([forth(0, SYN)])) == [(0, 0, 0, 1, "early", 1_000)]
    closed = reference_rows([forth(0, SYN), back(1, RST | ACK), forth(5_000, port=1)])
    assert said(closed)[0] == (0, 0, 0, 2, "closed", 1)
    assert len(closed) == 2


def test_first_packet_may_close() -> None:
    assert said(reference_rows([back(7, RST)])) == [(0, 0, 0, 1, "closed", 7)]


def test_trailing_packets_enter_nothing_but_keep_the_flow() -> None:
    frames = [forth(0, SYN), forth(1, FIN), back(2, FIN | ACK), forth(3), forth(100_000)]
    # The trailing packet at 100 s keeps the closed flow until 220 s, so 219 s is trailing too …
    rows = reference_rows([*frames, forth(219_000)])
    assert said(rows) == [(0, 0, 0, 3, "closed", 2)]
    # … and after 219 s + 120 s without a packet it is a new, midstream flow.
    rows = reference_rows([*frames, forth(219_000), forth(339_000), forth(459_000.001)])
    assert said(rows) == [(0, 0, 0, 3, "closed", 2), (1, 0, 0, 1, "early", 460_000.001)]


def test_syn_after_close_reuses_the_ports_within_the_timeout() -> None:
    rows = reference_rows(
        [forth(0, SYN), back(1, RST | ACK), back(2, SYN | ACK), forth(3, SYN), forth(4, SYN)]
    )
    # A SYN-ACK after the close is trailing; a SYN retransmission belongs to the new flow.
    assert said(rows) == [(0, 0, 0, 2, "closed", 1), (1, 0, 0, 2, "early", 1_003)]
    assert [row.context[0] for row in rows] == [0, 1]


def test_idle_gap_splits_only_beyond_the_timeout() -> None:
    rows = reference_rows([forth(0, SYN), forth(120_000), forth(240_000.001)])
    assert said(rows) == [
        (0, 0, 0, 1, "early", 1_000),
        (0, 1, 0, 2, "idle", 240_000),
        (1, 0, 0, 1, "early", 241_000.001),
    ]
    assert rows[1].interarrival_us == [0, 60_000_000]
    assert rows[2].midstream


def test_clock_never_runs_backwards() -> None:
    rows = reference_rows([forth(100, SYN), forth(50), forth(90), forth(103.5)])
    assert rows[0].interarrival_us == [0, 0, 0, 3_500]
    assert rows[0].last_packet_ns == at(103.5)
    # A late first packet sets its deadlines on the clock, not on its own time.
    late = reference_rows([forth(100, SYN), forth(50, SYN, port=1)])
    assert said(late) == [(0, 0, 0, 1, "early", 1_100), (1, 0, 0, 1, "early", 1_100)]
    assert late[1].flow_start_ns == at(50)


def test_rows_of_one_instant_stand_by_ordinal() -> None:
    frames = [forth(0, SYN, port=port) for port in (3, 1, 2)]
    frames += [back(5, RST, port=port) for port in (2, 1, 3)]
    assert [row.source_port for row in reference_rows(frames)] == [3, 1, 2]


def test_repeat_sequences_and_the_partial_last_one() -> None:
    def lengths(packets: int, **changes: object) -> list[tuple[int, int, str]]:
        frames = [forth(k) for k in range(packets)]
        rows = reference_rows(frames, FeatureSchema(**changes))  # type: ignore[arg-type]
        return [(row.sequence_index, row.length, row.end_reason) for row in rows]

    assert lengths(16) == [(0, 16, "full")]
    assert lengths(35) == [(0, 16, "full"), (1, 16, "full")]
    assert lengths(36) == [(0, 16, "full"), (1, 16, "full"), (2, 4, "idle")]
    assert lengths(36, policies=("first",)) == [(0, 16, "full")]
    short = {"lengths": (4,), "repeat_all": 3, "repeat_min_packets": 1}
    # Sequences 0 to 2, then the powers of two; the partial last one only if it is one of them.
    assert [index for index, *_ in lengths(4 * 20, **short)] == [0, 1, 2, 4, 8, 16]
    assert lengths(4 * 7 + 2, **short)[-1] == (4, 4, "full")
    assert lengths(4 * 8 + 2, **short)[-1] == (8, 2, "idle")


def test_sequence_boundaries_keep_the_gap_and_count_packets() -> None:
    rows = reference_rows([forth(2 * k) for k in range(16)] + [forth(37 + k) for k in range(4)])
    assert rows[1].interarrival_us == [7_000, 1_000, 1_000, 1_000]
    assert [row.flow_packets for row in rows] == [16, 20]
    assert (rows[1].first_packet_ns, rows[1].last_packet_ns) == (at(37), at(40))
    assert rows[1].flow_start_ns == at(0)


def test_closing_packet_that_fills_is_full() -> None:
    rows = reference_rows([*(forth(k) for k in range(15)), forth(15, RST)])
    assert said(rows) == [(0, 0, 0, 16, "full", 15)]
    rows = reference_rows([*(forth(k) for k in range(18)), forth(18, RST)])
    assert said(rows) == [(0, 0, 0, 16, "full", 15)]
    rows = reference_rows([*(forth(k) for k in range(19)), forth(19, RST)])
    assert said(rows)[1] == (0, 1, 1, 4, "closed", 19)


def test_early_then_full() -> None:
    rows = reference_rows([forth(100 * k) for k in range(16)])
    # The packet at 1,000 ms is in: its deadline has passed only at 1,100 ms.
    assert said(rows) == [(0, 0, 0, 11, "early", 1_000), (0, 1, 0, 16, "full", 1_500)]


def test_context_counts_flows_that_began_before_in_packet_order() -> None:
    frames = [
        Frame(at(0), udp_frame(CLIENT, 1, SERVER, 53)),
        Frame(at(0), udp_frame(CLIENT, 2, SERVER, 53)),  # the same instant counts
        Frame(at(1), udp_frame(OTHER, 3, SERVER, 53)),
        Frame(at(2), udp_frame(CLIENT, 4, SERVER, 54)),
        Frame(at(1_001), udp_frame(CLIENT, 5, SERVER, 53)),  # 1 s after 1 ms: that one is out
        Frame(at(1_001), udp_frame(CLIENT, 5, SERVER, 53)),  # no new flow
        Frame(at(10_000), tcp_frame(SERVER, 53, CLIENT, 6, SYN | ACK)),  # a flow to SERVER:53, TCP
    ]
    rows = sorted(reference_rows(frames), key=lambda row: (row.flow_ordinal, row.row))
    context = {row.flow_ordinal: row.context for row in rows}
    assert context == {  # srv 1 s, 10 s; src 1 s, 10 s; dst 1 s, 10 s
        0: [0, 0, 0, 0, 0, 0],
        1: [1, 1, 1, 1, 1, 1],
        2: [2, 2, 0, 0, 2, 2],
        3: [0, 0, 2, 2, 3, 3],
        4: [0, 3, 1, 3, 1, 4],
        5: [0, 0, 0, 2, 0, 3],
    }
    assert not any(row.context_saturated for row in rows)


def test_context_of_a_memory_that_is_too_small() -> None:
    table = ReferenceTable(FeatureSchema(), memory=2)
    for index, milliseconds in enumerate((0, 1, 2, 3, 10_002, 10_003, 10_004)):
        packet = Frame(0, udp_frame(CLIENT, index, SERVER, 53)).decode()
        assert isinstance(packet, Packet)
        table.packet(at(milliseconds), packet)
    rows = sorted(table.finish(), key=lambda row: row.flow_ordinal)
    # Flow 3 forgot flow 0 of its window; flow 4 (window from 2 ms on, exclusive) needs only
    # flow 3; flow 5 (from 3 ms on, exclusive) needs only flow 4.
    assert [row.context_saturated for row in rows] == [False] * 3 + [True] + [False] * 3
    assert [row.context[1] for row in rows] == [0, 1, 2, 2, 1, 1, 2]


def feed(table: ReferenceTable, frames: list[Frame]) -> list[tuple[int, str]]:
    """(port, reason) of the rows after `frames`, in the order in which they were decided."""
    for frame in frames:
        packet = frame.decode()
        assert isinstance(packet, Packet)
        table.packet(frame.time_ns, packet)
    return [(row.source_port, row.end_reason) for row in table.rows]


def test_eviction_takes_flows_on_probation_by_age() -> None:
    table = ReferenceTable(FeatureSchema(), slots=16, evict_every=16)
    frames = []
    for port in (1, 2, 3):
        frames += [forth(port, SYN, port=port), back(port, port=port), forth(port, port=port)]
    frames += [forth(10, SYN, port=port) for port in range(4, 11)]
    # 16 packets, 10 flows: a quarter of the slots is free.
    assert feed(table, frames) == []
    frames = [forth(20, SYN, port=4)] * 5  # many packets, but from one side only
    frames += [back(21, port=5), forth(21, port=5), *[forth(22, port=3)] * 3]  # 5 is answered
    frames += [forth(23, SYN, port=port) for port in range(11, 17)]
    evicted = [(port, "evicted") for port in (4, 6, 7, 8)]
    assert feed(table, frames) == evicted
    assert len(table.flows) == 12


def test_two_packets_are_probation_and_three_are_not() -> None:
    table = ReferenceTable(FeatureSchema(), slots=16, evict_every=16)
    frames = [forth(1, SYN, port=1), back(2, port=1), forth(3, port=1)]
    frames += [forth(4, SYN, port=2), back(5, port=2)]
    frames += [forth(6, SYN, port=port) for port in range(3, 14)]
    assert feed(table, frames) == [(2, "evicted")]


def test_early_and_idle_at_once() -> None:
    both = FeatureSchema(decide_after_ms=1_000, idle_timeout_ms=1_000)
    assert said(reference_rows([forth(0, SYN)], both)) == [(0, 0, 0, 1, "early", 1_000)]
    sooner = FeatureSchema(decide_after_ms=1_001, idle_timeout_ms=1_000)
    assert said(reference_rows([forth(0, SYN)], sooner)) == [(0, 0, 0, 1, "idle", 1_000)]


def test_eviction_of_the_longest_silent_after_closed_flows() -> None:
    table = ReferenceTable(FeatureSchema(), slots=16, evict_every=64)
    silent_since = {port: 100 - port // 2 for port in range(1, 17)}
    frames = []
    for port, last in silent_since.items():
        frames += [forth(1, SYN, port=port), back(2, port=port), forth(3, port=port)]
        frames += [forth(last, RST if port == 1 else ACK, port=port)]
    frames.sort(key=lambda frame: frame.time_ns)
    # Flow 1 is closed: it goes first, without a row, though heard last. Then 92, 93 (14 before
    # 15, by ordinal), 93.
    expected = [(1, "closed"), (16, "evicted"), (14, "evicted"), (15, "evicted")]
    assert feed(table, frames) == expected
    assert len(table.flows) == 12


@pytest.mark.parametrize(
    ("kind", "answer", "ports"),
    [(8, 0, (8, 0)), (13, 14, (13, 14)), (15, 16, (15, 16)), (17, 18, (17, 18)), (10, 9, (10, 9))],
)
def test_icmp_request_and_reply_are_one_flow(
    kind: int, answer: int, ports: tuple[int, int]
) -> None:
    request = Frame(at(0), icmp_frame(CLIENT, SERVER, kind))
    reply = Frame(at(1), icmp_frame(SERVER, CLIENT, answer))
    (row,) = reference_rows([request, reply])
    assert (row.source_port, row.destination_port) == ports
    assert row.direction == [1, -1]


def test_one_way_icmp_has_type_and_code() -> None:
    unreachable = icmp_frame(SERVER, CLIENT, 3, 1, payload=bytes(28))
    (row,) = reference_rows([Frame(at(0), unreachable)])
    assert (row.source_port, row.destination_port, row.payload_length) == (3, 1, [28])
    echo6 = Frame(at(0), icmp_frame(CLIENT6, SERVER6, 128, payload=b"12345"))
    reply6 = Frame(at(1), icmp_frame(SERVER6, CLIENT6, 129))
    (row,) = reference_rows([echo6, reply6])
    assert (row.source_port, row.destination_port) == (128, 129)
    assert (row.payload_length, row.source) == ([5, 0], int(IPv6Address(CLIENT6)))


def test_pcap_reader_agrees_with_dpkt(tmp_path: Path) -> None:
    frames = [forth(0.001), forth(1.5), back(2, payload=b"x" * 100)]
    for index, magic in enumerate(("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d")):
        path = tmp_path / f"{index}.pcap"
        times = [frame.time_ns for frame in frames]
        octets = pcap_bytes([f.octets for f in frames], times, bytes.fromhex(magic), snaplen=80)
        path.write_bytes(octets + b"\0" * 10)
        mine = list(read_pcap(path))
        path.write_bytes(octets)
        with path.open("rb") as file:
            theirs = list(dpkt.pcap.Reader(file))
        assert [frame.octets for frame in mine] == [octets for _, octets in theirs]
        assert [frame.time_ns for frame in mine] == times
        assert [frame.wire_length for frame in mine] == [len(f.octets) for f in frames]
