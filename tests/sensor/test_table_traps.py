"""What flow meters get wrong, one trap a test, at every way of cutting the packets into blocks.

Times are milliseconds; the client asks from port 40,000, the server answers from 443.
"""

from blocks import headers_of
from reference import rows_of
from reference_decode import Packet
from traffic import ACK, FIN, RST, SYN

from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema

START = 1_700_000_000 * 10**9
SCHEMA = FeatureSchema(decide_after_ms=3_600_000)
"""Without early rows, so that each flow has one row of its first packets."""


def out(milliseconds, flags=ACK):
    packet = Packet(4, 6, 0x0A000001, 0x0A000002, 40_000, 443, 60, 20, flags)
    return START + int(milliseconds * 1_000_000), packet


def back(milliseconds, flags=ACK):
    packet = Packet(4, 6, 0x0A000002, 0x0A000001, 443, 40_000, 60, 20, flags)
    return START + int(milliseconds * 1_000_000), packet


def flows(*packets):
    """(directions, end, decided after) of each flow, and the table."""
    found = []
    for size in range(1, len(packets) + 1):
        table, rows = FlowTable(SCHEMA), []
        for start in range(0, len(packets), size):
            rows += rows_of(table.add(headers_of(packets[start : start + size])))
        for batch in table.finish():
            rows += rows_of(batch)
        rows.sort(key=lambda row: row.flow_ordinal)
        found.append((rows, table.trailing, table.flows))
    assert all(each == found[0] for each in found)
    rows, trailing, _ = found[0]
    said = [(row.direction, row.end_reason, (row.decided_ns - START) / 1e6) for row in rows]
    return said, rows, trailing


def test_a_port_that_is_reused_after_rst_or_both_fins_begins_a_flow():
    for close in ((out(1, RST),), (out(1, FIN | ACK), back(1, FIN | ACK))):
        said, rows, trailing = flows(out(0, SYN), *close, out(2, SYN), back(3, SYN | ACK))
        assert [reason for _, reason, _ in said] == ["closed", "idle"]
        assert said[0][2] == 1
        assert said[1][0] == [1, -1]
        assert rows[1].interarrival_us == [0, 1_000]
        assert trailing == 0


def test_a_syn_that_is_sent_again_begins_none():
    said, rows, _ = flows(out(0, SYN), out(1_000, SYN), back(1_001, SYN | ACK), out(1_002, SYN))
    assert [directions for directions, *_ in said] == [[1, 1, -1, 1]]
    assert rows[0].interarrival_us == [0, 1_000_000, 1_000, 1_000]


def test_a_syn_after_one_fin_begins_none():
    said, *_ = flows(out(0, SYN), out(1, FIN), out(2, FIN), out(3, SYN))
    assert [directions for directions, *_ in said] == [[1, 1, 1, 1]]


def test_an_idle_gap_inside_a_block_splits_there_and_not_a_nanosecond_earlier():
    same, _, _ = flows(out(0), back(120_000))
    assert [directions for directions, *_ in same] == [[1, -1]]
    split, rows, _ = flows(out(0), back(120_000.000001))
    # who answers first in the second flow begins it
    assert split[0] == ([1], "idle", 120_000)
    assert split[1][0] == [1]
    assert (rows[1].source_port, rows[1].interarrival_us) == (443, [0])


def test_what_trails_a_close_is_no_flow_and_keeps_the_closed_one_from_ending():
    said, _, trailing = flows(out(0, SYN), back(1, RST), out(2), back(3), back(100_000, SYN | ACK))
    assert said == [([1, -1], "closed", 1)]
    assert trailing == 3
    # the trailing packet at 100 s has kept it: 120 s after it a packet still trails
    said, _, trailing = flows(out(0, SYN), back(1, RST), out(100_000), out(220_000), out(340_001))
    assert [reason for _, reason, _ in said] == ["closed", "idle"]
    assert trailing == 2


def test_the_client_of_a_syn_ack_originates_and_a_flow_without_syn_is_midstream():
    said, rows, _ = flows(back(0, SYN | ACK), out(1))
    assert said[0][0] == [-1, 1]
    assert (rows[0].source_port, rows[0].midstream) == (40_000, False)
    _, rows, _ = flows(back(0), out(1))
    assert (rows[0].source_port, rows[0].midstream) == (443, True)


def test_times_out_of_order_are_never_negative_and_the_greatest_counts():
    _, rows, _ = flows(out(10), back(5), out(12), out(11), back(12.0005))
    assert rows[0].interarrival_us == [0, 0, 2_000, 0, 0]
    _, rows, _ = flows(out(10), back(5), back(10.0019))
    assert rows[0].interarrival_us == [0, 0, 1]


def test_a_gap_is_cut_off_at_a_minute():
    _, rows, _ = flows(out(0), out(59_999.999), out(119_999.999), out(200_000))
    assert rows[0].interarrival_us == [0, 59_999_999, 60_000_000, 60_000_000]
