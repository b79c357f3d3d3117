"""What the stopwatch of the reproduction runs, and to what it adds each second."""

import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra `trainer`")

from trainer.latency import learning
from trainer.latency.lesson import LESSON
from trainer.latency.reproduce import approaches, timing
from trainer.latency.reproduce.trial import FIRST_RUN
from trainer.latency.series import TASKS

THREE = {"noise": 1.0, "outage": 2.0, "swell": 4.0}
KNOWN = timing.Timing(THREE, dict.fromkeys(TASKS, 10.0), 3.0, 5.0, 7.0, 8.0, {}, {}, 9.0, {})


def test_sides_add_up():
    """Snorkel's 1 + 2 + 4 and three times 10; ours 3 + 5, and 7 for the network."""
    assert KNOWN.paper == 37
    assert KNOWN.labelled == 8
    assert KNOWN.ours == 15
    assert np.isnan(replace(KNOWN, applier={}, label_model={}).paper)


def test_the_middle_of_runs():
    assert timing.middle([3.0, 1.0, 2.0]) == 2
    assert np.isnan(timing.middle([]))


class Clock:
    """Time of a processor that does nothing but what is taught."""

    def __init__(self):
        self.now, self.taught, self.begun = 0.0, [], []

    def process_time(self):
        return self.now

    def teach(self, tasks, lesson, seed, training, validation, weights):
        """Takes a second more each time."""
        self.taught.append((tuple(tasks), lesson, training, validation, weights))
        assert self.begun == [seed] * len(self.taught)
        self.now += len(self.taught)


@pytest.fixture
def clock(monkeypatch):
    """A short series, windows that are only told of, and networks that only take time."""
    made = Clock()
    monkeypatch.setattr(timing, "time", made)
    monkeypatch.setattr(timing, "MEASUREMENTS", 800)
    monkeypatch.setattr(timing, "begin_network", made.begun.append)
    monkeypatch.setattr(learning, "teach", made.teach)

    def looking(_, *, causal):
        return lambda places: [(causal, place) for place in places.tolist()]

    monkeypatch.setattr(approaches, "looking", looking)
    return made


def test_each_network_is_timed_by_itself(clock):
    found = timing.timed(1, None)
    # The first, of one epoch, loads what is loaded only once, and is not counted.
    assert found == timing.Timing(
        applier={},
        label_model={},
        votes=0,
        our_label_models=0,
        stopped=2,
        together=3,
        apart=dict(zip(TASKS, (4, 5, 6), strict=True)),
        single=dict(zip(TASKS, (7, 8, 9), strict=True)),
        causal_together=10,
        causal_apart=dict(zip(TASKS, (11, 12, 13), strict=True)),
    )
    _, *networks = clock.taught
    each = [(task,) for task in TASKS]
    assert [tasks for tasks, *_ in networks] == [TASKS, TASKS, *each, *each, TASKS, *each]
    whole = replace(LESSON, patience=LESSON.epochs)
    lessons = [LESSON, whole, whole, whole, whole, *[replace(whole, experts=1)] * 3]
    lessons += [replace(timing.CAUSAL, patience=timing.CAUSAL.epochs)] * 4
    assert [lesson for _, lesson, *_ in networks] == lessons
    for number, (tasks, _, training, validation, weights) in enumerate(networks):
        causal = number >= 8
        assert training.rows == [(causal, place) for place in range(480)]
        assert validation.rows == [(causal, place) for place in range(480, 640)]
        assert training.labels.shape == (480, len(tasks))
        assert (validation.labels.shape, len(weights)) == ((160, len(tasks)), len(tasks))
    both = networks[0][2].labels
    for column in range(3):
        np.testing.assert_array_equal(networks[2 + column][2].labels[:, 0], both[:, column])


def test_snorkels_seconds_are_by_task(clock, monkeypatch):
    asked = []

    def single_task(python, rtt_ms):
        asked.append((python, len(rtt_ms)))
        return {"applier": [1.0, 2.0, 4.0], "label_model": [10.0] * 3}

    monkeypatch.setattr(timing.snorkel_side, "single_task", single_task)
    found = timing.timed(1, Path("python"))
    assert asked == [(Path("python"), 800)]
    assert (found.applier, found.label_model) == (THREE, dict.fromkeys(TASKS, 10.0))
    assert len(clock.taught) == 13


def test_what_has_been_timed_is_not_timed_again(tmp_path, monkeypatch):
    made = []

    def in_own_process(what, run, snorkel):
        assert what is timing.timed
        made.append((run, snorkel))
        return replace(KNOWN, votes=float(run))

    monkeypatch.setattr(timing, "in_own_process", in_own_process)
    assert timing.known(tmp_path) == []
    for _ in range(2):
        timing.make(tmp_path, Path("python"))
    assert made == [(FIRST_RUN, Path("python")), (FIRST_RUN + 1, Path("python"))]
    assert timing.known(tmp_path) == [replace(KNOWN, votes=float(FIRST_RUN + k)) for k in (0, 1)]
    (tmp_path / next(tmp_path.iterdir()).name).write_text("{}")
    assert len(timing.known(tmp_path)) == 1
    # Of another number of measurements nothing has been timed.
    monkeypatch.setattr(timing, "MEASUREMENTS", 2_000)
    assert timing.known(tmp_path) == []
