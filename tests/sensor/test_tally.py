"""Counts of what was said and true: the matrix, what it comes to, and the last hours."""

import numpy as np

from sensor.annotations.predictions import ABSTAINED, NOT_COUNTED
from sensor.annotations.tally import UNKNOWN, Tally, Verdict
from sensor.model.schema import AnnotationSpec

SECONDS = AnnotationSpec(
    "seconds", ("below 1", "1 to 10", "10 on"), 2, 0.4, "duration", (1.0, 10.0)
)
TRAFFIC = AnnotationSpec("traffic", ("documents", "music"), 8)
HOUR_NS = 3_600 * 10**9


def add(tally, hour, told, true):
    times = np.full(len(told), hour * HOUR_NS + 7, np.int64)
    tally.add(times, np.uint8(told), np.uint8(true))


def test_flows_stand_in_the_row_that_was_said_and_the_column_that_was_true():
    tally = Tally(SECONDS)
    add(tally, 5, [0, 0, 1, 2, ABSTAINED, 1, NOT_COUNTED], [0, 1, 1, UNKNOWN, 2, 1, 0])
    assert tally.confusion.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    verdict = Verdict.of(tally.confusion)
    assert verdict == Verdict(flows=6, told=5, abstained=1, judged=4, right=3, commonest=3)
    assert (verdict.accuracy, verdict.majority) == (0.75, 0.75)


def test_what_can_not_be_measured_has_no_accuracy():
    tally = Tally(TRAFFIC)
    add(tally, 5, [1, 1, ABSTAINED], [UNKNOWN] * 3)
    assert tally.confusion.tolist() == [[0], [2], [1]]
    verdict = Verdict.of(tally.confusion)
    assert (verdict.flows, verdict.told, verdict.abstained) == (3, 2, 1)
    assert verdict.accuracy is verdict.majority is None


def test_the_last_hours_are_as_many_as_it_takes_and_lie_within_a_day():
    tally = Tally(TRAFFIC)

    def lately(flows):
        found = tally.lately(lambda confusion: confusion.sum() >= flows)
        return found and (found.start_ns // HOUR_NS, int(found.confusion.sum()))

    assert lately(1) is None
    for hour, flows in ((100, 5), (101, 2), (124, 3)):
        add(tally, hour, [0] * flows, [UNKNOWN] * flows)
    assert lately(3) == (124, 3)
    assert lately(4) == (101, 5)  # hour 100 lies more than a day before the end of hour 124
    assert lately(6) is None
    add(tally, 90, [1], [UNKNOWN])  # the clock was set back
    assert lately(1) == (90, 1)
    assert lately(2) is None
    for hour in range(200, 240):
        add(tally, hour, [0], [UNKNOWN])
    assert lately(24) == (216, 24)
    assert lately(25) is None
    assert Verdict.of(tally.confusion).flows == 51


def test_one_batch_may_have_several_hours():
    tally = Tally(TRAFFIC)
    times = np.int64([HOUR_NS - 1, HOUR_NS, 2 * HOUR_NS - 1, 2 * HOUR_NS])
    tally.add(times, np.uint8([0, 1, 1, 0]), np.full(4, UNKNOWN, np.uint8))
    found = tally.lately(lambda confusion: bool(confusion.sum() >= 3))
    assert found is not None
    assert (found.start_ns, found.confusion[:, 0].tolist()) == (HOUR_NS, [1, 2, 0])
