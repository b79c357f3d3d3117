"""Labeling functions of Snorkel are called as Snorkel calls them; here without it.

`test_weak_snorkel.py` has the same functions in Snorkel's own environment.
"""

import types

import numpy as np
import pytest

from sensor.errors import LabelError
from trainer.weak.applying import apply
from trainer.weak.functions import Task
from trainer.weak.row_by_row import Row, adapted, is_row_function

TASK = Task("noise")


class Function:
    """The parts that Snorkel's LabelingFunction has, called as its `__call__` does."""

    def __init__(self, name, f, resources=None, pre=None):
        self.name, self._f = name, f
        self._resources, self._pre = resources or {}, pre or []

    def __call__(self, x):
        for preprocessor in self._pre:
            x = preprocessor(x)
        return self._f(x, **self._resources)


def doubled(row):
    row = types.SimpleNamespace(**vars(row))
    row.twice = 2 * row.rtt_ms
    return row


def test_attributes_items_and_the_number_of_the_row():
    seen = []

    def look(x):
        seen.append((x.rtt_ms, x["rtt_ms"], x.get("other", 7), x.name, list(x.keys())))
        return 1 if x.rtt_ms > 5 else -1

    function = adapted(Function("look", look), TASK)
    votes = apply([function], {"rtt_ms": np.array([4.0, 6.0])})
    assert votes.tolist() == [[-1], [1]]
    assert seen == [(4.0, 4.0, 7, 0, ["name", "rtt_ms"]), (6.0, 6.0, 7, 1, ["name", "rtt_ms"])]


def test_resources_and_preprocessors():
    function = Function("f", lambda x, limit: int(x.twice > limit), {"limit": 9}, [doubled])
    votes = apply([adapted(function, TASK)], {"rtt_ms": np.array([4.0, 6.0])})
    assert votes.tolist() == [[0], [1]]


def test_values_are_those_of_numpy_as_in_pandas():
    """A division by zero is infinite there and no error."""
    with np.errstate(divide="ignore"):
        votes = apply(
            [adapted(Function("f", lambda x: int(1 / x.gap > 9)), TASK)], {"gap": np.zeros(1)}
        )
    assert votes.tolist() == [[1]]


def test_below_zero_abstains_as_for_snorkel():
    assert apply([adapted(Function("f", lambda _: -7), TASK)], {"x": np.zeros(1)}) == -1


def test_a_failure_names_the_row_and_a_class_that_is_none_too():
    function = adapted(Function("f", lambda x: x.none), TASK, file="mine.py")
    with pytest.raises(LabelError, match=r"mine.py: f: row 0: AttributeError"):
        apply([function], {"x": np.zeros(3)})
    odd = adapted(Function("f", lambda x: int(x.x)), TASK)
    with pytest.raises(LabelError, match="f: row 2: votes 2; return 0 to 1 for no, yes"):
        apply([odd], {"x": np.arange(4)}, piece_rows=1)


def test_rows_can_be_changed():
    row = Row(x=1)
    row["y"] = 2
    assert ("y" in row, list(row), dict(row.items())) == (True, [1, 2], {"x": 1, "y": 2})
    with pytest.raises(KeyError):
        row["z"]


def test_what_is_a_function_of_snorkel():
    assert is_row_function(Function("f", len))
    assert not is_row_function(len)
    assert not is_row_function(types.SimpleNamespace(name="f", _f=len, _resources={}, _pre=[]))
