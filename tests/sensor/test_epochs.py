"""Where a stream begins anew because its clock was set back (rule 2, clock step)."""

import random

import pytest
from blocks import headers_of
from reference_decode import Packet

from sensor.flows.epochs import Epochs

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
NOON = 1_700_000_000 * SECOND
PACKET = Packet(4, 17, 1, 2, 3, 4, 60, 32, 0)


def begins(times, size=None, ticks=()):
    """Packets with which a stream begins; `ticks` are (number of the block, clock after it)."""
    epochs, found, done = Epochs(), [], 0
    size, clocks = size or len(times), dict(ticks)
    for number, start in enumerate(range(0, len(times), size)):
        block = [(time, PACKET) for time in times[start : start + size]]
        clock = clocks.get(number, 0)
        parts = epochs.cut(headers_of(block), clock)
        assert [part[2] for part in parts] == [0] * (len(parts) - 1) + [clock]
        for new, headers, _ in parts:
            assert len(headers)
            found += [done] * new
            done += len(headers)
            assert headers.timestamp_ns.tolist() == times[done - len(headers) : done]
    assert done == len(times)
    return found


def by_the_rule(times):
    """Rule 2, word by word."""
    found, clock, row = [], 0, 0
    for number, time in enumerate(times):
        row = row + 1 if time < clock - 10 * SECOND else 0
        clock = max(clock, time)
        if row == 64:
            found.append(number)
            clock, row = time, 0
    return found


@pytest.mark.parametrize("size", [1, 7, 64, 1_000])
def test_the_64th_packet_in_a_row_that_is_an_hour_behind_begins_a_stream(size):
    back = [NOON - HOUR + k * SECOND for k in range(100)]
    assert begins([NOON, *back[:63]], size) == []
    assert begins([NOON, *back], size) == [64]


def test_ten_seconds_are_not_more_than_ten_seconds():
    assert begins([NOON] + [NOON - 10 * SECOND] * 100) == []
    assert begins([NOON] + [NOON - 10 * SECOND - 1] * 100) == [64]


def test_nor_are_they_behind_in_a_block_with_a_step():
    times = [NOON] + [NOON - HOUR] * 64 + [NOON - HOUR - 10 * SECOND] * 100
    assert begins(times) == begins(times, 1) == [64]


@pytest.mark.parametrize("size", [1, 7, 64, 1_000])
def test_one_packet_that_is_not_behind_begins_the_count_again(size):
    times = [NOON] + [NOON - HOUR] * 63 + [NOON - 5 * SECOND] + [NOON - HOUR] * 63
    assert begins(times, size) == []
    assert begins([*times, NOON - HOUR], size) == [len(times)]


def test_a_block_may_hold_several_steps():
    times = [NOON] + [NOON - HOUR] * 70 + [NOON - 2 * HOUR] * 70
    assert begins(times) == [64, 71 + 63]


def test_the_clock_of_the_new_stream_is_the_time_of_its_first_packet():
    late = NOON - HOUR
    # 5 s after its first packet the stream is 5 s on, so 10 s before that is behind by 15 s
    times = [NOON] + [late] * 64 + [late + 5 * SECOND] + [late - 10 * SECOND] * 64
    assert begins(times) == [64, len(times) - 1]


def test_one_time_far_ahead_ends_the_stream_once():
    times = [NOON, NOON + HOUR] + [NOON + k for k in range(1_000)]
    assert begins(times) == [65]


def test_a_tick_moves_the_clock_that_packets_can_be_behind():
    times = [NOON] * 10 + [NOON + SECOND] * 64
    assert begins(times, 10) == []
    assert begins(times, 10, [(0, NOON + 12 * SECOND)]) == [73]


def test_blocks_without_packets_do_not_end_a_row():
    epochs = Epochs()
    cut = [epochs.cut(headers_of([(time, PACKET)] * count))[0][0] for time, count in
           ((NOON, 1), (NOON - HOUR, 63), (NOON, 0), (NOON - HOUR, 1))]  # fmt: skip
    assert cut == [False, False, False, True]


@pytest.mark.parametrize("size", [1, 13, 500, 4_000])
def test_disorder_of_every_kind(size):
    generator, times = random.Random(size), []
    time, found = NOON, 0
    for _ in range(40):
        time += generator.choice((-HOUR, -11 * SECOND, -9 * SECOND, 20 * SECOND, HOUR))
        again = generator.choice((1, 5, 60, 63, 64, 65, 200))
        times += [time + generator.randrange(-SECOND, SECOND) for _ in range(again)]
    found = by_the_rule(times)
    assert len(found) > 3
    assert begins(times, size) == found
