import numpy as np

from trainer.latency.formats.columns import Columns, in_sequence


def test_measurements_are_put_in_order_of_time() -> None:
    columns = Columns()
    for at_ns, rtt_ms in ((30, 3.0), (10, 1.0), (30, 4.0), (20, np.nan)):
        columns.add(at_ns, rtt_ms)
    series = columns.series("lan")
    assert (series.name, len(columns)) == ("lan", 4)
    assert series.time_ns.tolist() == [10, 20, 30, 30]
    assert np.array_equal(series.rtt_ms, [1.0, np.nan, 3.0, 4.0], equal_nan=True)
    assert columns.order().tolist() == [1, 3, 0, 2]  # type: ignore[union-attr]


def test_equal_times_stay_as_they_came() -> None:
    columns = Columns()
    columns.add(20, 0.5)
    for k in range(100):
        columns.add(10, 1.0 + k)
    assert columns.series("lan").rtt_ms.tolist() == [*(1.0 + k for k in range(100)), 0.5]


def test_rows_that_are_in_order_stay() -> None:
    columns = Columns()
    for at_ns in (10, 10, 20):
        columns.add(at_ns, 1.0)
    assert columns.order() == slice(None)


def test_missing_numbers_were_sent_between_their_neighbours() -> None:
    numbers, sent = np.array([3, 4, 5, 8]), np.array([1000, 1200, 1410, 2310])
    series = in_sequence("lan", numbers, sent, np.array([1.0, 2.0, 3.0, 4.0]), 1, 10)
    # One number takes 200, 210 and 300: the median is 210, by which the ends are dated.
    assert series.time_ns.tolist() == [580, 790, 1000, 1200, 1410, 1710, 2010, 2310, 2520, 2730]
    nan = np.nan
    assert np.array_equal(
        series.rtt_ms, [nan, nan, 1.0, 2.0, 3.0, nan, nan, 4.0, nan, nan], equal_nan=True
    )


def test_one_time_alone_dates_by_the_second() -> None:
    series = in_sequence("lan", np.array([2]), np.array([5_000_000_000]), np.array([1.0]), 1, 3)
    assert series.time_ns.tolist() == [4_000_000_000, 5_000_000_000, 6_000_000_000]


def test_large_times_keep_every_nanosecond() -> None:
    start = 1_700_000_000_123_456_789
    series = in_sequence(
        "lan", np.array([1, 2]), np.array([start, start + 7]), np.array([1.0, 1.0]), 1, 2
    )
    assert series.time_ns.tolist() == [start, start + 7]
