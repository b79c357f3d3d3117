"""Transport headers by hand: what must be there, ports, payload and flags."""

import pytest
from decoding import CLIENT, CLIENT6, PACKET4, PACKET6, SERVER, SERVER6, outcome
from frames import ACK, FIN, PSH, SYN, ethernet, icmp, ip_frame, ipv4, tcp, udp

ENDS = {4: (CLIENT, SERVER), 6: (CLIENT6, SERVER6)}
IP_BYTES = {4: 20, 6: 40}

TWO_WAY = {
    1: {8: 0, 13: 14, 15: 16, 17: 18, 10: 9},
    58: {128: 129, 130: 131, 133: 134, 135: 136, 139: 140, 144: 145},
}
"""Community ID specification: messages and the ones that answer them."""


WINDOW = 8_192
"""Of every segment that `frames.tcp` builds, if it is given no other."""


def packet(version: int, segment: bytes, protocol: int, cut: int = 0):
    """What a whole frame is decoded to, or one that lacks its last bytes."""
    frame = ip_frame(segment, protocol, *ENDS[version])
    return outcome(frame[: len(frame) - cut], wire_length=len(frame))


def expected(version: int, protocol: int, ports: tuple[int, int], size: int, payload: int, flags=0):
    whole = (PACKET4 if version == 4 else PACKET6)._replace(tcp_flags=flags)
    whole = whole._replace(tcp_window=WINDOW if protocol == 6 else 0)
    return whole._replace(
        protocol=protocol,
        source_port=ports[0],
        destination_port=ports[1],
        ip_length=IP_BYTES[version] + size,
        payload_length=payload,
    )


@pytest.mark.parametrize("version", [4, 6])
def test_tcp(version):
    for flags in (SYN, SYN | ACK, FIN | PSH | ACK, 0xC2, 0xFF):
        segment = tcp(CLIENT, 40_000, SERVER, 443, flags, b"hello")
        assert packet(version, segment, 6) == expected(version, 6, (40_000, 443), 25, 5, flags)
        assert packet(version, segment, 6, cut=5) == packet(version, segment, 6)
        assert packet(version, segment, 6, cut=6) == "truncated_transport"
    # NS and the reserved bits are no part of the flags
    odd = segment[:12] + b"\x5f" + segment[13:]
    assert packet(version, odd, 6).tcp_flags == 0xFF
    for window in (0, 1, 0xFF, 0xFF00, 0xFFFF):
        segment = tcp(CLIENT, 1, SERVER, 2, ACK, window=window)
        assert packet(version, segment, 6).tcp_window == window
    options = tcp(CLIENT, 1, SERVER, 2, ACK, b"hello", options=b"\x01" * 40)
    assert packet(version, options, 6) == expected(version, 6, (1, 2), 65, 5, ACK)
    assert packet(version, options, 6, cut=45) == expected(version, 6, (1, 2), 65, 5, ACK)


@pytest.mark.parametrize("version", [4, 6])
def test_tcp_data_offset(version):
    segment = tcp(CLIENT, 1, SERVER, 2, ACK, b"12345678")
    for words, payload in ((5, 8), (6, 4), (7, 0), (4, None), (0, None), (8, None), (15, None)):
        odd = segment[:12] + bytes([words << 4]) + segment[13:]
        found = packet(version, odd, 6)
        if payload is None:
            assert found == "truncated_transport"
        else:
            assert found == expected(version, 6, (1, 2), 28, payload, ACK)


@pytest.mark.parametrize("version", [4, 6])
def test_udp_and_sctp(version):
    assert packet(version, udp(CLIENT, 5, SERVER, 6, b"abc"), 17) == expected(
        version, 17, (5, 6), 11, 3
    )
    lying = b"\0\5\0\6\0\x01\0\0abc"  # the UDP length is not read
    assert packet(version, lying, 17) == expected(version, 17, (5, 6), 11, 3)
    assert packet(version, lying[:8], 17) == expected(version, 17, (5, 6), 8, 0)
    assert packet(version, lying[:7], 17) == "truncated_transport"
    sctp = b"\x0b\x59\x0b\x5a" + bytes(8) + b"chunk..."
    assert packet(version, sctp, 132) == expected(version, 132, (2_905, 2_906), 20, 8)
    assert packet(version, sctp, 132, cut=8) == expected(version, 132, (2_905, 2_906), 20, 8)
    assert packet(version, sctp, 132, cut=9) == "truncated_transport"
    assert packet(version, sctp[:11], 132) == "truncated_transport"


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [1, 58])
def test_icmp_messages_and_their_counterparts(version, protocol):
    pairs = TWO_WAY[protocol] | {b: a for a, b in TWO_WAY[protocol].items()}
    for kind in range(256):
        message = icmp(kind, 3, payload=b"abcd")
        want = (kind, pairs.get(kind, 3))
        assert packet(version, message, protocol) == expected(version, protocol, want, 12, 4)
    assert packet(version, message[:4], protocol) == expected(version, protocol, (255, 3), 4, 0)
    assert packet(version, message[:3], protocol) == "truncated_transport"
    assert packet(version, message, protocol, cut=8) == expected(version, protocol, (255, 3), 12, 4)
    assert packet(version, message, protocol, cut=9) == "truncated_transport"


@pytest.mark.parametrize("version", [4, 6])
def test_protocols_without_ports(version):
    for protocol in (2, 47, 50, 89, 103, 112, 136, 255):
        assert packet(version, b"\1\2\3\4\5", protocol) == expected(version, protocol, (0, 0), 5, 5)
        assert packet(version, b"", protocol) == expected(version, protocol, (0, 0), 0, 0)
        assert packet(version, b"\1\2\3\4\5", protocol, cut=5).payload_length == 5


def test_a_header_lies_within_the_stated_length_too():
    segment = tcp(CLIENT, 1, SERVER, 2, ACK, b"12345678")
    for stated, want in ((39, None), (40, 0), (44, 4)):
        found = outcome(ethernet(ipv4(segment, 6, CLIENT, SERVER, total_length=stated)))
        assert (found if want is None else found.payload_length) == (
            "truncated_transport" if want is None else want
        )
    datagram = udp(CLIENT, 1, SERVER, 2, b"12345678")
    for stated, want in ((27, None), (28, 0), (30, 2)):
        found = outcome(ethernet(ipv4(datagram, 17, CLIENT, SERVER, total_length=stated)))
        assert (found if want is None else found.payload_length) == (
            "truncated_transport" if want is None else want
        )
