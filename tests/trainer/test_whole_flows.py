"""Totals of whole flows, against captures whose totals are worked out by hand."""

import numpy as np
import pytest
from frames import ACK, FIN, NANOS_LE, RST, SYN, tcp_frame, udp_frame, write_pcap

from sensor.errors import TruncatedCaptureError
from trainer.traffic.inputs import SCHEMA
from trainer.traffic.whole_flows import whole_flows

CLIENT, SERVER = "10.0.0.7", "192.0.2.1"


def capture(path, packets):
    packets = sorted(packets, key=lambda each: each[0])
    write_pcap(path, [frame for _, frame in packets], [time for time, _ in packets], NANOS_LE)
    return path


def tcp_packet(seconds, port, flags, size=0, *, back=False):
    ends = (CLIENT, port, SERVER, 443)
    ends = (*ends[2:], *ends[:2]) if back else ends
    return round(seconds * 1e9), tcp_frame(*ends, flags, bytes(size))


def udp_packet(seconds, port, size, *, back=False, ends=(CLIENT, SERVER)):
    both = (ends[0], port, ends[1], 443)
    both = (*both[2:], *both[:2]) if back else both
    return round(seconds * 1e9), udp_frame(*both, bytes(size))


def by_port(flows):
    return {
        int(port): row
        for row, port in enumerate(
            np.where(
                flows.rows.source_port == 443, flows.rows.destination_port, flows.rows.source_port
            )
        )
    }


def test_bytes_packets_and_duration_count_far_beyond_the_row(tmp_path):
    """100 datagrams of 28 + 72 and 28 + 972 bytes in turn, 0.1 s apart: 55,000 bytes in 9.9 s."""
    packets = [
        udp_packet(1_000 + 0.1 * k, 5_000, 72 if k % 2 == 0 else 972, back=k % 2 == 1)
        for k in range(100)
    ]
    flows = whole_flows(capture(tmp_path / "a.pcap", packets), SCHEMA)
    assert (len(flows.rows), flows.rows.length[0]) == (1, 60)
    ends = flows.ends
    assert (ends.packets.tolist(), ends.octets.tolist()) == ([[50, 50]], [[5_000, 50_000]])
    assert ends.duration_ns[0] == 9_900_000_000
    assert ends.bandwidth_bps[0] == pytest.approx(8 * 55_000 / 9.9)


def test_a_five_tuple_that_is_used_again_is_another_flow(tmp_path):
    """The second one begins after 121 s of silence; IPv6 flows of the same ports are apart."""
    packets = [udp_packet(1_000 + k, 5_000, 72) for k in range(10)]
    packets += [udp_packet(1_130 + 2 * k, 5_000, 172) for k in range(20)]
    packets += [udp_packet(1_000.5 + k, 5_000, 52, ends=("fd00::7", "fd00::1")) for k in range(9)]
    flows = whole_flows(capture(tmp_path / "a.pcap", packets), SCHEMA)
    assert np.array_equal(flows.rows.flow_start_ns, flows.ends.start_ns)
    assert flows.ends.packets.tolist() == [[10, 0], [9, 0], [20, 0]]
    assert flows.ends.octets[:, 0].tolist() == [1_000, 900, 4_000]
    assert (flows.ends.duration_ns // 10**9).tolist() == [9, 8, 38]
    # 1,009 + 120 lies before the end of the capture at 1,168, and so does 1,008.5 + 120
    assert flows.ends.whole.tolist() == [True, True, False]


def test_which_flows_are_whole(tmp_path):
    """By the end of each: the capture ends at 1,060 s, within 120 s of all last packets."""
    hello = [(SYN, False), (SYN | ACK, True), (ACK, False)]

    def connection(port, *more, opening=hello):
        each = [*opening, *more]
        return [
            tcp_packet(1_000 + 0.1 * k, port, flags, back=back)
            for k, (flags, back) in enumerate(each)
        ]

    packets = [
        *connection(1, (FIN | ACK, False), (FIN | ACK, True), (ACK, False)),
        *connection(2, (FIN | ACK, False), (ACK, True)),
        *connection(3, (ACK, False), (RST, True)),
        *connection(4, (ACK, False)),
        *connection(5, (FIN | ACK, False), (FIN | ACK, True), opening=[(ACK, False)]),
        udp_packet(1_060, 6, 10),
    ]
    flows = whole_flows(capture(tmp_path / "a.pcap", packets), SCHEMA)
    row = by_port(flows)
    found = {port: bool(flows.ends.whole[row[port]]) for port in range(1, 7)}
    assert found == {1: True, 2: False, 3: True, 4: False, 5: False, 6: False}
    # The acknowledgement behind the second FIN trails: neither row nor totals have it.
    assert flows.ends.packets[row[1]].tolist() == [3, 2]
    assert flows.rows.length[row[1]] == 5


def test_a_slow_flow_has_the_row_that_was_decided_last(tmp_path):
    """It is looked at after 10 s with 3 packets, and again at its end with all 8."""
    packets = [udp_packet(1_000 + 4 * k, 5_000, 10) for k in range(8)]
    flows = whole_flows(capture(tmp_path / "a.pcap", packets), SCHEMA)
    assert flows.rows.length.tolist() == [8]
    assert flows.ends.packets.tolist() == [[8, 0]]


def test_a_capture_that_ends_within_a_record_is_refused(tmp_path):
    path = capture(tmp_path / "a.pcap", [udp_packet(1_000 + k, 5_000, 10) for k in range(3)])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(TruncatedCaptureError, match=r"a\.pcap"):
        whole_flows(path, SCHEMA)
