"""Algorithm 1, held against searches worked out by hand and against looking at everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.errors import UsageError
from trainer.tuning.algorithm1 import Candidate, Goal, Search, most_questions, solve

TARGET, DROP = 0.9, 0.1


def rising(least):
    """Accuracies that rise strictly with the size and reach the target at `least`."""
    return lambda units: min(1.0, TARGET + 0.001 * (units - least))


def found(alone, together, *, start=4, largest=64, limit=None):
    """Searches; `alone` gives accuracies by task and units, `together` by number of experts.

    After `limit` answers there are none any more.
    """
    asked = []

    def answer(question):
        candidate = question.candidate
        asked.append(candidate)
        if limit is not None and len(asked) > limit:
            return None
        if candidate.experts == 1 and len(candidate.tasks) == 1:
            return (alone[candidate.tasks[0]](candidate.units),)
        return together(candidate)

    result = solve(Search(Goal(tuple(alone), TARGET, DROP, start, largest)), answer)
    assert len(asked) == len(set(asked)), "one candidate was asked about twice"
    assert len(asked) <= most_questions(result.goal)
    return result


def told(result):
    """The steps: size and task, or number of experts."""
    return [
        (step.candidate.units, step.candidate.tasks[0])
        if step.why != "experts"
        else step.candidate.experts
        for step in result.steps
    ]


def enough_from(least):
    """LMMoEs of so many experts are good enough for every task."""
    return lambda candidate: (
        (TARGET - DROP + 0.01 * (candidate.experts - least),) * len(candidate.tasks)
    )


def test_three_tasks_as_worked_out_by_hand():
    result = found({"a": rising(11), "b": rising(3), "c": rising(13)}, enough_from(2))
    a = [(4, "a"), (8, "a"), (16, "a"), (12, "a"), (10, "a"), (11, "a")]
    # c asks about nothing below the 11 of a but its first size; 13 is the least of (11, 22].
    c = [(4, "c"), (11, "c"), (22, "c"), (16, "c"), (13, "c"), (12, "c")]
    assert told(result) == [*a, (4, "b"), *c, 1, 2]
    whys = [step.why for step in result.steps]
    assert whys[:6] == ["start", "doubled", "doubled", "bisected", "bisected", "bisected"]
    assert [(size.state, size.units) for size in result.sizes] == [
        ("met", 11),
        ("pruned", 4),
        ("met", 13),
    ]
    assert (result.units, result.experts, result.meets, result.finished) == (13, 2, True, True)
    assert result.steps[-1].candidate == Candidate(13, 2, ("a", "b", "c"))


def test_a_target_met_at_the_first_size_is_bisected_from_nothing():
    """Not (0 + 4) / 2 without a question, as the pseudo code sets s."""
    result = found({"a": rising(1)}, None)
    assert told(result) == [(4, "a"), (2, "a"), (1, "a"), 1]
    assert (result.units, result.experts) == (1, 1)
    result = found({"a": rising(4)}, None)
    assert told(result) == [(4, "a"), (2, "a"), (3, "a"), 1]
    assert result.units == 4


def test_a_size_below_the_recorded_one_is_never_looked_for():
    """b needs 14 of (8, 16]; 12 are recorded, so 12, 13 and 14 are all that is asked about."""
    result = found({"a": rising(12), "b": rising(14)}, enough_from(1))
    assert [step for step in told(result) if not isinstance(step, int) and step[1] == "b"] == [
        (4, "b"),
        (12, "b"),
        (24, "b"),
        (18, "b"),
        (15, "b"),
        (13, "b"),
        (14, "b"),
    ]
    result = found({"a": rising(12), "b": rising(12)}, enough_from(1))
    assert told(result)[-3:] == [(4, "b"), (12, "b"), 1]
    assert result.sizes[1].state == "pruned"


def test_a_task_whose_accuracy_no_longer_rises_stops_early():
    level = {4: 0.7, 8: 0.85, 16: 0.85}
    result = found({"a": level.__getitem__, "b": rising(3)}, lambda _: (0.76, 0.81))
    assert told(result) == [(4, "a"), (8, "a"), (16, "a"), (4, "b"), 1]
    assert (result.sizes[0].state, result.sizes[0].units) == ("level", 8)
    # What a reached by itself takes the place of its target.
    assert result.steps[-1].wanted == (pytest.approx(0.75), pytest.approx(0.8))
    assert (result.units, result.experts, result.meets) == (8, 1, True)


def test_a_fall_is_no_rise_and_the_smaller_size_stays():
    fall = {4: 0.7, 8: 0.6}
    result = found({"a": fall.__getitem__}, None)
    assert told(result) == [(4, "a"), (8, "a"), 1]
    assert [step.accuracies for step in result.steps] == [(0.7,), (0.6,), (0.7,)]
    assert (result.units, result.meets, result.finished) == (4, True, True)


def test_the_largest_size_ends_the_doubling():
    result = found({"a": rising(1000)}, None, largest=20)
    assert told(result) == [(4, "a"), (8, "a"), (16, "a"), (20, "a"), 1]
    assert (result.sizes[0].state, result.units) == ("largest", 20)
    result = found({"a": rising(19)}, None, largest=20)
    assert told(result) == [(4, "a"), (8, "a"), (16, "a"), (20, "a"), (18, "a"), (19, "a"), 1]


@pytest.mark.parametrize(
    ("least", "asked", "experts"),
    [(1, [2, 1], 1), (2, [2, 1], 2), (3, [2, 4, 3], 3), (4, [2, 4, 3], 4), (5, [2, 4, 5], 5)],
)
def test_experts_are_bisected_from_half_of_the_tasks(least, asked, experts):
    result = found({name: rising(4) for name in "abcde"}, enough_from(least))
    assert [step.candidate.experts for step in result.steps if step.why == "experts"] == asked
    assert (result.experts, result.meets) == (experts, True)


def test_where_no_number_of_experts_is_enough_the_nearest_is_taken():
    def together(candidate):
        return {1: (0.7, 0.95), 2: (0.75, 0.78)}[candidate.experts]

    result = found({"a": rising(4), "b": rising(4)}, together)
    assert (result.experts, result.meets, result.finished) == (2, False, True)
    assert result.steps[-1].margin == pytest.approx(-0.05)


def test_every_task_has_to_be_good_enough():
    def together(candidate):
        return (0.99, 0.8 if candidate.experts == 2 else 0.79)

    result = found({"a": rising(4), "b": rising(4)}, together)
    assert (result.experts, result.meets) == (2, True)


def test_a_search_that_is_ended_says_what_is_known_by_then():
    alone = {"a": rising(11), "b": rising(13), "c": rising(3)}
    result = found(alone, enough_from(2), limit=2)
    assert (result.units, result.experts, result.meets, result.finished) == (0, 0, False, False)
    assert [size.state for size in result.sizes] == ["open"] * 3
    result = found(alone, enough_from(2), limit=3)
    assert (result.units, result.sizes[0].units, result.sizes[0].state) == (16, 16, "open")
    result = found(alone, enough_from(2), limit=4)
    assert result.units == 12
    assert [(size.state, size.units) for size in result.sizes][:2] == [("open", 12), ("open", 0)]
    everything = found(alone, enough_from(1))
    result = found(alone, enough_from(1), limit=len(everything.asked) - 1)
    assert (result.units, result.experts, result.finished) == (13, 0, False)


def test_what_comes_next_is_said_surest_first():
    said = []

    def answer(question):
        said.append([(each.units, each.tasks) for each in question.perhaps])
        return (rising(6)(question.candidate.units),) * len(question.candidate.tasks)

    solve(Search(Goal(("a", "b"), TARGET, DROP, 4, 64)), answer)
    # The first size of b is certain; a goes on with 8, or with the 2 of (0, 4].
    assert said[0] == [(4, ("b",)), (8, ("a",)), (2, ("a",))]
    # 8 is enough: what follows is 6 of (4, 8]; 16 if not.
    assert said[1] == [(4, ("b",)), (16, ("a",)), (6, ("a",))]
    assert said[2] == [(4, ("b",)), (5, ("a",)), (7, ("a",))]


@given(
    needs=st.lists(st.integers(1, 70), min_size=1, max_size=4),
    start=st.integers(1, 16),
    least=st.integers(1, 5),
)
def test_the_least_size_is_found_of_accuracies_that_rise(needs, start, least):
    alone = {str(place): rising(need) for place, need in enumerate(needs)}
    result = found(alone, enough_from(least), start=start)
    assert result.finished
    assert result.units == min(64, max(needs))
    for size, need in zip(result.sizes, needs, strict=True):
        assert (size.state == "largest") == (need > 64)
        if size.state == "met":
            assert size.units == need
    if len(needs) > 1 and max(needs) <= 64:
        assert (result.experts, result.meets) == (min(least, len(needs)), least <= len(needs))


@given(data=st.data(), count=st.integers(1, 4), start=st.integers(1, 9), more=st.integers(0, 60))
def test_no_accuracies_make_it_ask_more_than_the_bound(data, count, start, more):
    drawn = {}

    def anything(candidate):
        if candidate not in drawn:
            accuracy = st.floats(0.7, 1.0)
            drawn[candidate] = tuple(data.draw(accuracy) for _ in candidate.tasks)
        return drawn[candidate]

    alone = {
        str(place): lambda units, name=str(place): anything(Candidate(units, 1, (name,)))[0]
        for place in range(count)
    }
    result = found(alone, anything, start=start, largest=start + more)
    assert result.finished
    assert 1 <= result.units <= start + more
    assert 1 <= result.experts <= count
    assert result.units == max(size.units for size in result.sizes)


def test_the_bound_of_the_defaults():
    # 4, 8, 16, 32, 64, then (32, 64] in five halvings, for each of three; 1, 2 and 3 experts.
    assert most_questions(Goal(("a", "b", "c"), TARGET, DROP, 4, 64)) == 3 * (5 + 5) + 3


@pytest.mark.parametrize(
    ("tasks", "numbers"),
    [
        ((), (0.9, 0.1, 4, 64)),
        (("a", "a"), (0.9, 0.1, 4, 64)),
        (("a",), (0.9, 0.1, 0, 64)),
        (("a",), (0.9, 0.1, 65, 64)),
        (("a",), (1.1, 0.1, 4, 64)),
        (("a",), (0.9, 0.9, 4, 64)),
        (("a",), (0.9, -0.1, 4, 64)),
    ],
)
def test_goals_without_sense_are_refused(tasks, numbers):
    with pytest.raises(UsageError):
        Goal(tasks, *numbers)
