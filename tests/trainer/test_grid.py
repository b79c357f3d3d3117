"""The exhaustive grid, and what a search is worth beside it."""

import pytest
from tuning_rows import TASKS

from trainer.tuning.algorithm1 import Candidate, Found, Goal, Search, Step, solve
from trainer.tuning.candidates import Trained
from trainer.tuning.grid import grid, verdict

GOAL = Goal(TASKS, 0.9, 0.1, 2, 4)


def aucs(candidate):
    """One task needs 3 units; two experts of any size above 1 do for both."""
    one = 0.9 + 0.01 * (candidate.units - 3)
    return (one,) if len(candidate.tasks) == 1 else (one, 0.75 + 0.125 * (candidate.experts - 1))


def trained(candidate):
    areas = aucs(candidate)
    parameters = 10 * candidate.units * candidate.experts
    return Trained(areas, parameters, 1, 1, float(len(areas)))


def test_the_grid_holds_every_size_and_every_number():
    assert grid(GOAL, 1) == tuple(
        Candidate(units, experts, TASKS) for units in (1, 2, 3, 4) for experts in (1, 2)
    )
    assert [each.units for each in grid(Goal(TASKS, 0.9, 0.1, 4, 11), 4)] == [4, 4, 8, 8]


def test_a_search_is_held_against_the_smallest_network_that_is_enough():
    found = solve(Search(GOAL), lambda question: aucs(question.candidate))
    assert (found.units, found.experts, found.meets) == (3, 2, True)
    candidates = grid(GOAL, 1)
    results = {each: trained(each) for each in (*candidates, *found.asked)}
    verdict_of = verdict(found, found.steps[-1].wanted, candidates, results)
    # 0.88 at one unit is above 0.9 − 0.1 too, and two experts are needed.
    assert [(each.units, each.experts) for each in verdict_of.enough] == [
        (1, 2),
        (2, 2),
        (3, 2),
        (4, 2),
    ]
    assert verdict_of.best == Candidate(1, 2, TASKS)
    assert verdict_of.parameters == 20
    assert verdict_of.distance == pytest.approx(60 / 20 - 1)
    # 2, 4 and 3 units for the first task, 2, 3 and 4 for the second, then 1 and 2 experts.
    assert verdict_of.asked == len(found.asked) == 8
    assert verdict_of.share == 8 / 8
    assert verdict_of.seconds_share == (6 * 1 + 2 * 2) / (8 * 2)


def test_without_a_network_that_is_enough_there_is_no_distance():
    candidates = grid(GOAL, 1)
    results = {each: trained(each) for each in candidates}
    step = Step("experts", candidates[0], (0.9, 0.9), (0.95, 0.95))
    found = Found(GOAL, 1, 1, meets=False, sizes=(), steps=(step,), finished=True)
    judged = verdict(found, step.wanted, candidates, results)
    assert (judged.best, judged.parameters, judged.distance) == (None, 0, None)
    # A best, but what was found is not enough.
    judged = verdict(found, (0.8, 0.8), candidates, results)
    assert judged.best == Candidate(1, 2, TASKS)
    assert judged.distance is None
