"""A tuning for people: lines, a JSON document, a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from trainer.tuning.algorithm1 import Candidate, Found, State, Step, most_questions
from trainer.tuning.candidates import Trained
from trainer.tuning.grid import Verdict

FORMAT = 1

_STATES: dict[State, str] = {
    "met": "the least size that meets the target",
    "pruned": "at most, and no more than another task needs",
    "level": "short of the target; larger experts did no better",
    "largest": "short of the target; the largest size",
    "open": "not searched to the end",
}


def summary(found: Found, results: Mapping[Candidate, Trained], fresh: int) -> list[str]:
    """What was found, line by line.

    Args:
        found: by the search.
        results: of everything that it asked about.
        fresh: candidates that were trained for it, and not found in the work folder.
    """
    lines = [
        f"{size.task}: {size.units} units, AUC {size.accuracy:.4f} ({_STATES[size.state]})"
        if size.units
        else f"{size.task}: {_STATES[size.state]}"
        for size in found.sizes
    ]
    common = Candidate(found.units, found.experts, found.goal.tasks)
    if common in results:
        areas = ", ".join(f"{area:.4f}" for area in results[common].aucs)
        verdict = "enough" if found.meets else "NOT enough for every task, but the nearest"
        lines.append(f"{common}: AUC {areas}, {results[common].parameters} parameters, {verdict}")
    lines.append(
        f"{len(found.asked)} networks asked about, {most_questions(found.goal)} at most; "
        f"{fresh} trained now"
    )
    return lines


def settings_lines(found: Found, tower_units: Sequence[int]) -> str:
    """The settings of the network that was found, as a recipe has them."""
    towers = ", ".join(map(str, tower_units))
    return f"[training]\nexperts = {found.experts}\nunits = {found.units}\ntower_units = [{towers}]"


def judged(verdict: Verdict) -> list[str]:
    """A search beside its grid, line by line."""
    distance = "–" if verdict.distance is None else f"{verdict.distance:+.1%}"
    best = "no network of the grid is enough"
    if verdict.best:
        best = f"the smallest that is enough has {verdict.best}, {verdict.parameters} parameters"
    lines = [f"grid: {len(verdict.candidates)} networks; {best}"]
    lines.append(
        f"distance of the search from it {distance}; {verdict.asked} trainings, "
        f"{verdict.share:.1%} of the grid's, in {verdict.seconds_share:.1%} of their time"
    )
    return lines


def document(
    found: Found,
    results: Mapping[Candidate, Trained],
    seconds: float,
    made_of: Mapping[str, Any],
    verdict: Verdict | None,
) -> dict[str, Any]:
    """All of it, for `tuning.json`.

    Args:
        found: by the search.
        results: of everything that was trained.
        seconds: that the search took, trainings that were known already not included.
        made_of: what the trainings were made of.
        verdict: on a grid, if there was one.
    """
    return {
        "format": FORMAT,
        "made_of": dict(made_of),
        "goal": asdict(found.goal),
        "finished": found.finished,
        "meets": found.meets,
        "units": found.units,
        "experts": found.experts,
        "sizes": [asdict(size) for size in found.sizes],
        "steps": [_step(step, results) for step in found.steps],
        "most_questions": most_questions(found.goal),
        "questions": len(found.asked),
        "training_seconds": sum(results[each].seconds for each in found.asked),
        "seconds": seconds,
        "networks": [
            {**asdict(candidate), **asdict(trained)} for candidate, trained in results.items()
        ],
        "grid": asdict(verdict) if verdict else None,
    }


def _step(step: Step, results: Mapping[Candidate, Trained]) -> dict[str, Any]:
    return {
        "why": step.why,
        **asdict(step.candidate),
        "accuracies": step.accuracies,
        "wanted": step.wanted,
        "enough": step.enough,
        "parameters": results[step.candidate].parameters,
    }


def draw(found: Found, results: Mapping[Candidate, Trained], path: Path, grid: bool) -> None:  # noqa: FBT001 -- one caller
    """Draws the search: a panel a task, one of the experts, and with a grid one of its cost.

    Numbers say the order of the steps; filled points were enough.
    """
    tasks = found.goal.tasks
    panels = len(tasks) + 1 + grid
    figure = Figure(figsize=(3.6 * panels, 3.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis, task in zip(axes, tasks, strict=False):
        steps = {
            number: step
            for number, step in enumerate(found.steps, 1)
            if step.why != "experts" and step.candidate.tasks == (task,)
        }
        sizes = [step.candidate.units for step in steps.values()]
        axis.plot(sizes, [step.accuracies[0] for step in steps.values()], "0.8", linewidth=0.8)
        for number, step in steps.items():
            _point(axis, number, step.candidate.units, step.accuracies[0], step.enough)
        axis.axhline(found.goal.target, color="0.5", linestyle=":")
        if sizes:
            axis.set_xscale("log", base=2)
            axis.set_xticks(sizes, [str(size) for size in sizes], fontsize="small")
        axis.set(title=task, xlabel="units of one expert", ylabel="AUC")
    axis = axes[len(tasks)]
    for number, step in enumerate(found.steps, 1):
        if step.why == "experts":
            for column in range(len(tasks)):
                colour = f"C{column}"
                _point(
                    axis,
                    number,
                    step.candidate.experts,
                    step.accuracies[column],
                    step.accuracies[column] >= step.wanted[column],
                    colour,
                )
                axis.axhline(step.wanted[column], color=colour, linestyle=":", linewidth=0.8)
    for column, task in enumerate(tasks):
        axis.plot([], [], "o", color=f"C{column}", label=task)
    axis.legend(fontsize="small")
    axis.set(title=f"all tasks, experts of {found.units} units", xlabel="experts", ylabel="AUC")
    axis.set_xticks(range(1, len(tasks) + 1))
    if grid:
        _cost(axes[-1], found, results)
    figure.savefig(path, dpi=110)


def _cost(axis: Any, found: Found, results: Mapping[Candidate, Trained]) -> None:
    """Parameters and worst margin of every network of all tasks, and what was found."""
    wanted = next(step.wanted for step in reversed(found.steps) if step.why == "experts")
    own = Candidate(found.units, found.experts, found.goal.tasks)
    for candidate, trained in results.items():
        if candidate.tasks == found.goal.tasks:
            margin = min(a - w for a, w in zip(trained.aucs, wanted, strict=True))
            marker, size = ("*", 12) if candidate == own else ("o", 4)
            axis.plot(
                trained.parameters,
                margin,
                marker,
                markersize=size,
                color=f"C{candidate.experts - 1}",
                markerfacecolor=None if margin >= 0 else "none",
            )
    axis.axhline(0, color="0.5", linestyle=":")
    axis.set(title="the grid (star: found)", xlabel="parameters", ylabel="worst AUC − wanted")


def _point(axis: Any, number: int, x: int, y: float, enough: bool, colour: str = "C0") -> None:  # noqa: FBT001 -- private
    axis.plot(x, y, "o", color=colour, markerfacecolor=colour if enough else "none")
    axis.annotate(str(number), (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
