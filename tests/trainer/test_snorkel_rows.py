"""Labeling functions a row at a time: by hand, beside the vectorized ones, and on real pandas."""

import json
import os
import subprocess
from types import SimpleNamespace

import numpy as np
from command import ROOT
from snorkel_environment import snorkel_python

from trainer.latency.generator import generate
from trainer.latency.snorkel_rows import row_functions
from trainer.weak.applying import apply
from trainer.weak.latency import columns
from trainer.weak.loading import load

ON_PANDAS = """
import json, sys
import pandas
from trainer.latency.snorkel_rows import row_functions
frame = pandas.DataFrame({"rtt_ms": json.load(sys.stdin)}, dtype=float)
every = [each for of_task in row_functions(frame.rtt_ms).values() for each in of_task]
print(json.dumps([[int(vote(row)) for vote in every] for _, row in frame.iterrows()]))
"""


class Column:
    """What the functions ask of a column of pandas: windows of it, and figures without NaN."""

    def __init__(self, values):
        self.values = np.asarray(values, float)
        self.there = self.values[~np.isnan(self.values)]

    @property
    def iloc(self):
        return self

    def __getitem__(self, rows):
        return Column(self.values[rows])

    def mean(self):
        return self.there.mean() if self.there.size else np.nan

    def std(self):
        return self.there.std(ddof=1) if self.there.size > 1 else np.nan

    def quantile(self, share):
        nothing = np.full(np.shape(share), np.nan)[()]
        return np.quantile(self.there, share) if self.there.size else nothing

    def median(self):
        return self.quantile(0.5)

    def min(self):
        return self.there.min() if self.there.size else np.nan

    def isna(self):
        return np.isnan(self.values)


def votes(rtt_ms):
    """``{name: votes}`` of all functions on a series."""
    every = [each for of in row_functions(Column(rtt_ms)).values() for each in of]
    rows = [SimpleNamespace(name=place, rtt_ms=value) for place, value in enumerate(rtt_ms)]
    return {vote.__name__: [int(vote(row)) for row in rows] for vote in every}


def test_snorkels_label_model_gets_the_three_functions_a_task_that_it_asks_for():
    assert {task: len(each) for task, each in row_functions(Column([])).items()} == {
        "noise": 3,
        "outage": 3,
        "swell": 3,
    }


def test_those_that_are_of_both_vote_as_the_vectorized_ones():
    """But for the background of a swell, of which the vectorized one looks at samples."""
    series = next(generate(600, 600, seed=3))
    theirs = votes(series.rtt_ms)
    every = [each for each in load("latency") if each.name in theirs]
    ours = dict(zip([each.name for each in every], apply(every, columns(series)).T, strict=True))
    sampled = ours.pop("swell_above_background") == theirs["swell_above_background"]
    assert sampled.mean() > 0.8
    assert len(ours) == 7
    for name, of_function in ours.items():
        assert theirs[name] == of_function.tolist(), name
        assert len(set(theirs[name])) > 1, name


def test_outages_by_hand():
    """Lost: one alone, then five in a row; a bucket of three rows and of seven."""
    rtt_ms = [10, 10, 10, 10, np.nan, 10, 10, 10, 10, 10, *[np.nan] * 5, 10]
    found = votes(rtt_ms)
    assert found["outage_unanswered"] == [int(np.isnan(value)) for value in rtt_ms]
    assert found["outage_in_a_row"] == [0] * 4 + [-1] + [0] * 5 + [1] * 5 + [0]
    # The first and the last of the five have three others near: four of seven, or of five.
    assert found["outage_mostly_silent"] == [0] + [-1] * 6 + [-1] * 3 + [1] * 5 + [-1]


def test_swells_by_hand():
    """A level of 10 that is 20 for a tenth of the time: 11 on average, with a deviation of 3."""
    rtt_ms = np.full(200, 10.0)
    rtt_ms[100:120] = 20
    found = {name: each for name, each in votes(rtt_ms).items() if name.startswith("swell")}
    in_the_middle, before = 110, 50
    assert [each[in_the_middle] for each in found.values()] == [1, 1, 1]
    assert found["swell_height"][before] == 0
    # Neither is below the lowest quarter nor above the highest, which are both 10.
    assert found["swell_above_background"][before] == -1
    assert found["swell_floor"][before] == -1
    rtt_ms[before - 2 : before + 4] = 9
    low = votes(rtt_ms)
    assert [low[name][before] for name in found] == [0, 0, 0]


def test_noise_among_others_is_below_the_highest_quarter():
    rtt_ms = np.tile([1.0, 2.0, 3.0, 4.0], 40)
    assert votes(rtt_ms)["noise_among_others"][60:64] == [0, 0, 0, -1]


def test_votes_on_pandas_are_the_same():
    rtt_ms = next(generate(600, 600, seed=5)).rtt_ms[:300]
    child = subprocess.run(
        [snorkel_python(), "-c", ON_PANDAS],
        input=json.dumps([None if np.isnan(value) else value for value in rtt_ms.tolist()]),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert np.array(json.loads(child.stdout)).T.tolist() == [*votes(rtt_ms).values()]
