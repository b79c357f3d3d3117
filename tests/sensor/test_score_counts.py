import numpy as np

from sensor.model.score_counts import BINS, HOUR_NS, ScoreCounts

EDGES = [k / 20 for k in range(21)]


def test_bins_are_those_of_the_manifest():
    scores = np.random.default_rng(5).random((5_000, 3)).astype(np.float32)
    scores[0] = (0, 1, 0.99999)
    counts = ScoreCounts(3)
    counts.add(np.zeros(5_000, np.int64), scores)
    for task in range(3):
        expected, _ = np.histogram(scores[:, task], EDGES)
        assert counts.counts[task].tolist() == [*expected.tolist(), 0]
    assert counts.rows == 5_000


def test_rows_that_do_not_count_for_a_task_stand_apart():
    scores = np.float32([[0.5, np.nan], [np.nan, np.nan], [0.5, 0.01]])
    counts = ScoreCounts(2)
    counts.add(np.zeros(3, np.int64), scores)
    assert counts.counts[0, [10, BINS]].tolist() == [2, 1]
    assert counts.counts[1, [0, BINS]].tolist() == [1, 2]
    assert counts.counts.sum() == 6
    assert counts.rows == 3


def test_a_batch_may_lie_in_several_hours():
    hours = np.int64([7, 7, 8, 9, 9, 9]) * HOUR_NS + [0, HOUR_NS - 1, 5, 0, 1, 2]
    scores = np.float32([[0.1]] * 3 + [[0.9]] * 3)
    counts = ScoreCounts(1)
    counts.add(hours[:1], scores[:1])
    counts.add(hours[1:], scores[1:])
    last, running = counts.hours
    assert (last.start_ns, running.start_ns) == (8 * HOUR_NS, 9 * HOUR_NS)
    assert (last.counts.sum(), running.counts[0, 18]) == (1, 3)
    assert counts.counts[0, [2, 18]].tolist() == [3, 3]


def test_an_hour_goes_on_over_batches():
    counts = ScoreCounts(1)
    for minute in range(3):
        counts.add(np.int64([minute * 60 * 10**9]), np.float32([[0.3]]))
    (running,) = counts.hours
    assert running.counts[0, 6] == 3


def test_a_clock_that_is_set_back_begins_another_hour():
    counts = ScoreCounts(1)
    for hour in (5, 3, 3):
        counts.add(np.int64([hour * HOUR_NS]), np.float32([[0.3]]))
    assert [(each.start_ns // HOUR_NS, int(each.counts.sum())) for each in counts.hours] == [
        (5, 1),
        (3, 2),
    ]


def test_no_rows_change_nothing():
    counts = ScoreCounts(2)
    counts.add(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    assert (counts.rows, counts.hours) == (0, ())
