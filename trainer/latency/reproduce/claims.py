"""What was to be shown, and what the figures of Table 1 say of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.latency.reproduce.poster import Poster
from trainer.latency.reproduce.timing import Timing
from trainer.latency.reproduce.trial import Outcome, Trial
from trainer.latency.series import TASKS

Figures = Mapping[Trial, Outcome]

NAMES = {
    "majority": "majority class",
    "label_model": "label model alone",
    "snorkel_label_model": "Snorkel's label model alone",
    "networks": "a network a task",
    "lmmoe": "multi-task LMMoE",
    "lmmoe_alike": "multi-task LMMoE, losses alike",
    "lmmoe_hard": "multi-task LMMoE, hard labels",
    "snorkel_multitask": "Snorkel's MultitaskClassifier",
    "lmmoe_causal": "multi-task LMMoE, last 64 measurements alone",
}
"""Of approaches, in tables."""

MEASURES = {"accuracy": "Accuracy", "f1": "F1", "balanced_accuracy": "Balanced accuracy"}
"""Properties of `trainer.latency.figures.Counts`, and what tables call them."""

NOT_RUN = "not run yet"

OURS = "lmmoe_alike"
RIVALS = ("label_model", "networks", "majority")
"""What the multi-task network is to be held against; Snorkel's own are shown beside."""

TIE = 5e-4
"""Difference of two means that counts as none: half of the last digit that is shown."""


def values(figures: Figures, base: str, approach: str, task: str, measure: str) -> list[float]:
    """One a run, in the order of the runs."""
    found = {
        trial.run: float(getattr(outcome.counts[task], measure))
        for trial, outcome in figures.items()
        if (trial.base, trial.approach) == (base, approach)
    }
    return [found[run] for run in sorted(found)]


@dataclass(frozen=True)
class Row:
    """A line of the table of what came out."""

    shown: str
    found: str
    holds: str

    def cells(self) -> list[str]:
        """Of the table."""
        return [self.shown, self.found, self.holds]


def table_1(figures: Figures, base: str) -> list[Row]:
    """Whether the multi-task network is best, measure by measure."""
    return [
        *(_best(figures, base, measure, RIVALS) for measure in MEASURES),
        _best(figures, base, "accuracy", RIVALS[:1]),
        _best(figures, base, "f1", RIVALS[:1]),
    ]


def times(timings: Sequence[Timing]) -> list[Row]:
    """Whether the multi-task network is trained as fast as was hoped for."""
    paper = "(a) end to end, at most 0.37 of the single-task side with Snorkel's applier"
    three = "(b) one network for three, at most 0.5 of three networks of its size"
    if not timings:
        return [Row(paper, NOT_RUN, ""), Row(three, NOT_RUN, "")]
    ratios = [timing.ours / timing.paper for timing in timings]
    apart = [timing.together / sum(timing.apart.values()) for timing in timings]
    causal = [timing.causal_together / sum(timing.causal_apart.values()) for timing in timings]
    rows = [Row(paper, NOT_RUN, "")]
    if not np.isnan(ratios).any():
        rows = [_ratio(paper, ratios, 0.37)]
    rows.append(_ratio(three, apart, 0.5))
    rows.append(_ratio(f"{three}, on the last 64 measurements", causal, 0.5))
    return rows


def poster(found: Sequence[Poster]) -> list[Row]:
    """Whether the poster's larger set is labelled in bounded memory and minutes."""
    memory = "24.5 million measurements labelled and tested in less than 2 GB"
    minutes = "and end to end in minutes"
    large = [each for each in found if each.measurements > 1_000_000]
    if not large:
        return [Row(memory, NOT_RUN, ""), Row(minutes, NOT_RUN, "")]
    each = large[0]
    gigabytes = sum(each.peak_bytes) / 1e9
    seconds = sum(each.seconds.values())
    return [
        Row(
            memory,
            f"{each.peak_bytes[0] / 1e9:.2f} GB and {each.peak_bytes[1] / 1e9:.2f} GB in its "
            "largest worker",
            "yes" if gigabytes < 2 else "no",
        ),
        Row(minutes, f"{seconds / 60:.1f} minutes", "yes" if seconds < 3600 else "no"),
    ]


def _ratio(shown: str, ratios: Sequence[float], most: float) -> Row:
    found = f"{np.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}], {len(ratios)} runs"
    return Row(shown, found, "yes" if np.median(ratios) <= most else "no")


def _best(figures: Figures, base: str, measure: str, against: Sequence[str]) -> Row:
    name = MEASURES[measure][0].lower() + MEASURES[measure][1:] if measure != "f1" else "F1"
    shown = f"{NAMES[OURS]} best in {name} of each task ({base} base)"
    if len(against) == 1:
        shown = f"as the paper found: better in {name} than the {NAMES[against[0]]} ({base} base)"
    found, verdicts, runs = [], [], []
    for task in TASKS:
        ours = values(figures, base, OURS, task, measure)
        rivals = {each: values(figures, base, each, task, measure) for each in against}
        if not ours or not all(rivals.values()):
            return Row(shown, NOT_RUN, "")
        best = max(rivals, key=lambda each: float(np.mean(rivals[each])))
        gain = float(np.mean(ours) - np.mean(rivals[best]))
        verdicts.append("tie" if abs(gain) < TIE else "yes" if gain > 0 else "no")
        runs.append(len(ours))
        found.append(f"{task} {gain:+.4f} to {NAMES[best]}")
    words = {"yes": "yes", "no": "no", "tie": "equal"}
    verdict = words[verdicts[0]] if len(set(verdicts)) == 1 else "in part"
    if "no" not in verdicts and verdict == "in part":
        verdict = "yes, or equal"
    return Row(shown, f"{'; '.join(found)} (means of {min(runs)} runs)", verdict)
