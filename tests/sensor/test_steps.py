"""Which measurements become steps, by hand; tests of the table compare whole traffic."""

import numpy as np

from sensor.flows.index import FIRST_SLOT
from sensor.latency.measurements import ECHO_KIND, MEASUREMENT, TIMESTAMP_KIND
from sensor.latency.peers import Placed
from sensor.latency.steps import Steps

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


def taken(steps, of, begun=()):
    """What is decided by measurements ``(ms, kind, slot, rtt)``, as such tuples."""
    found = np.zeros(len(of), MEASUREMENT)
    at_ms, found["kind"], slot, found["rtt_ns"] = zip(*of, strict=True)
    found["decided_ns"] = START + np.array(at_ms) * 1_000_000
    slots = np.array(slot, np.int32) + FIRST_SLOT
    placed = Placed(np.arange(len(of)), slots, slots * 10, np.array(begun, np.int32) + FIRST_SLOT)
    decided = steps.take(found, placed)
    assert decided.ordinal.tolist() == (decided.slot * 10).tolist()
    return [
        ((at - START) // 1_000_000, (known - START) // 1_000_000, each - FIRST_SLOT, rtt)
        for at, known, each, rtt in zip(
            decided.at_ns.tolist(),
            decided.found["decided_ns"].tolist(),
            decided.slot.tolist(),
            decided.found["rtt_ns"].tolist(),
            strict=True,
        )
    ]


def test_of_timestamps_the_least_of_a_second_is_known_with_the_next_one():
    steps = Steps()
    pings = [(0, ECHO_KIND, 0, 50), (99, ECHO_KIND, 0, 40), (1_050, ECHO_KIND, 0, 60)]
    stamps = [
        (10, TIMESTAMP_KIND, 1, 41),
        (20, TIMESTAMP_KIND, 1, 7),
        (30, TIMESTAMP_KIND, 1, 7),
        (1_100, TIMESTAMP_KIND, 1, 42),
        (1_150, TIMESTAMP_KIND, 1, 5),
        (5_000, TIMESTAMP_KIND, 1, 43),
    ]
    both = sorted(pings + stamps)
    expected = [(0, 0, 0, 50), (1_050, 1_050, 0, 60), (1_100, 20, 1, 7), (5_000, 1_150, 1, 5)]
    assert taken(steps, both, (0, 1)) == expected
    assert steps.skipped == 4
    one_by_one, apart = Steps(), []
    for place, each in enumerate(both):
        apart += taken(one_by_one, [each], (each[2],) if place in (0, 1) else ())
    assert apart == expected
    assert one_by_one.skipped == 4
    # what waits when its series ends, or the stream, is no step
    assert taken(steps, [(9_000, TIMESTAMP_KIND, 1, 1)], (1,)) == []
    assert steps.skipped == 5
    steps.restart()
    assert steps.skipped == 6
    assert taken(steps, [(9_001, TIMESTAMP_KIND, 1, 2)], (1,)) == []
    assert steps.skipped == 6


def test_all_measurements_are_steps_or_skipped_however_they_come():
    rng = np.random.default_rng(5)
    count = 3_000
    at = np.sort(rng.integers(0, 60_000, count))
    slots = rng.integers(0, 5, count)
    kinds = np.where(slots < 3, TIMESTAMP_KIND, ECHO_KIND)
    every = [
        *zip(
            at.tolist(),
            kinds.tolist(),
            slots.tolist(),
            rng.integers(1, 9, count).tolist(),
            strict=True,
        )
    ]
    whole, pieces = Steps(), Steps()
    expected = taken(whole, every, range(5))
    found = taken(pieces, every[:1], range(5))
    begin = 1
    while begin < count:
        end = begin + int(rng.integers(1, 90))
        found += taken(pieces, every[begin:end])
        begin = end
    assert found == expected
    for steps in (whole, pieces):
        assert 0 < count - len(expected) - steps.skipped < 60  # three seconds that are not over
        steps.restart()
        assert len(expected) + steps.skipped == count


def test_a_series_that_begins_anew_has_waited_for_nothing():
    steps = Steps()
    assert taken(steps, [(1, ECHO_KIND, 0, 5)], (0,)) == [(1, 1, 0, 5)]
    assert taken(steps, [(2, ECHO_KIND, 0, 6)]) == []
    assert taken(steps, [(3, ECHO_KIND, 0, 7)], (0,)) == [(3, 3, 0, 7)]
    assert steps.skipped == 1
