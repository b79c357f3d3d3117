"""The kernel's cut-off: what it lets through, and that rows are those of all packets."""

import contextlib
import random
from dataclasses import fields

import frames
import netns
import numpy as np
import pytest

from sensor.capture.cutoff import CutOff
from sensor.capture.ring import SNAP_BYTES, Ring
from sensor.errors import HostError
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import assemble

pytestmark = pytest.mark.network

N = 16
HOUR_MS = 3_600_000
HOUR_NS = HOUR_MS * 1_000_000
FIRST = FeatureSchema(policies=("first",))

ENDS = ("10.0.0.1", 1000, "10.0.0.2", 53)
UDP = frames.udp_frame(*ENDS, bytes(20))
ACK = frames.tcp_frame(*ENDS, frames.ACK, bytes(20))
SIX = frames.tcp_frame("2001:db8::1", 7, "2001:db8::2", 8, frames.ACK, bytes(20))


def cut_off(idle_timeout_ms=2 * HOUR_MS, every_ns=HOUR_NS):
    return contextlib.closing(CutOff(N, idle_timeout_ms, SNAP_BYTES, every_ns))


@pytest.fixture(scope="module")
def cable():
    with netns.link() as cable:
        yield cable


@contextlib.contextmanager
def ring_of(cable, **options):
    with netns.inside(cable.far):
        ring = Ring(cable.port, timeout_ms=20, **options)
    with contextlib.closing(ring):
        yield ring


def passed(cable, sent, cutting):
    """How many frames come through."""
    with cutting as cut, ring_of(cable, cut_off=cut) as ring:
        netns.play(cable.near, cable.port, sent)
        ring.stop()
        for _ in ring:
            pass
    assert ring.counters.packets + ring.counters.cut == len(sent)
    return ring.counters.packets


@pytest.mark.parametrize(
    "frame",
    [UDP, ACK, SIX, frames.udp_frame(*ENDS, bytes(20), [(0x8100, 7)])],
    ids=["udp", "tcp", "ipv6", "vlan"],
)
def test_first_packets_of_a_connection_come_through(cable, frame):
    assert passed(cable, [frame] * 100, cut_off()) == N


def test_connections_are_counted_with_both_directions(cable):
    """Ends that differ in an address, in a port alone, or in nothing; UDP and TCP apart."""
    pairs = [
        (ENDS, ENDS[2:] + ENDS[:2]),
        (("10.0.0.1", 1001, "10.0.0.2", 53), ("10.0.0.2", 53, "10.0.0.1", 1001)),
        (("10.0.0.9", 7, "10.0.0.9", 8), ("10.0.0.9", 8, "10.0.0.9", 7)),
        (("10.0.0.9", 7, "10.0.0.9", 7), ("10.0.0.9", 7, "10.0.0.9", 7)),
        (("2001:db8::2", 7, "2001:db8::1", 8), ("2001:db8::1", 8, "2001:db8::2", 7)),
        (("2001:db8:0:1::1", 7, "2001:db8::2", 8), ("2001:db8::2", 8, "2001:db8:0:1::1", 7)),
    ]
    sent = [frames.udp_frame(*ends, bytes(20)) for pair in pairs for ends in pair]
    sent += [frames.tcp_frame(*ends, frames.ACK, bytes(20)) for pair in pairs for ends in pair]
    assert passed(cable, sent * 20, cut_off()) == 2 * len(pairs) * N


@pytest.mark.parametrize("flags", [frames.SYN | frames.ACK, frames.FIN | frames.ACK, frames.RST])
def test_flags_that_a_flow_ends_with_always_come_through(cable, flags):
    other = frames.tcp_frame(*ENDS, flags)
    assert passed(cable, [ACK] * 40 + [other] * 30 + [ACK] * 30, cut_off()) == N + 30


def test_syn_begins_anew(cable):
    assert (
        passed(cable, [*[ACK] * 40, frames.tcp_frame(*ENDS, frames.SYN), *[ACK] * 40], cut_off())
        == 2 * N
    )


def test_silence_begins_anew_and_a_packet_comes_through_now_and_then(cable):
    assert passed(cable, [UDP] * 100, cut_off(idle_timeout_ms=0)) == 100
    assert passed(cable, [UDP] * 100, cut_off(every_ns=0)) == 100


def bent(frame, at, value):
    return frame[:at] + bytes([value]) + frame[at + 1 :]


@pytest.mark.parametrize(
    "frame",
    [
        bent(UDP, 20, 0x20),  # a first fragment
        bent(UDP, 21, 0x08),  # a later one
        bent(UDP, 17, 27),  # a total length without room for its header
        bent(ACK, 17, 39),
        bent(ACK, 46, 0x40),  # a data offset of 16 bytes
        bent(ACK, 46, 0xF0),  # and of 60, which is more than there is
        bent(UDP, 14, 0x46),  # options
        bent(UDP, 23, 1),  # ICMP
        bent(UDP, 23, 132),  # SCTP
        bent(SIX, 20, 0),  # an extension header
        bent(SIX, 19, 19),
        frames.udp_frame(*ENDS, bytes(20), [(0x88A8, 1), (0x8100, 2)]),
        frames.arp_frame("10.0.0.1", "10.0.0.2"),
    ],
    ids=range(13),
)
def test_what_is_not_plain_comes_through_and_is_not_counted(cable, frame):
    behind = ACK if frame[23] == 6 else SIX if frame[12:14] == b"\x86\xdd" else UDP
    assert passed(cable, [frame] * 40 + [behind] * 40, cut_off()) == 40 + N


def test_missing_capability_is_a_reason():
    from test_pcap import unprivileged

    with unprivileged(), pytest.raises(HostError, match="not permitted"):
        CutOff(N, HOUR_MS, SNAP_BYTES)


def conversations():
    """Connections of both versions that close, are opened again, or stay open, interleaved."""
    rng = random.Random(3)
    sent = []
    for number in range(60):
        ends = (f"10.2.0.{number + 1}", 30_000 + number, "10.0.0.3", 8883)
        if number % 3 == 0:
            ends = (f"2001:db8::{number}", 30_000 + number, "2001:db8::3", 8883)
        for again in range(2):
            for k in range(rng.choice([3, 16, 17, 40, 200])):
                path = ends if rng.random() < 0.5 or k == 0 else ends[2:] + ends[:2]
                flags = frames.SYN if k == 0 else frames.ACK
                payload = bytes(rng.randrange(200))
                made = (
                    frames.udp_frame(*path, payload)
                    if number % 4 == 0
                    else frames.tcp_frame(*path, flags, payload)
                )
                sent.append((again * 1000 + number + k * 5, made))
            if number % 4 and (number % 2 or not again):
                sent.append((again * 1000 + 995, frames.tcp_frame(*ends, frames.RST)))
    return [frame for _, frame in sorted(sent, key=lambda entry: entry[0])]


def rows(ring):
    """Rows without times and what follows from them, in order of flow and row."""
    batch = SequenceBatch.concatenate([*assemble(ring, Decoder(), FlowTable(FIRST))])
    order = np.lexsort((batch.row, batch.flow_ordinal))
    names = [entry.name for entry in fields(batch)]
    about_time = ("_ns", "_us", "_1s", "_10s", "saturated", "flow_id", "end_reason", "row")
    return {
        name: getattr(batch, name)[order].tolist()
        for name in names
        if not name.endswith(about_time)
    }


def test_rows_are_those_of_all_packets(cable):
    sent = conversations()
    with (
        contextlib.closing(CutOff(N, FIRST.idle_timeout_ms, SNAP_BYTES)) as cut,
        ring_of(cable) as whole,
        ring_of(cable, cut_off=cut) as ring,
    ):
        netns.play(cable.near, cable.port, sent)
        found = []
        for each in (whole, ring):
            each.stop()
            found.append(rows(each))
    assert ring.counters.kernel_drops == whole.counters.kernel_drops == 0
    assert ring.counters.packets + ring.counters.cut == whole.counters.packets == len(sent)
    assert ring.counters.packets < 0.6 * len(sent)
    assert len(found[0]["length"]) > 100
    assert found[0] == found[1]
