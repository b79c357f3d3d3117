"""A user's file of labeling functions: loaded, run, and told of when it is wrong."""

import pickle

import numpy as np
import pytest

from sensor.errors import LabelError, MissingInputError
from trainer.weak.applying import apply
from trainer.weak.functions import Task
from trainer.weak.loading import load, load_one

MINE = """
import numpy as np
from trainer.weak.functions import Task, labeling_function
SLOW = Task("slow")

@labeling_function(SLOW, reads=["x"], confidence=0.9)
def above(columns):
    return (columns["x"] > {limit}).astype(int)

alias = above

@labeling_function(SLOW, reads=["x"])
def fails(columns):
    if not columns["x"].all():
        raise ValueError("there is a zero")
    return columns["x"] > 0
"""

SNORKEL_LIKE = """
class Function:
    def __init__(self, name, f):
        self.name, self._f, self._resources, self._pre = name, f, {}, []
    def __call__(self, x):
        return self._f(x)

above = Function("above", lambda x: 1 if x.x > 2 else -1)
"""


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(limit=2))
    return path


def test_functions_in_their_order_each_once(mine):
    above, fails = load(str(mine))
    assert (above.name, above.task, above.confidence) == ("above", Task("slow"), 0.9)
    assert (above.file, fails.name) == ("mine.py", "fails")
    assert apply([above], {"x": np.arange(4)}).tolist() == [[0], [0], [0], [1]]


def test_those_that_are_here():
    names = {name: {f.task.name for f in load(name)} for name in ("latency", "flows")}
    assert names == (
        {"latency": {"noise", "outage", "swell"}, "flows": {"syn_dos", "ssdp_flood", "scan"}}
    )


def test_pickled_ones_are_loaded_again(mine):
    above = load(str(mine))[0]
    assert pickle.loads(pickle.dumps(above)) is above  # noqa: S301 -- our own
    with pytest.raises(LabelError, match="no labeling function other any more"):
        load_one(str(mine), "", "other")


def test_a_failure_names_file_line_function_and_row(mine):
    with pytest.raises(LabelError) as failure:
        apply(load(str(mine))[1:], {"x": np.array([1.0, 1.0, 0.0])})
    assert str(failure.value).startswith(f"{mine}:15: fails: row 2: ValueError: there is a zero")


def test_functions_of_snorkel_need_a_task(tmp_path):
    path = tmp_path / "theirs.py"
    path.write_text(SNORKEL_LIKE)
    with pytest.raises(LabelError, match="above does not say on what it votes"):
        load(str(path))
    (above,) = load(str(path), "slow")
    assert (above.task, above.file) == (Task("slow"), "theirs.py")
    assert apply([above], {"x": np.arange(4)}).tolist() == [[-1], [-1], [-1], [1]]
    assert pickle.loads(pickle.dumps(above)) is above  # noqa: S301 -- our own


def test_what_lies_beside_it_can_be_imported(tmp_path):
    (tmp_path / "beside_it.py").write_text("LIMIT = 3\n")
    path = tmp_path / "mine.py"
    path.write_text("from beside_it import LIMIT\n" + MINE.format(limit="LIMIT"))
    assert apply(load(str(path))[:1], {"x": np.arange(5)})[:, 0].tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("import numpy\n\n1 / 0\n", "wrong.py:3: ZeroDivisionError: division by zero"),
        ("def f(:\n", "wrong.py:1: SyntaxError"),
        ("import no_such_thing\n", "wrong.py:1: ModuleNotFoundError"),
        ("import sys\nsys.exit(0)\n", "wrong.py:2: ends the program"),
        ("x = 1\n", "defines no labeling function; decorate some"),
        (MINE.format(limit=1) + "SLOW2 = Task('slow', ('a', 'b'))\n", ""),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, content, says):
    path = tmp_path / "wrong.py"
    path.write_text(content)
    if not says:
        assert len(load(str(path))) == 2
        return
    with pytest.raises(LabelError, match=r"wrong\.py") as failure:
        load(str(path))
    assert says in str(failure.value)


def test_what_is_no_file(tmp_path):
    with pytest.raises(MissingInputError, match="give a Python file, or one of latency, flows"):
        load(str(tmp_path / "none.py"))
    (tmp_path / "text").write_text("")
    with pytest.raises(LabelError, match=r"is no Python file; give one that ends in \.py"):
        load(str(tmp_path / "text"))
