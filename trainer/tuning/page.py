"""A tuning as a page: what was searched for, what was found, and what the search is worth."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.evaluation import as_markdown
from trainer.tuning.algorithm1 import Candidate, Found
from trainer.tuning.candidates import Trained
from trainer.tuning.grid import Verdict
from trainer.tuning.report import judged, settings_lines, summary

CORES = 2
"""By which the time of trainings is divided that were there before."""

MINUTES, DISTANCE, SHARE = 10, 0.1, 1 / 3
"""Aims: a search's time, its parameters above the best of the grid, its share of trainings."""


def page(
    found: Found,
    results: Mapping[Candidate, Trained],
    seconds: float,
    made_of: Mapping[str, Any],
    verdict: Verdict | None,
    picture: str,
) -> str:
    """The page, in Markdown.

    Args:
        found: by the search.
        results: of everything that was trained.
        seconds: that the search took by the clock, in this call.
        made_of: what the trainings were made of, with ``settings``, ``split`` and ``flows``.
        verdict: on a grid, if there was one.
        picture: file name of the drawn search.
    """
    goal, settings, split = found.goal, made_of["settings"], made_of["split"]
    busy = sum(results[each].seconds for each in found.asked)
    about = (
        f"Made by `multa-trainer tune`: {', '.join(goal.tasks)}; target {goal.target:g}, drop "
        f"{goal.drop:g}, sizes from {goal.start} to {goal.largest}, towers of "
        f"{', '.join(map(str, settings['tower_units']))}, at most {settings['epochs']} epochs with "
        f"patience {settings['patience']}, {settings['batch_size']} examples a step, seed "
        f"{made_of['seed']}. It learns from {len(split['train'])} sources and measures on "
        f"{len(split['validation'])}, of both at most {made_of['flows']} flows of each combination "
        f"of labels; {len(split['test'])} sources are left alone."
    )
    lines = [*summary(found, results, len(found.asked))[:-1], *(judged(verdict) if verdict else [])]
    sections = [
        "# Size tuning by Algorithm 1",
        about,
        "## What came out",
        as_markdown(_aims(found, seconds, busy, verdict)),
        "\n".join(f"- {line}" for line in lines),
        f"![the search, step by step]({picture})",
        "## The network that was found",
        f"```toml\n{settings_lines(found, settings['tower_units'])}\n```",
        "## Every question of the search",
        as_markdown(_steps(found, results)),
    ]
    if verdict:
        sections += ["## The grid", as_markdown(_grid(found, results, verdict))]
    return "\n\n".join(sections) + "\n"


def _aims(found: Found, seconds: float, busy: float, verdict: Verdict | None) -> list[list[str]]:
    rows = [["aim", "measured", ""]]
    # A call that found its trainings in the work folder took no time for them.
    minutes = max(seconds, busy / CORES) / 60
    told = (
        f"{seconds / 60:.1f} by the clock in this call; its {len(found.asked)} trainings, some of "
        f"them side by side, took {busy / 60:.1f} of a worker's"
    )
    aim = f"minutes of the search on {CORES} cores, at most {MINUTES}"
    rows.append([aim, told, _holds(minutes <= MINUTES)])
    if verdict is None:
        return rows
    distance = "no network of the grid, or not what was found, is enough"
    if verdict.distance is not None:
        distance = f"{verdict.distance:+.1%} ({verdict.best}, {verdict.parameters} parameters)"
    near = verdict.distance is not None and verdict.distance <= DISTANCE
    rows.append(
        [f"parameters above the grid's best, at most {DISTANCE:.0%}", distance, _holds(near)]
    )
    share = f"{verdict.asked} of {len(verdict.candidates)}, {verdict.share:.0%}"
    share += f"; {verdict.seconds_share:.0%} of their time"
    rows.append(
        ["share of the grid's trainings, at most 1/3", share, _holds(verdict.share <= SHARE)]
    )
    return rows


def _holds(value: bool) -> str:  # noqa: FBT001 -- private
    return "holds" if value else "does not hold"


def _steps(found: Found, results: Mapping[Candidate, Trained]) -> list[list[str]]:
    rows = [["step", "why", "asked about", "tasks", "areas", "wanted", "enough", "parameters"]]
    rows += [
        [
            str(number),
            step.why,
            str(step.candidate),
            ", ".join(step.candidate.tasks),
            _areas(step.accuracies),
            _areas(step.wanted),
            "yes" if step.enough else "no",
            str(results[step.candidate].parameters),
        ]
        for number, step in enumerate(found.steps, 1)
    ]
    return rows


def _grid(found: Found, results: Mapping[Candidate, Trained], verdict: Verdict) -> list[list[str]]:
    """Areas of every network of the grid, smallest first."""
    own = Candidate(found.units, found.experts, found.goal.tasks)
    rows = [["network", "parameters", "areas", "enough"]]
    for candidate in sorted(verdict.candidates, key=lambda each: results[each].parameters):
        enough = "yes" if candidate in verdict.enough else "no"
        mark = " (found)" if candidate == own else ""
        trained = results[candidate]
        rows.append([f"{candidate}{mark}", str(trained.parameters), _areas(trained.aucs), enough])
    return rows


def _areas(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)
