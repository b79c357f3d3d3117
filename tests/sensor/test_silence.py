"""Ticks of a silent link, against the machine's own clock."""

import time

from sensor.capture.silence import Silence
from sensor.packets.decode import Decoder

NOON_NS = 1_700_000_000 * 10**9
HOUR_NS = 3_600 * 10**9


def test_nothing_is_known_before_the_first_frame():
    tick = Silence(0).tick()
    assert (len(tick), tick.clock_ns) == (0, 0)
    assert len(Decoder().decode(tick)) == 0


def test_silence_moves_the_clock_on_from_the_last_frame():
    before_ns = time.monotonic_ns()
    silence = Silence(0)
    silence.end(NOON_NS)
    clocks = [silence.tick().clock_ns for _ in range(100)]
    assert clocks == sorted(clocks)
    assert NOON_NS < clocks[-1] <= NOON_NS + time.monotonic_ns() - before_ns


def test_what_may_still_come_is_not_late():
    silence = Silence(HOUR_NS)
    silence.end(NOON_NS)
    assert silence.tick().clock_ns == NOON_NS


def test_a_clock_that_was_set_back_is_followed():
    silence = Silence(HOUR_NS)
    silence.end(NOON_NS)
    silence.end(NOON_NS - HOUR_NS)
    assert silence.tick().clock_ns == NOON_NS - HOUR_NS
