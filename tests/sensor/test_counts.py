"""Counters of several processes add up to those of one."""

from dataclasses import asdict

from blocks import block_of
from random_frames import random_frames
from traffic import Mixture

from sensor.packets.decode import Decoder
from sensor.service.health.counts import DecodedCounts, FrameCounts


def test_two_halves_are_the_whole():
    frames = random_frames(3, 600, Mixture())
    whole, halves = FrameCounts(), FrameCounts()
    decoder, sums = Decoder(), DecodedCounts()
    whole.add(block_of(frames))
    decoder.decode(block_of(frames))
    for half in (frames[300:], [], frames[:300]):
        counts, part = FrameCounts(), Decoder()
        if half:
            (block,) = counts.of([block_of(half)])
            part.decode(block)
        halves.join(counts)
        sums.join(part)
    assert halves == whole
    assert whole.packets == 600
    assert whole.first_ns == min(frame.time_ns for frame in frames)
    alone = {name: getattr(decoder, name) for name in asdict(sums)}
    # Which fragments belong together is another matter.
    assert alone.pop("fragments_unmatched") <= sums.fragments_unmatched
    assert {name: asdict(sums)[name] for name in alone} == alone
    assert sum(sums.refused.values()) + sums.decoded == 600
