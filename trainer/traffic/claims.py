"""What was to be shown on the controlled set, and what the figures say of it."""

from collections.abc import Mapping, Sequence

import numpy as np

from trainer.traffic.inputs import CLASS, TASKS
from trainer.traffic.training import Outcome, Training

Figures = Mapping[Training, Outcome]

_OURS = ("cnn", "lmmoe")
BASELINES = ("forest", "cnn_rnn", "transfer")

NAMES = {
    "forest": "random forest",
    "cnn_rnn": "CNN+RNN, single-task",
    "transfer": "transfer learning",
    "cnn_alone": "CNN, class alone",
    "cnn": "multi-task CNN",
    "lmmoe": "multi-task LMMoE",
}
"""Of approaches, in tables."""

NOT_RUN = "not run yet"

_HARD = 0.8
_WITHIN = 0.01


def accuracies(
    figures: Figures, approach: str, task: str, labels: int | None = None
) -> list[float]:
    """One a seed, in the order of seeds, of the trainings of an approach that measure a task.

    Args:
        figures: of Table III.
        approach: one of `trainer.traffic.approaches.APPROACHES`.
        task: one of `TASKS`.
        labels: in total, 0 for all; None for any, as where a task labels itself.
    """
    found = _by_seed(figures, approach, task, labels)
    return [found[seed] for seed in sorted(found)]


def _by_seed(
    figures: Figures, approach: str, task: str, labels: int | None = None
) -> dict[int, float]:
    return {
        training.seed: outcome.accuracy(task)
        for training, outcome in figures.items()
        if training.approach == approach
        and task in training.tasks
        and labels in (None, training.labels)
    }


def outcomes(figures: Figures, counts: Sequence[int]) -> list[list[str]]:
    """A table: what was to be shown, what was found, and whether it holds."""
    baselines = ", ".join(NAMES[each] for each in BASELINES)
    above = f"tells more classes right than {baselines}, at each count of labels"
    within = f"with 100 labels within 1 point of {NAMES['cnn_rnn']} with all"
    hard = "the set is not too easy: a random forest with 10 labels stays below 80 %"
    return [
        ["to be shown", "found", "holds"],
        *([f"{NAMES[each]} {above}", *_above_all(figures, each, counts)] for each in _OURS),
        *([f"{NAMES[each]} {within}", *_within(figures, each)] for each in _OURS),
        [hard, *_hard(figures)],
    ]


def _above_all(figures: Figures, approach: str, counts: Sequence[int]) -> tuple[str, str]:
    """Of the seeds that all have been run with, which draw the same labels for all."""
    found, holds = [], []
    for count in counts:
        each = {
            name: _by_seed(figures, name, TASKS[CLASS], count) for name in (approach, *BASELINES)
        }
        seeds = sorted(set.intersection(*(set(of) for of in each.values())))
        if not seeds:
            continue
        ours, *theirs = ([each[name][seed] for seed in seeds] for name in each)
        best = max(range(len(theirs)), key=lambda place: float(np.mean(theirs[place])))
        gains = np.subtract(ours, theirs[best])
        holds.append(float(gains.mean()) > 0)
        found.append(
            f"{count or 'all'}: {100 * gains.mean():+.1f} points to {NAMES[BASELINES[best]]} "
            f"(ahead in {(gains > 0).sum()} of {len(seeds)} seeds)"
        )
    if not found:
        return NOT_RUN, ""
    verdict = "yes" if all(holds) else "no" if not any(holds) else "in part"
    return "; ".join(found), verdict


def _within(figures: Figures, approach: str) -> tuple[str, str]:
    ours = accuracies(figures, approach, TASKS[CLASS], 100)
    theirs = accuracies(figures, "cnn_rnn", TASKS[CLASS], 0)
    if not ours or not theirs:
        return NOT_RUN, ""
    gap = float(np.mean(ours) - np.mean(theirs))
    return f"{100 * gap:+.1f} points", "yes" if gap >= -_WITHIN else "no"


def _hard(figures: Figures) -> tuple[str, str]:
    found = accuracies(figures, "forest", TASKS[CLASS], 10)
    if not found:
        return NOT_RUN, ""
    return f"{100 * float(np.mean(found)):.1f} %", "yes" if np.mean(found) < _HARD else "no"
