"""Frames that leave an interface past everybody who captures, as those of an offload do."""

import contextlib
import socket

import frames
import netns
import pytest

from sensor.capture.block import CaptureCounters
from sensor.capture.bypass import Bypass

pytestmark = pytest.mark.network

SEGMENT = frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=bytes(1000))
PACKET_QDISC_BYPASS = 20
"""linux/if_packet.h: what is sent so, packet sockets are not shown; the interface counts it."""


@contextlib.contextmanager
def watched(cable):
    counters = CaptureCounters()
    with netns.inside(cable.near):
        compared = Bypass([cable.port], counters)
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
        compared.look(0)
        assert counters.bypassed == 1_200
        compared.look(0)
        assert counters.bypassed == 1_200


def test_few_missing_frames_and_short_times_say_nothing():
    with netns.link() as cable, watched(cable) as (compared, counters):
        send(cable, 999)
        compared.look()
        assert counters.bypassed == 0
        compared.look(0)
        send(cable, 6_000)
        counters.packets = 4_900
        compared.look(0)
        assert counters.bypassed == 0


def test_merged_segments_are_not_missing():
    with netns.link() as cable, watched(cable) as (compared, counters):
        send(cable, 4_000)
        counters.packets, counters.offload_frames = 400, 400
        counters.bytes = 4_000 * len(SEGMENT) - 3_600 * 66
        compared.look(0)
        assert counters.bypassed == 0
        # The same merging, and as many more that nobody saw.
        send(cable, 8_000)
        counters.packets, counters.offload_frames = 800, 800
        counters.bytes += 4_000 * len(SEGMENT) - 3_600 * 66
        compared.look(0)
        assert counters.bypassed == 7_600


def test_interface_that_is_gone_or_made_again_is_compared_anew():
    with netns.link() as cable, watched(cable) as (compared, counters):
        send(cable, 2_000)
        counters.packets = 2_000
        compared.look(0)
        cable.run(cable.near, ["ip", "link", "delete", cable.port])
        compared.look(0)
        peer = ["type", "veth", "peer", "name", cable.port, "netns", cable.far]
        cable.run(cable.near, ["ip", "link", "add", cable.port, *peer])
        compared.look(0)
        assert counters.bypassed == 0


def test_loopback_counts_twice_and_is_left_out():
    counters = CaptureCounters()
    with contextlib.closing(Bypass(["lo"], counters)) as compared:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(3_000):
                sender.sendto(b"", ("127.0.0.1", 9))
        compared.look(0)
    assert counters.bypassed == 0
