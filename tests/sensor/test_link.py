"""Link headers by hand: every link type with both IP versions, and what is none."""

from dataclasses import replace

import numpy as np
import pytest
from blocks import block_of, packets_of
from decoding import DATAGRAM4, DATAGRAM6, PACKET4, PACKET6, outcome
from frames import IPV6, ethernet, sll, sll2
from reference import Frame

from sensor.capture import link_types
from sensor.capture.block import one_link_type
from sensor.packets.decode import Decoder
from sensor.packets.headers import OPTIONAL_TYPES

# link type, link header before IPv4, the same before IPv6
HEADERS = [
    (1, bytes(12) + b"\x08\x00", bytes(12) + b"\x86\xdd"),
    (113, bytes(14) + b"\x08\x00", bytes(14) + b"\x86\xdd"),
    (276, b"\x08\x00" + bytes(18), b"\x86\xdd" + bytes(18)),
    (0, b"\x02\0\0\0", b"\x0a\0\0\0"),
    (0, b"\x02\0\0\0", b"\x18\0\0\0"),
    (0, b"\0\0\0\x02", b"\0\0\0\x1c"),
    (0, b"\0\0\0\x02", b"\x1e\0\0\0"),
    (108, b"\0\0\0\x02", b"\0\0\0\x18"),
    (9, b"\0\x21", b"\0\x57"),
    (50, b"\x8f\0\x08\0", b"\0\x57"),
    (51, b"\x11\0\0\1\0\2\0\x21", b"\x11\0\0\1\0\2\0\x57"),
    (104, b"\x8f\0\x08\0", b"\x0f\0\x86\xdd"),
    (12, b"", b""),
    (14, b"", b""),
    (101, b"", b""),
]


@pytest.mark.parametrize(("link_type", "before4", "before6"), HEADERS)
def test_the_same_datagram_behind_every_header(link_type, before4, before6):
    assert outcome(before4 + DATAGRAM4, link_type) == PACKET4
    assert outcome(before6 + DATAGRAM6, link_type) == PACKET6
    for captured in range(len(before4) or 1):
        assert outcome(before4[:captured], link_type, wire_length=90) == "truncated_frame"
    for datagram, before in ((DATAGRAM4, before4), (DATAGRAM6, before6)):
        whole = before + datagram
        assert outcome(whole[: len(before) + 19], link_type, wire_length=90) == "truncated_ip"


def test_every_link_type_that_readers_let_through_is_decoded():
    assert {header[0] for header in HEADERS} | {228, 229} == link_types.DECODED


def test_types_that_state_the_version():
    assert outcome(DATAGRAM4, 228) == PACKET4
    assert outcome(DATAGRAM6, 229) == PACKET6
    assert outcome(DATAGRAM6, 228) == outcome(DATAGRAM4 + bytes(4), 229) == "ip_header"
    assert outcome(b"", 228) == outcome(b"", 229) == "truncated_ip"


@pytest.mark.parametrize("link_type", [2, 105, 127, 10_000, 65_535])
def test_other_link_types_are_counted(link_type):
    assert outcome(DATAGRAM4, link_type) == "link_type"


def test_raw_frames_of_neither_version():
    for first in (0x00, 0x30, 0x50, 0x70, 0xF5):
        assert outcome(bytes([first]) + DATAGRAM4[1:], 101) == "not_ip"


@pytest.mark.parametrize(
    ("link_type", "family"),
    [(0, b"\x03\0\0\0"), (0, b"\x02\0\0\x02"), (0, bytes(4)), (108, b"\x02\0\0\0")],
)
def test_other_address_families(link_type, family):
    assert outcome(family + DATAGRAM4, link_type) == "not_ip"


def test_cooked_frames_of_other_protocols():
    # 1 and 4 are IEEE 802.3 and 802.2 frames, whose LLC header is not followed here
    for protocol in (1, 4, 0x0806, 0x88CC):
        assert outcome(sll(b"\xaa\xaa\x03\0\0\0\x08\0" + DATAGRAM4, protocol), 113) == "not_ip"
        assert outcome(sll2(b"\xaa\xaa\x03\0\0\0\x08\0" + DATAGRAM4, protocol), 276) == "not_ip"


def test_link_length_is_not_part_of_the_packet():
    """A length that offload left at 0 is the wire length less all that lies before IP."""
    offloaded = DATAGRAM4[:2] + b"\0\0" + DATAGRAM4[4:]
    for link_type, before4, _ in HEADERS:
        packet = outcome(before4 + offloaded, link_type, wire_length=len(before4) + 3_000)
        assert packet == PACKET4._replace(ip_length=3_000, payload_length=3_000 - 28)


def test_link_types_mixed_in_a_block_and_the_column_that_repeats_one():
    frames = [
        Frame(k, before4 + DATAGRAM4, -1, kind) for k, (kind, before4, _) in enumerate(HEADERS)
    ]
    frames += [Frame(len(frames), DATAGRAM4, -1, 7), Frame(99, DATAGRAM6, -1, 229)]
    decoder = Decoder(OPTIONAL_TYPES)
    packets = packets_of(decoder.decode(block_of(frames)))
    assert packets == [(k, PACKET4) for k in range(len(HEADERS))] + [(99, PACKET6)]
    assert decoder.refused["link_type"] == 1

    block = block_of([Frame(k, ethernet(DATAGRAM6, IPV6)) for k in range(5)])
    for column in (one_link_type(1, 5), np.full(5, 1, np.uint16), np.full(10, 1, np.uint16)[::2]):
        packets = packets_of(Decoder(OPTIONAL_TYPES).decode(replace(block, link_type=column)))
        assert packets == [(k, PACKET6) for k in range(5)]
