import dataclasses

import numpy as np
import pytest

from trainer.latency.series import TASKS, UNKNOWN, LatencySeries


def series(**columns: object) -> LatencySeries:
    given = {
        "name": "lan",
        "time_ns": np.array([10, 20, 50], np.int64),
        "rtt_ms": np.array([1.5, np.nan, 2.0]),
    }
    return LatencySeries(**(given | columns))  # type: ignore[arg-type]


def test_no_answer_is_no_number() -> None:
    assert len(series()) == 3
    assert series().answered.tolist() == [True, False, True]


def test_gaps_begin_with_none() -> None:
    assert series().gap_ns.tolist() == [0, 10, 30]
    nothing = series(time_ns=np.array([], np.int64), rtt_ms=np.array([]))
    assert nothing.gap_ns.tolist() == []


def test_rows_are_taken_from_every_column() -> None:
    labelled = series(truth={"outage": np.array([0, 1, 0], np.int8)})
    for rows in (slice(1, None), np.array([1, 2]), np.array([False, True, True])):
        some = labelled.take(rows)
        assert (some.name, some.time_ns.tolist()) == ("lan", [20, 50])
        assert np.array_equal(some.rtt_ms, [np.nan, 2.0], equal_nan=True)
        assert some.truth["outage"].tolist() == [1, 0]


def test_what_nobody_knows_is_unknown() -> None:
    labelled = series(truth={"outage": np.array([0, 1, 0], np.int8)})
    assert labelled.known("outage").tolist() == [0, 1, 0]
    assert labelled.known("swell").tolist() == [UNKNOWN] * 3
    assert labelled.known("swell").dtype == np.int8
    assert TASKS == ("noise", "outage", "swell")


def test_columns_fit_each_other() -> None:
    with pytest.raises(ValueError, match="lan: its columns differ in length"):
        series(rtt_ms=np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="differ in length"):
        series(truth={"noise": np.zeros(2, np.int8)})
    with pytest.raises(ValueError, match="float64"):
        series(rtt_ms=np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="truth int8"):
        series(truth={"noise": np.zeros(3)})
    with pytest.raises(ValueError, match="no task is called flood"):
        series(truth={"flood": np.zeros(3, np.int8)})


def test_a_series_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        series().name = "other"  # type: ignore[misc]
