import numpy as np

from trainer.latency.series import LatencySeries
from trainer.latency.summary import Total, heading, line

SECOND = 10**9
NAN = np.nan


def series() -> LatencySeries:
    return LatencySeries(
        "lan",
        np.array([0, 1, 2, 12], np.int64) * SECOND,
        np.array([1.0, NAN, 3.0, 2.0]),
        {
            "outage": np.array([0, 1, 0, 0], np.int8),
            "noise": np.array([-1, -1, 1, 0], np.int8),
        },
    )


def test_a_line_for_each_series() -> None:
    # Of 1, 2 and 3 the 5 % quantile lies a tenth of the way from the first to the second.
    values = ["4", "75.00 %", "1.100", "2.000", "2.900", "3.000", "1.000", "10.000"]
    assert line(series()).split() == " ".join([*values, "50.00 %", "25.00 %", "-", "lan"]).split()
    assert len(heading()) - len("series") == len(line(series())) - len("lan")


def test_series_with_little_in_them() -> None:
    silent = LatencySeries("silent", np.array([5], np.int64), np.array([NAN]))
    assert line(silent).split() == ["1", "0.00", "%", *"-" * 9, "silent"]
    empty = LatencySeries("empty", np.array([], np.int64), np.array([]))
    assert line(empty).split() == ["0", *"-" * 10, "empty"]


def test_the_total() -> None:
    total = Total()
    assert str(total) == "0 series, 0 measurements, answered -"
    for _ in range(2):
        total.add(series())
    total.add(LatencySeries("b", np.array([5], np.int64), np.array([1.0])))
    assert str(total) == (
        "3 series, 9 measurements, answered 77.78 %, noise 50.00 %, outage 25.00 %"
    )
