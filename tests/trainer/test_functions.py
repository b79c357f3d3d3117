"""What a labeling function is, and what is said of one that votes wrongly."""

import numpy as np
import pytest

from sensor.errors import LabelError
from trainer.weak.functions import (
    ABSTAIN,
    LabelingFunction,
    Task,
    labeling_function,
    of_task,
    row_count,
    tasks_of,
)

SPEED = Task("speed", ("slow", "usual", "fast"))


@labeling_function(SPEED, reads=("x",), before=2, confidence=0.8)
def thirds(columns):
    return np.where(columns["x"] > 5, 2, np.where(columns["x"] < 1, 0, ABSTAIN))


def returning(votes):
    return LabelingFunction("odd", SPEED, ("x",), lambda _: np.array(votes))


def test_decorator_makes_an_object_that_votes():
    assert (thirds.name, thirds.before, thirds.after, thirds.causal) == ("thirds", 2, 0, True)
    assert thirds.file == __file__
    votes = thirds({"x": np.array([0.0, 3.0, 9.0, np.nan])})
    assert votes.dtype == np.int8
    assert votes.tolist() == [0, -1, 2, -1]


def test_a_name_of_its_own():
    made = labeling_function(SPEED, reads=["x"], after=1, name="other")(thirds.vote)
    assert (made.name, made.causal, made.reads) == ("other", False, ("x",))


@pytest.mark.parametrize(
    ("votes", "says"),
    [
        ([0, 1], "returns an array (2,) for 3 rows"),
        ([0.0, 1.0, 2.0], "returns float64; return whole numbers"),
        ([0, 3, 7], "row 1: votes 3; return 0 to 2 for slow, usual, fast"),
        ([0, 1, -2], "row 2: votes -2"),
    ],
)
def test_what_is_no_vote_is_refused(votes, says):
    with pytest.raises(LabelError, match="odd") as failure:
        returning(votes)({"x": np.zeros(3)})
    assert says in str(failure.value)


def test_booleans_are_votes():
    assert returning([True, False])({"x": np.zeros(2)}).tolist() == [1, 0]


@pytest.mark.parametrize("confidence", [1 / 3, 1.0])
def test_confidence_lies_between_chance_and_certainty(confidence):
    with pytest.raises(LabelError, match="more than 1/3 and less than 1"):
        LabelingFunction("f", SPEED, (), lambda _: np.zeros(0), confidence=confidence)


def test_windows_are_not_negative():
    for wrong in ({"before": -1}, {"after": -2}, {"before": 2.5}):
        with pytest.raises(LabelError, match=r"is (-1|-2|2\.5); give a whole number, 0 or more"):
            LabelingFunction("f", SPEED, ("x",), lambda _: np.zeros(0), **wrong)


def test_tasks_need_different_classes():
    for classes in ((), ("one",), ("same", "same")):
        with pytest.raises(LabelError, match="task t: needs 2 to 127 different classes"):
            Task("t", classes)


def test_tasks_of_functions():
    other = returning([0])
    assert tasks_of([thirds, other]) == (SPEED,)
    assert of_task([thirds, other], SPEED) == (thirds, other)
    with pytest.raises(LabelError, match="odd has the same name; rename one"):
        tasks_of([other, returning([1])])
    clash = LabelingFunction("f", Task("speed"), ("x",), lambda _: np.zeros(0))
    with pytest.raises(LabelError, match="task speed has other classes"):
        tasks_of([thirds, clash])


def test_columns_of_different_lengths():
    assert row_count({"x": np.zeros((4, 2)), "y": np.zeros(4)}) == 4
    with pytest.raises(LabelError, match="x 4, y 3"):
        row_count({"x": np.zeros(4), "y": np.zeros(3)})
