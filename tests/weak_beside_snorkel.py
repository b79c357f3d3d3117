"""Weak supervision beside Snorkel 0.10: the same votes, figures and labels, and what each costs.

For an interpreter that has Snorkel, pandas and multa (`.venv-snorkel` of the Makefile): what
`weak_proof.py` measures at length and `test_weak_snorkel.py` tries on a little.
"""

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from snorkel.classification import (
    DictDataLoader,
    DictDataset,
    MultitaskClassifier,
    Operation,
    Trainer,
)
from snorkel.classification import Task as SnorkelTask
from snorkel.labeling import LFAnalysis, PandasLFApplier
from snorkel.labeling import labeling_function as snorkels
from snorkel.labeling.model import LabelModel, MajorityLabelVoter

from trainer.latency.generator import generate
from trainer.weak.applying import apply
from trainer.weak.functions import LabelingFunction, Task, of_task
from trainer.weak.label_model import fit, majority
from trainer.weak.latency import NOISE, OUTAGE, SWELL, columns
from trainer.weak.loading import load
from trainer.weak.patterns import Patterns
from trainer.weak.report import Report

torch.set_num_threads(1)

EPOCHS = (100, 500)
"""Of Snorkel's label model: its default, whose time counts, and more; the better outcome counts."""

SHARED = (
    *("noise_two_deviations", "noise_above_median", "noise_among_others"),
    *("outage_unanswered", "outage_in_a_row", "swell_height"),
)
"""Labeling functions of ours that are written for Snorkel here, as the latency paper writes them:
row by row, with a bucket of the rows around it."""


@dataclass(frozen=True)
class Score:
    """Of labels of 0 and 1."""

    accuracy: float
    f1: float
    seconds: float = 0.0

    @classmethod
    def of(cls, labels, truth, seconds=0.0):
        hits = int(((labels == 1) & (truth == 1)).sum())
        looked_for = int((labels == 1).sum() + (truth == 1).sum())
        f1 = 2 * hits / looked_for if looked_for else float("nan")
        return cls(float((labels == truth).mean()), f1, seconds)


def written_for_snorkel(rtt):
    """The functions of `SHARED` as Snorkel's users write them.

    Args:
        rtt: pandas column of round-trip times, NaN where there was no answer.
    """

    def bucket(row, size):
        return rtt.iloc[max(0, int(row.name) - size) : int(row.name) + size + 1]

    @snorkels()
    def noise_two_deviations(x):
        b = bucket(x, 25)
        return 1 if x.rtt_ms > b.mean() + 2 * b.std() else -1

    @snorkels()
    def noise_above_median(x):
        low, middle, high = bucket(x, 25).quantile([0.25, 0.5, 0.75])
        above, between = x.rtt_ms - middle, high - low
        return 1 if above > 7 * between else 0 if above < 3 * between else -1

    @snorkels()
    def noise_among_others(x):
        return 0 if x.rtt_ms <= bucket(x, 25).quantile(0.75) else -1

    @snorkels()
    def outage_unanswered(x):
        return 1 if np.isnan(x.rtt_ms) else 0

    @snorkels()
    def outage_in_a_row(x):
        if not np.isnan(x.rtt_ms):
            return 0
        return 1 if bucket(x, 1).isna().sum() > 1 else -1

    @snorkels()
    def swell_height(x):
        near, whole = bucket(x, 10).mean(), bucket(x, 512)
        return 1 if near > whole.mean() + whole.std() else 0 if near < whole.mean() else -1

    return [
        *(noise_two_deviations, noise_above_median, noise_among_others),
        *(outage_unanswered, outage_in_a_row, swell_height),
    ]


def applied_by_both(rows, more_rows, seed=0):
    """Votes of `SHARED` on generated measurements, by both appliers, and seconds a row.

    Args:
        rows: that Snorkel votes on, and ours too.
        more_rows: that ours is timed on.
        seed: of the measurements.

    Returns:
        Votes of Snorkel's and of ours, and each one's seconds of processor time for a row.
    """
    (series,) = generate(max(rows, more_rows), max(rows, more_rows), seed)
    ours = [each for each in load("latency") if each.name in SHARED]
    frame = pd.DataFrame({"rtt_ms": series.rtt_ms[:rows]})
    begin = time.process_time()
    theirs = PandasLFApplier(written_for_snorkel(frame.rtt_ms)).apply(frame, progress_bar=False)
    slow = (time.process_time() - begin) / rows
    begin = time.process_time()
    apply(ours, columns(series))
    fast = (time.process_time() - begin) / len(series)
    return theirs, apply(ours, columns(series.take(slice(rows)))), slow, fast


def adapted_and_applied(path, frame):
    """Votes of a file of Snorkel's functions: by Snorkel's applier, and by ours.

    Args:
        path: Python file that defines ``FUNCTIONS``, Snorkel's labeling functions.
        frame: of pandas.

    Returns:
        Votes of both, and each one's seconds of processor time for a row.
    """
    functions = load(str(path), "slow")
    own = [function.vote.function for function in functions]
    begin = time.process_time()
    theirs = PandasLFApplier(own).apply(frame, progress_bar=False)
    middle = time.process_time()
    ours = apply(functions, {name: frame[name].to_numpy() for name in frame})
    end = time.process_time()
    return theirs, ours, (middle - begin) / len(frame), (end - middle) / len(frame)


def largest_difference(votes, truth):
    """Between our report's figures and LFAnalysis's, over all of them."""
    task = Task("t", tuple(map(str, range(int(max(votes.max(), truth.max())) + 1))))
    functions = voters(task, votes.shape[1])
    report = Report.of(Patterns.of([votes]), functions, truth)
    whole = votes.astype(int)
    analysis = LFAnalysis(whole)
    summary = analysis.lf_summary(truth.astype(int))
    differences = [
        abs(report.coverage - analysis.label_coverage()),
        abs(report.overlap - analysis.label_overlap()),
        abs(report.conflict - analysis.label_conflict()),
    ]
    for place, each in enumerate(report.functions):
        row = summary.iloc[place]
        assert list(each.polarity) == list(row["Polarity"])
        assert (each.right, each.wrong) == (row["Correct"], row["Incorrect"])
        differences += [
            abs(each.coverage - row["Coverage"]),
            abs(each.overlap - row["Overlaps"]),
            abs(each.conflict - row["Conflicts"]),
            abs(np.nan_to_num(each.accuracy) - row["Emp. Acc."]),
        ]
    return max(differences)


def voters(task, count, confidence=0.7):
    """Functions that stand for columns of votes."""
    return [
        LabelingFunction(f"f{k}", task, (), lambda _: None, confidence=confidence)
        for k in range(count)
    ]


def drawn_votes(seed, rows, accuracies, coverages, positive, one_sided=()):
    """Votes that are independent given the class, and what can be known at best.

    Args:
        seed: of the draw.
        rows: how many.
        accuracies: of each function, for both classes.
        coverages: how often each votes.
        positive: share of class 1.
        one_sided: functions that vote for class 1 or not at all.

    Returns:
        Votes, truth, and the likelier class by the rates themselves (Bayes).
    """
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < positive).astype(np.int8)
    votes = np.full((rows, len(accuracies)), -1, np.int8)
    likelihood = np.log(np.array([1 - positive, positive]))[None].repeat(rows, axis=0)
    for place, (accuracy, coverage) in enumerate(zip(accuracies, coverages, strict=True)):
        vote = np.where(rng.random(rows) < accuracy, truth, 1 - truth)
        votes_now = rng.random(rows) < coverage
        if place in one_sided:
            votes_now &= vote == 1
        votes[:, place] = np.where(votes_now, vote, -1)
        right, wrong = coverage * accuracy, coverage * (1 - accuracy)
        table = np.array([[1 - coverage, right, wrong], [1 - coverage, wrong, right]])
        if place in one_sided:
            table = np.array([[1 - wrong, 0, wrong], [1 - right, 0, right]])
        likelihood += np.log(np.maximum(table, 1e-300)).T[votes[:, place] + 1]
    return votes, truth, likelihood.argmax(axis=1)


def label_models(votes, truth, functions=None):
    """How well each label model finds the truth, and what it costs.

    Args:
        votes: ``(rows, functions)`` on one task of two classes.
        truth: ``(rows,)``.
        functions: of the votes; by default ones of equal confidence.

    Returns:
        Scores by name.
    """
    functions = functions or voters(Task("t"), votes.shape[1])
    shares = [float((truth == 0).mean()), float((truth == 1).mean())]
    found = {}
    for name, balance in (("ours", None), ("ours, balance known", shares)):
        begin = time.process_time()
        patterns = Patterns.of([votes])
        model = fit(patterns, functions, balance)
        labels = model.probabilities(patterns.votes).argmax(axis=1)[patterns.number]
        found[name] = Score.of(labels, truth, time.process_time() - begin)
    patterns = Patterns.of([votes])
    labels = (majority(patterns.votes, 2)[:, 1] > 0.5)[patterns.number]
    found["majority"] = Score.of(labels, truth)
    for name, balance in (("Snorkel", None), ("Snorkel, balance known", shares)):
        tries = []
        for epochs in EPOCHS:
            begin = time.process_time()
            model = LabelModel(cardinality=2, verbose=False)
            whole = votes.astype(np.int64)
            model.fit(whole, class_balance=balance, n_epochs=epochs, seed=0, progress_bar=False)
            labels = model.predict_proba(whole).argmax(axis=1)
            tries.append(Score.of(labels, truth, time.process_time() - begin))
        best = max(tries, key=lambda score: (score.f1, score.accuracy))
        found[name] = Score(best.accuracy, best.f1, tries[0].seconds)
    return found


def latency_votes(measurements, seed):
    """For each task of latency: votes, truth and functions, on generated series."""
    every = load("latency")
    series = list(generate(measurements, 15_000, seed))
    votes = np.concatenate([apply(every, columns(each)) for each in series])
    for task in (NOISE, OUTAGE, SWELL):
        functions = of_task(every, task)
        truth = np.concatenate([each.truth[task.name] for each in series])
        yield task.name, votes[:, [every.index(f) for f in functions]], truth, functions


def largest_difference_of_majority(votes):
    """Between our majority vote and Snorkel's."""
    theirs = MajorityLabelVoter(cardinality=2).predict_proba(votes.astype(int))
    return float(np.abs(majority(votes, 2) - theirs).max())


def multitask_accuracy():
    """Of Snorkel's MultitaskClassifier on two tasks that a line divides, after ten epochs."""
    torch.manual_seed(0)
    x = torch.randn(400, 2)
    labels = {"left": (x[:, 0] < 0).long(), "low": (x[:, 1] < 0).long()}
    loader = DictDataLoader(DictDataset("d", "train", {"x": x}, labels), batch_size=32)
    tasks = [
        SnorkelTask(
            name,
            torch.nn.ModuleDict({f"{name}_head": torch.nn.Linear(2, 2)}),
            [Operation(f"{name}_head", [("_input_", "x")], name=f"{name}_head")],
        )
        for name in labels
    ]
    model = MultitaskClassifier(tasks)
    Trainer(n_epochs=10, lr=0.05, progress_bar=False).fit(model, [loader])
    return min(model.score([loader]).values())
