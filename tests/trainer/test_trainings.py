"""Trainings that answer a search: cached, side by side, in time, and interrupted."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tuning_rows import SPLIT, TASKS, Table, tuning_dataset

from sensor.errors import OutputError
from trainer.settings import Settings
from trainer.tuning.algorithm1 import Candidate, Goal, Question, Search, solve
from trainer.tuning.candidates import Material
from trainer.tuning.trainings import FOLDER, Trainings

MATERIAL = Material.draw(tuning_dataset(), SPLIT, TASKS, 5, 0)
A, B, C = (Candidate(units, 1, TASKS[:1]) for units in (4, 8, 16))


def by_size(candidate):
    """Accuracies that rise with the size."""
    return [min(1.0, 0.5 + candidate.units / 32)] * len(candidate.tasks)


def trainings(table, work, count=1, **more):
    material, settings, seed = (
        more.pop(name, default)
        for name, default in (("material", MATERIAL), ("settings", Settings()), ("seed", 0))
    )
    return Trainings(material, settings, seed, work, table.workers(count), **more)


def test_workers_that_would_be_idle_train_what_may_come_next(tmp_path):
    table = Table(by_size)
    with trainings(table, tmp_path, 2) as answers:
        assert answers(Question(A, (B, C))) == (0.625,)
        assert table.submitted == [A, B]
        assert answers(Question(B, ())) == (0.75,)
        assert table.submitted == [A, B]
    assert answers.fresh == {A, B}
    assert set(answers.results) == {A, B}


def test_one_worker_trains_nothing_in_advance(tmp_path):
    table = Table(by_size)
    with trainings(table, tmp_path) as answers:
        assert answers(Question(A, (B, C))) == (0.625,)
    assert table.submitted == [A]


def test_what_was_trained_is_never_trained_again(tmp_path):
    goal = Goal(TASKS, 0.98, 0.01, 4, 64)
    first, again = Table(by_size), Table(by_size)
    with trainings(first, tmp_path) as answers:
        found = solve(Search(goal), answers)
    told = []
    with trainings(again, tmp_path, told=lambda *each: told.append(each)) as answers:
        assert solve(Search(goal), answers) == found
    assert again.submitted == []
    assert not answers.fresh
    assert [candidate for candidate, _ in told] == first.submitted
    assert len(list((tmp_path / FOLDER).iterdir())) == len(first.submitted)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"settings": Settings(epochs=3)},
        {"material": Material.draw(tuning_dataset(), SPLIT, TASKS, 6, 0)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_was_made_of_something_else_is_trained(tmp_path, other):
    with trainings(Table(by_size), tmp_path) as answers:
        answers(Question(A, ()))
    table = Table(by_size)
    with trainings(table, tmp_path, **other) as answers:
        answers(Question(A, ()))
    assert table.submitted == [A]


def test_a_setting_that_came_later_is_named_where_it_is_used(tmp_path):
    for settings, named in ((Settings(), False), (Settings(alone=0.25), True)):
        with trainings(Table(by_size), tmp_path, settings=settings) as answers:
            key, _ = answers._place(A)
        assert ("alone" in key["settings"]) == named
        assert "units" not in key["settings"]


def test_the_size_of_the_settings_does_not_matter(tmp_path):
    """A candidate has its own."""
    with trainings(Table(by_size), tmp_path) as answers:
        answers(Question(A, ()))
    table = Table(by_size)
    sized = replace(Settings(), units=99, experts=9)
    with trainings(table, tmp_path, settings=sized) as answers:
        answers(Question(A, ()))
    assert table.submitted == []


@pytest.mark.parametrize("damage", ["", "{}", "[]", '{"of": 1, "trained": 2}', "\x00"])
def test_a_damaged_result_is_made_again(tmp_path, damage):
    with trainings(Table(by_size), tmp_path) as answers:
        answers(Question(A, ()))
    (file,) = (tmp_path / FOLDER).iterdir()
    whole = json.loads(file.read_text())
    file.write_text(damage)
    with trainings(Table(by_size), tmp_path) as answers:
        assert answers(Question(A, ())) == (0.625,)
    assert json.loads(file.read_text()) == whole


def test_a_result_under_another_s_name_is_none(tmp_path):
    with trainings(Table(by_size), tmp_path) as answers:
        answers(Question(A, ()))
    (of_a,) = (tmp_path / FOLDER).iterdir()
    with trainings(Table(by_size), tmp_path) as answers:
        answers(Question(B, ()))
    (of_b,) = set((tmp_path / FOLDER).iterdir()) - {of_a}
    of_b.write_text(of_a.read_text())
    table = Table(by_size)
    with trainings(table, tmp_path) as answers:
        assert answers(Question(B, ())) == (0.75,)
    assert table.submitted == [B]


def test_an_interrupted_search_loses_no_finished_training(tmp_path):
    goal = Goal(TASKS, 0.98, 0.01, 4, 64)
    with trainings(Table(by_size), tmp_path / "whole") as answers:
        whole = solve(Search(goal), answers)

    def interrupt(*_):
        if len(first.submitted) == 3:
            raise KeyboardInterrupt

    first, again = Table(by_size), Table(by_size)
    with (
        pytest.raises(KeyboardInterrupt),
        trainings(first, tmp_path / "cut", told=interrupt) as answers,
    ):
        solve(Search(goal), answers)
    with trainings(again, tmp_path / "cut") as answers:
        assert solve(Search(goal), answers) == whole
    assert set(first.submitted) & set(again.submitted) == set()
    assert {*first.submitted, *again.submitted} == set(whole.asked)


def test_what_is_not_begun_yet_is_given_up_on_an_interruption(tmp_path):
    table = Table(by_size, pending=(B,))

    def interrupt(*_):
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        trainings(table, tmp_path, 2, told=interrupt) as answers,
    ):
        answers(Question(A, (B,)))
    assert [future.cancelled() for future in table.futures] == [False, True]


def test_when_the_time_is_over_no_training_begins(tmp_path):
    now = [0.0]
    table = Table(by_size)
    with trainings(table, tmp_path, 2, seconds=10, clock=lambda: now[0]) as answers:
        assert answers(Question(A, (B,))) == (0.625,)
        now[0] = 10.0
        assert answers(Question(B, (C,))) == (0.75,)
        assert answers(Question(C, ())) is None
        now[0] = 9.9
        assert answers(Question(C, ())) == (1.0,)
    assert table.submitted == [A, B, C]


def test_nothing_is_begun_in_advance_when_the_time_is_over(tmp_path):
    clock = iter([0.0, 0.0, 10.0]).__next__  # as it is made, for A, for B
    table = Table(by_size)
    with trainings(table, tmp_path, 2, seconds=10, clock=clock) as answers:
        assert answers(Question(A, (B,))) == (0.625,)
    assert table.submitted == [A]


def test_all_are_trained_with_never_more_than_there_are_workers(tmp_path):
    class Counted(Table):
        def submit(self, *arguments):
            in_flight = len(self.submitted) - len(answers.results)
            assert in_flight < 2
            return super().submit(*arguments)

    table = Counted(by_size)
    everything = [Candidate(units, 1, TASKS[:1]) for units in range(1, 8)]
    with trainings(table, tmp_path, 2, seconds=0) as answers:
        answers.train_all([*everything, everything[0]])
        assert set(answers.results) == set(everything)
        assert table.submitted == everything
        answers.train_all(everything)
    assert table.submitted == everything


def test_a_folder_that_can_t_be_written_is_named():
    with pytest.raises(OutputError, match=r"/proc/tuning/candidates: .*--work"):
        trainings(Table(by_size), Path("/proc/tuning"))
