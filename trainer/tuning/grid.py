"""The exhaustive grid that Algorithm 1 spares: every size of an expert with every number of them.

It says what the search is worth: by how much the network that it found is larger than the smallest
one that does the same, and what share of the grid's trainings it needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trainer.tuning.algorithm1 import Accuracies, Candidate, Found, Goal
from trainer.tuning.candidates import Trained


@dataclass(frozen=True)
class Verdict:
    """A search beside its grid.

    Attributes:
        candidates: of the grid.
        enough: of them, those at which every task has what the search wanted.
        best: of these, the one of the fewest parameters; None if there is none.
        parameters: of it; 0 without one.
        distance: share by which the parameters of the network that was found exceed these, below 0
            if it is smaller than what the grid holds; None without a best, or if what was found is
            not enough.
        asked: candidates that the search asked about.
        share: of the grid's trainings that these are.
        seconds_share: the same of the time that the trainings took.
    """

    candidates: tuple[Candidate, ...]
    enough: tuple[Candidate, ...]
    best: Candidate | None
    parameters: int
    distance: float | None
    asked: int
    share: float
    seconds_share: float


def grid(goal: Goal, step: int) -> tuple[Candidate, ...]:
    """Networks of all tasks: every `step`-th size from `step` to the largest, 1 to N experts."""
    return tuple(
        Candidate(units, experts, goal.tasks)
        for units in range(step, goal.largest + 1, step)
        for experts in range(1, len(goal.tasks) + 1)
    )


def verdict(
    found: Found,
    wanted: Accuracies,
    candidates: tuple[Candidate, ...],
    results: Mapping[Candidate, Trained],
) -> Verdict:
    """Judges a finished search.

    Args:
        found: by it.
        wanted: of each task in the common network (`Step.wanted` of the search's last step).
        candidates: the grid.
        results: of every candidate of both.
    """

    def is_enough(candidate: Candidate) -> bool:
        return all(a >= w for a, w in zip(results[candidate].aucs, wanted, strict=True))

    enough = tuple(candidate for candidate in candidates if is_enough(candidate))
    best = min(enough, key=lambda each: results[each].parameters, default=None)
    parameters = results[best].parameters if best else 0
    own = results[Candidate(found.units, found.experts, found.goal.tasks)].parameters
    return Verdict(
        candidates,
        enough,
        best,
        parameters,
        own / parameters - 1 if best and found.meets else None,
        len(found.asked),
        len(found.asked) / len(candidates),
        sum(results[each].seconds for each in found.asked)
        / sum(results[each].seconds for each in candidates),
    )
