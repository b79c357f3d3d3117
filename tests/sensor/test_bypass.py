"""Frames that leave an interface past everybody who captures, as those of an offload do."""

import contextlib
import socket

import frames
import netns
import pytest

from sensor.alerts.sinks import EventLog
from sensor.capture.block import CaptureCounters
from sensor.capture.bypass import Bypass
from sensor.capture.ring import Ring
from sensor.service.lanes import Detecting, build_lanes
from sensor.service.live import Attendant
from sensor.service.run import Run
from sensor.service.signals import Signals

pytestmark = pytest.mark.network

SEGMENT = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=bytes(1000))
PACKET_QDISC_BYPASS = 20
"""linux/if_packet.h: what is sent so, packet sockets are not shown; the interface counts it."""


@contextlib.contextmanager
def watched(cable, period_s=0):
    counters = CaptureCounters()
    with netns.inside(cable.near):
        compared = Bypass([cable.port], counters, period_s)
    with contextlib.closing(compared):
        yield compared, counters


def send(cable, count, frame=SEGMENT):
    with netns.inside(cable.near):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sender:
        sender.bind((cable.port, 0))
        sender.setsockopt(263, PACKET_QDISC_BYPASS, 1)
        for _ in range(count):
            sender.send(frame)


def test_frames_that_were_not_seen_are_counted():
    with netns.link() as cable, watched(cable) as (compared, counters):
        send(cable, 3_000)
        counters.packets, counters.kernel_drops = 1_500, 300
        compared.look()
        assert counters.bypassed == 1_200
        compared.look()
        assert counters.bypassed == 1_200


def test_nothing_is_compared_before_its_time():
    with netns.link() as cable, watched(cable, 3_600) as (compared, counters):
        send(cable, 2_000)
        compared.look()
        assert counters.bypassed == 0


def test_few_missing_frames_say_nothing():
    with netns.link() as cable, watched(cable) as (compared, counters):
        send(cable, 999)
        compared.look()
        assert counters.bypassed == 0
        send(cable, 6_000)
        counters.packets = 4_900
        compared.look()
        assert counters.bypassed == 0


def test_merged_segments_are_not_missing():
    with netns.link() as cable, watched(cable) as (compared, counters):
        send(cable, 4_000)
        counters.packets, counters.offload_frames = 400, 400
        counters.bytes = 4_000 * len(SEGMENT) - 3_600 * 66
        compared.look()
        assert counters.bypassed == 0
        # The same merging, and as many more that nobody saw.
        send(cable, 8_000)
        counters.packets, counters.offload_frames = 800, 800
        counters.bytes += 4_000 * len(SEGMENT) - 3_600 * 66
        compared.look()
        assert counters.bypassed == 7_600


def test_interface_that_is_gone_or_made_again_is_compared_anew():
    with netns.link() as cable, watched(cable) as (compared, counters):
        send(cable, 2_000)
        counters.packets = 2_000
        compared.look()
        cable.run(cable.near, ["ip", "link", "delete", cable.port])
        compared.look()
        peer = ["type", "veth", "peer", "name", cable.port, "netns", cable.far]
        cable.run(cable.near, ["ip", "link", "add", cable.port, *peer])
        compared.look()
        assert counters.bypassed == 0


def test_loopback_counts_twice_and_is_left_out():
    counters = CaptureCounters()
    with contextlib.closing(Bypass(["lo"], counters, 0)) as compared:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(3_000):
                sender.sendto(b"", ("127.0.0.1", 9))
        compared.look()
    assert counters.bypassed == 0


def test_a_ring_that_is_read_compares():
    with netns.link() as cable:
        with netns.inside(cable.near):
            ring = Ring(cable.port, timeout_ms=20)
            ring._bypass.close()
            ring._bypass = Bypass([cable.port], ring.counters, 0)
        with contextlib.closing(ring):
            blocks = iter(ring)
            next(blocks)
            send(cable, 2_000)
            next(blocks)
    assert (ring.counters.packets, ring.counters.bypassed) == (0, 2_000)


def test_it_is_said_once_with_the_remedy():
    said: list[str] = []
    with (
        contextlib.closing(Ring("lo", timeout_ms=20)) as ring,
        contextlib.closing(EventLog("/dev/null", strict=False)) as log,
    ):
        lanes = build_lanes(Detecting())
        statistics = Run(ring.counters, lanes, log).statistics
        attendant = Attendant(ring, log, None, statistics, Signals(), said.append)
        for number, _ in enumerate(attendant.attended(iter([None, None, None]))):
            ring.counters.bypassed = 5_000 * number
    assert statistics.document()["bypassed"] == 10_000
    assert [line for line in said if "5000 more packets" in line and "flow offload" in line]
    assert len(said) == 1
