"""What is trained for the tables: steps of trainings, in the order of their worth."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from trainer.traffic.inputs import CLASS, TASKS
from trainer.traffic.material import Material
from trainer.traffic.training import APPROACHES, CANDIDATES, Candidate, Training

COUNTS = (10, 20, 50, 100, 250, 500, 0)
"""Labels in total, 0 for all."""

MIDDLE = 100
"""Labels with which candidates, k, λ and divisions are compared."""

PACKETS = (8, 16, 32, 60)
WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)

TOGETHER = ("cnn", "lmmoe")
"""Approaches that learn all tasks at once."""

_SELF = TASKS[:CLASS]
_ALONE = ("forest", "cnn_rnn")
"""Approaches that tell bandwidth and duration too, each task on its own."""

Candidates = Mapping[str, Candidate]


def counts(material: Material, wanted: Sequence[int]) -> tuple[int, ...]:
    """The label counts that there are enough classes and labels for."""
    known = material.labelled(0, 0).size if material.classes else 0
    return tuple(each for each in wanted if not each or len(material.classes) <= each < known)


def tuning(material: Material) -> dict[str, list[Training]]:
    """By approach, the trainings that its candidates are compared by."""
    return {
        approach: [
            replace(each, tested=False)
            for candidate in CANDIDATES[approach]
            for each in _at(material, approach, MIDDLE, 0, candidate)[-1:]
        ]
        for approach in approaches(material)
    }


def approaches(material: Material) -> tuple[str, ...]:
    """Those that have something to learn."""
    return APPROACHES if material.classes else (*_ALONE, *TOGETHER)


def main(
    material: Material, candidates: Candidates, wanted: Sequence[int], seeds: Sequence[int]
) -> list[Training]:
    """Table III, seed by seed, so that what is cut short has a figure in every cell."""
    found: list[Training] = []
    for seed in seeds:
        for approach in approaches(material):
            for count in counts(material, wanted) or (0,):
                found += _at(material, approach, count, seed, candidates[approach])
    return list(dict.fromkeys(found))


def variations(
    material: Material, candidates: Candidates, seeds: Sequence[int]
) -> dict[str, list[Training]]:
    """By what is varied: k, λ, and how bandwidth and duration are divided."""
    varied: dict[str, list[Training]] = {"packets": [], "weight": [], "division": []}
    for seed in seeds:
        for approach in TOGETHER:
            base = _at(material, approach, MIDDLE, seed, candidates[approach])[0]
            varied["packets"] += [replace(base, packets=k) for k in PACKETS]
            if material.classes:
                varied["division"] += [replace(base, division=d) for d in material.divisions]
        if material.classes:
            base = _at(material, "cnn", MIDDLE, seed, candidates["cnn"])[0]
            rate = base.candidate.setting
            varied["weight"] += [
                replace(base, candidate=Candidate(rate, weight)) for weight in WEIGHTS
            ]
    return varied


def _at(
    material: Material, approach: str, count: int, seed: int, candidate: Candidate
) -> list[Training]:
    """All trainings of an approach for a count of labels; that of the class comes last."""
    tasks = TASKS if material.classes else _SELF
    base = Training(approach, tasks, count, seed, candidate, division=material.divisions[0])
    if not material.classes:
        base = replace(base, labels=0)
    if approach in TOGETHER:
        return [base]
    alone = [replace(base, tasks=(task,)) for task in tasks]
    # Bandwidth and duration label themselves, however many classes are known.
    alone = [each if each.tasks == TASKS[CLASS:] else replace(each, labels=0) for each in alone]
    return alone if approach in _ALONE else alone[CLASS:]
