"""What the kernel copies of a frame is enough for every rule of the decoder."""

import contextlib
import random
import threading

import frames
import netns
import pytest
from random_frames import random_frames
from traffic import Mixture

from sensor.capture.ring import FULL_FRAMES, Ring
from sensor.packets.decode import Decoder
from sensor.packets.headers import Headers

pytestmark = pytest.mark.network

SIZES = [
    (frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=bytes(900)), 54),
    (frames.tcp_frame("10.0.0.1", 1, "10.0.0.2", 2, payload=b""), 54),
    (frames.udp_frame("10.0.0.1", 1, "10.0.0.2", 2, bytes(900)), 54),
    (frames.udp_frame("2001:db8::1", 1, "2001:db8::2", 2, bytes(900)), 74),
    (frames.udp_frame("2001:db8::1", 1, "2001:db8::2", 2, b"123"), 65),
    (frames.udp_frame("10.0.0.1", 1, "10.0.0.2", 2, bytes(3)), 45),
    (frames.udp_frame("10.0.0.1", 1, "10.0.0.2", 2, bytes(900), [(0x8100, 5), (0x8100, 6)]), 192),
    (frames.arp_frame("10.0.0.1", "10.0.0.2") + bytes(200), 192),
    (bytes(12) + b"\x08\x00", 14),
]
"""Frames, and how much of them is copied."""


def received(sent, **options):
    """What a ring got, and one that cuts nothing: sizes, packets and refusals of each."""
    with netns.link() as cable:
        with netns.inside(cable.far):
            rings = [Ring(cable.port, **options), Ring(cable.port, snap_bytes=FULL_FRAMES)]
        player = threading.Thread(target=netns.play, args=(cable.near, cable.port, sent, 20_000))
        player.start()
        player.join()
        outcomes = []
        for ring in rings:
            with contextlib.closing(ring):
                ring.stop()
                decoder = Decoder(["ttl", "tcp_window"])
                sizes, packets = [], []
                for block in ring:
                    sizes += block.captured_length.tolist()
                    packets += packets_of(decoder.decode(block))
                outcomes.append((sizes, packets, decoder.refused))
    return outcomes


def packets_of(headers: Headers) -> list[tuple]:
    names = [name for name in Headers.__dataclass_fields__ if name != "timestamp_ns"]
    return list(zip(*(getattr(headers, name).tolist() for name in names), strict=True))


def test_plain_frames_are_cut_behind_their_headers():
    (sizes, _, _), (whole, _, _) = received([frame for frame, _ in SIZES])
    assert sizes == [size for _, size in SIZES]
    # Of the tagged one the kernel has stripped a tag.
    assert whole == [len(frame) - 4 * (size == 192 and frame[12] == 0x81) for frame, size in SIZES]


def test_snap_length_cuts_everything_else_and_what_is_longer():
    (sizes, _, _), _ = received([frame for frame, _ in SIZES], snap_bytes=60)
    assert sizes == [min(size, 60) for _, size in SIZES]


def test_what_is_cut_off_decodes_to_the_same():
    """Random frames in every encapsulation, and damaged: columns and refusals are the same."""
    rng = random.Random(5)
    sent = []
    for frame in random_frames(3, 6_000, Mixture(), link_types=False):
        content = frame.octets + rng.randbytes(rng.choice([0, 0, 6, 300]))
        if len(content) >= 14:  # the least that a socket sends
            sent.append(content)
    cut, whole = received(sent, snap_bytes=2048)
    # The kernel itself refuses a frame that ends within the tag that it strips.
    assert len(sent) > len(cut[0]) == len(whole[0]) > len(sent) - 20
    assert sum(cut[0]) < 0.9 * sum(whole[0])
    assert cut[1:] == whole[1:]
