"""Votes do not depend on how a table is cut, nor on who counts them; failures name the row."""

from concurrent.futures import Executor, Future

import numpy as np
import pytest

from sensor.errors import LabelError
from trainer.executors import Workers, executor
from trainer.latency.series import LatencySeries
from trainer.weak.applying import applied, apply
from trainer.weak.functions import LabelingFunction, Task
from trainer.weak.latency import columns
from trainer.weak.loading import load
from trainer.weak.rolling import rolling_sum

TASK = Task("t")


def function(vote, name="f", **options):
    return LabelingFunction(name, TASK, ("x",), vote, file="mine.py", **options)


def neighbours(given):
    """1 where the row before and the row after are above 0."""
    return (rolling_sum(given["x"] > 0, 1, 1) - (given["x"] > 0) == 2).astype(int)


BETWEEN = function(neighbours, before=1, after=1)


def ping(rows):
    rng = np.random.default_rng(3)
    rtt = rng.gamma(2, 5, rows)
    rtt[rng.random(rows) < 0.05] = np.nan
    return LatencySeries("ping", np.arange(rows, dtype=np.int64), rtt)


def test_by_hand():
    votes = apply([BETWEEN], {"x": np.array([1.0, 0.0, 1.0, 1.0, 1.0])})
    assert votes.dtype == np.int8
    assert votes.tolist() == [[0], [1], [0], [1], [0]]


@pytest.mark.parametrize("piece_rows", [1, 97, 1000])
def test_pieces_vote_as_the_whole_does(piece_rows):
    every, table = load("latency"), columns(ping(1500))
    whole = np.stack([f({name: table[name] for name in f.reads}) for f in every], axis=1)
    few = slice(None) if piece_rows > 1 else slice(0, 40)
    cut = {name: column[few] for name, column in table.items()}
    whole = whole if piece_rows > 1 else apply(every, cut)
    np.testing.assert_array_equal(apply(every, cut, piece_rows=piece_rows), whole)


class _Backwards(Executor):
    """Runs what was submitted last first, when it is asked for a result."""

    def __init__(self):
        self.most = 0
        self.open = []

    def submit(self, fn, /, *args, **kwargs):
        executor = self

        class _Late(Future):
            def result(self, *_):
                executor.open.remove(self)
                return fn(*args, **kwargs)

        self.open.append(_Late())
        self.most = max(self.most, len(self.open))
        return self.open[-1]


def test_workers_get_few_pieces_at_a_time_and_tables_come_in_order():
    late = _Backwards()
    tables = [{"x": np.arange(rows) % 3.0} for rows in (10, 0, 35, 3)]
    found = list(applied([BETWEEN], tables, piece_rows=4, workers=Workers(late, 2)))
    assert late.most == 5  # twice as many as workers, and the one that is waited for
    for votes, table in zip(found, tables, strict=True):
        assert votes.tolist() == apply([BETWEEN], table).tolist()


def test_processes_load_functions_again():
    every, table = load("latency"), columns(ping(600))
    with executor(1) as workers:
        votes = apply(every, table, piece_rows=200, workers=workers)
    np.testing.assert_array_equal(votes, apply(every, table))


def test_a_column_that_is_missing():
    with pytest.raises(LabelError, match=r"mine.py: f: reads 'x'.*they have y"):
        apply([BETWEEN], {"y": np.zeros(3)})


def test_a_column_that_it_does_not_say_it_reads():
    with pytest.raises(LabelError, match=r"mine.py: f: row 0: KeyError: 'y'.*add it to `reads`"):
        apply([function(lambda given: given["y"])], {"x": np.zeros(3), "y": np.zeros(3)})


def test_something_has_to_be_read():
    nothing = LabelingFunction("f", TASK, (), lambda _: np.zeros(3, int))
    with pytest.raises(LabelError, match="f: reads no column"):
        apply([nothing], {"x": np.zeros(3)})


def test_columns_are_to_be_read_alone():
    def writes(given):
        given["x"][:] = 0
        return np.ones(len(given["x"]), int)

    x = np.arange(20.0)
    with pytest.raises(LabelError, match="f: row 0: ValueError: assignment destination is read-on"):
        apply([function(writes)], {"x": x})
    assert x.flags.writeable
    assert x[19] == 19


@pytest.mark.parametrize("piece_rows", [4, 100])
def test_a_failure_names_the_first_row_at_which_it_comes_up(piece_rows):
    def fails(given):
        if (given["x"] == 13).any():
            raise ZeroDivisionError("x is 13")
        return np.zeros(len(given["x"]), int)

    with pytest.raises(LabelError, match=r"mine.py: f: row 13: ZeroDivisionError: x is 13"):
        apply([function(fails)], {"x": np.arange(20.0)}, piece_rows=piece_rows)


def test_a_wrong_vote_names_the_row_of_the_table():
    with pytest.raises(LabelError, match="row 13: votes 2"):
        apply(
            [function(lambda g: np.where(g["x"] == 13, 2, 0))], {"x": np.arange(20.0)}, piece_rows=4
        )


def test_looking_further_than_said_is_refused():
    blind = function(neighbours, before=1)
    with pytest.raises(LabelError, match="give greater `before` and `after`"):
        apply([blind], {"x": np.ones(100)})
