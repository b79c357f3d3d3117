"""Tags, PPPoE and MPLS by hand: what is stripped, how deep, and where a capture may end."""

import pytest
from blocks import block_of, packets_of
from decoding import DATAGRAM4, DATAGRAM6, PACKET4, PACKET6, outcome
from frames import IPV4, IPV6, ethernet, mpls, pppoe, sll, sll2
from reference_decode import Frame

from sensor.packets.decode import Decoder
from sensor.packets.headers import OPTIONAL_TYPES

PPPOE, MPLS, MPLS_MULTICAST = 0x8864, 0x8847, 0x8848
TAGS = [(0x88A8, 5), (0x8100, 0xE006), (0x9100, 7)]


def cut_anywhere(frame: bytes, first: int, last: int, link_type: int = 1) -> set:
    """What becomes of a frame of which only `first` to `last` bytes are captured."""
    wire = len(frame)
    return {outcome(frame[:n], link_type, wire_length=wire) for n in range(first, last + 1)}


def test_two_tags_are_skipped_and_a_third_is_not():
    for depth, kind in enumerate(TAGS + TAGS[:1]):
        tags = [kind] * depth
        want = [PACKET4, PACKET6] if depth < 3 else ["vlan_depth"] * 2
        assert outcome(ethernet(DATAGRAM4, IPV4, tags)) == want[0]
        assert outcome(ethernet(DATAGRAM6, IPV6, tags)) == want[1]
    assert outcome(ethernet(DATAGRAM4, IPV4, TAGS[:2])) == PACKET4
    assert outcome(ethernet(DATAGRAM4, IPV4, TAGS)) == "vlan_depth"
    assert cut_anywhere(ethernet(DATAGRAM4, IPV4, TAGS[:2]), 0, 21) == {"truncated_frame"}
    assert cut_anywhere(ethernet(DATAGRAM4, IPV4, TAGS[:2]), 22, 41) == {"truncated_ip"}
    # the third tag need not be captured, as the second one announces it
    assert cut_anywhere(ethernet(DATAGRAM4, IPV4, TAGS), 22, 40) == {"vlan_depth"}


def test_tags_in_cooked_frames():
    tag = b"\0\5\x08\0"
    assert outcome(sll(tag + DATAGRAM4, 0x8100), 113) == PACKET4
    assert outcome(sll2(tag + DATAGRAM4, 0x8100), 276) == PACKET4
    assert cut_anywhere(sll(tag + DATAGRAM4, 0x8100), 16, 19, 113) == {"truncated_frame"}
    assert cut_anywhere(sll2(tag + DATAGRAM4, 0x8100), 20, 23, 276) == {"truncated_frame"}


@pytest.mark.parametrize("tpid", [0x8100, 0x88A8, 0x9100])
def test_the_tag_that_the_kernel_stripped_is_the_outer_one(tpid):
    """QinQ on a live link: the outer tag lies beside the frame, the inner one in it."""
    whole = ethernet(DATAGRAM4, IPV4, [(tpid, 5), (0x8100, 6)])
    assert outcome(whole) == outcome(whole[:12] + whole[16:], stripped=tpid) == PACKET4
    assert outcome(ethernet(DATAGRAM4), stripped=tpid) == PACKET4
    assert outcome(whole, stripped=tpid) == "vlan_depth"


def test_stripped_tags_are_counted_frame_by_frame():
    """In one block: a frame that ends inside its tag, one whose tag was stripped, one with both."""
    tagged = ethernet(DATAGRAM4, IPV4, TAGS[:1])
    twice = ethernet(DATAGRAM4, IPV4, TAGS[:2])
    frames = [tagged[:17], twice, ethernet(DATAGRAM4), tagged, twice, twice[:20]]
    block = block_of([Frame(k, frame, 99) for k, frame in enumerate(frames)])
    block.vlan_tpid[:] = [0x8100, 0, 0x8100, 0x8100, 0x8100, 0]
    decoder = Decoder(OPTIONAL_TYPES)
    packets = packets_of(decoder.decode(block))
    assert packets == [(1, PACKET4), (2, PACKET4), (3, PACKET4)]
    assert decoder.refused["vlan_depth"] == 1
    assert decoder.refused["truncated_frame"] == 2


def test_a_length_behind_a_tag_is_not_ip():
    llc = bytes.fromhex("aaaa030000000800")
    inside = ethernet(llc + DATAGRAM4, len(llc + DATAGRAM4))
    assert outcome(inside) == PACKET4
    assert outcome(inside, stripped=0x8100) == "not_ip"
    assert outcome(inside[:12] + b"\x81\0\0\5" + inside[12:]) == "not_ip"


def test_pppoe_sessions():
    assert outcome(ethernet(pppoe(DATAGRAM4), PPPOE)) == PACKET4
    assert outcome(ethernet(pppoe(DATAGRAM6, 0x0057), PPPOE, TAGS[:2])) == PACKET6
    assert outcome(sll(pppoe(DATAGRAM4), PPPOE), 113) == PACKET4
    assert outcome(ethernet(pppoe(mpls(DATAGRAM4, 2), 0x0281), PPPOE)) == PACKET4
    for protocol in (0xC021, 0x8021, 0x0283, 0x2100, 0x0800, 0x8100):
        assert outcome(ethernet(pppoe(DATAGRAM4, protocol), PPPOE)) == "not_ip"
    for first, code in ((0x21, 0), (0x12, 0), (0x11, 1), (0x11, 9), (0x11, 0xA7)):
        assert outcome(ethernet(pppoe(DATAGRAM4, first=first, code=code), PPPOE)) == "not_ip"
    assert outcome(ethernet(pppoe(DATAGRAM4), 0x8863)) == "not_ip"  # discovery
    assert cut_anywhere(ethernet(pppoe(DATAGRAM4), PPPOE), 14, 21) == {"truncated_frame"}
    assert cut_anywhere(ethernet(pppoe(DATAGRAM4, first=0), PPPOE), 14, 21) == {"truncated_frame"}
    assert cut_anywhere(ethernet(pppoe(DATAGRAM4), PPPOE), 22, 41) == {"truncated_ip"}


def test_eight_labels_are_skipped_and_a_ninth_is_not():
    for labels in range(1, 9):
        assert outcome(ethernet(mpls(DATAGRAM4, labels), MPLS)) == PACKET4
        assert outcome(ethernet(mpls(DATAGRAM6, labels), MPLS_MULTICAST)) == PACKET6
    assert outcome(ethernet(mpls(DATAGRAM4, 9), MPLS)) == "mpls_depth"
    assert outcome(ethernet(mpls(b"", 8, bottom=False), MPLS)) == "mpls_depth"
    assert outcome(ethernet(mpls(b"", 7, bottom=False), MPLS)) == "truncated_frame"


def test_where_a_label_stack_ends():
    frame = ethernet(mpls(DATAGRAM4, 3), MPLS)
    assert cut_anywhere(frame, 14, 26) == {"truncated_frame"}  # 26: behind the last label
    assert cut_anywhere(frame, 27, 45) == {"truncated_ip"}
    # a pseudowire's control word, and Ethernet in MPLS
    for behind in (bytes(4) + ethernet(DATAGRAM4), ethernet(DATAGRAM4), b"\x55" + DATAGRAM4[1:]):
        assert outcome(ethernet(mpls(behind), MPLS)) == "not_ip"


def test_all_of_them_together_at_the_end_of_what_a_block_guarantees():
    """SLL2, two tags, PPPoE, eight labels: 68 bytes, then the largest IP headers."""
    stack = b"\0\5\x81\0\0\6\x88\x64" + pppoe(mpls(DATAGRAM6, 8), 0x0281)
    frame = sll2(stack, 0x8100)
    assert len(frame) - len(DATAGRAM6) == 68
    assert outcome(frame, 276) == PACKET6
    assert cut_anywhere(frame, 0, 68, 276) == {"truncated_frame"}
    assert cut_anywhere(frame, 69, 107, 276) == {"truncated_ip"}
    offloaded = frame.replace(DATAGRAM6, DATAGRAM6[:4] + b"\0\0" + DATAGRAM6[6:])
    packet = outcome(offloaded, 276, wire_length=3_068)
    assert packet == PACKET6._replace(ip_length=3_000, payload_length=2_952)


def test_the_order_is_fixed():
    """Nothing else is looked for behind a session header or a label."""
    tagged = b"\0\5\x08\0" + DATAGRAM4
    assert outcome(ethernet(mpls(pppoe(DATAGRAM4)), MPLS)) == "not_ip"
    assert outcome(ethernet(pppoe(tagged, 0x8100), PPPOE)) == "not_ip"
    for ethertype in (0x0806, 0x88CC, 0x0000, 1_500, 1_501, 0x05FF, 0x9200, 0xFFFF):
        assert outcome(ethernet(DATAGRAM4, ethertype)) == "not_ip"
