"""The page of the reproduction, in Markdown; what has not been run is said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainer.evaluation import as_markdown
from trainer.latency.labelling import functions
from trainer.latency.reproduce import claims
from trainer.latency.reproduce.claims import MEASURES, NAMES, NOT_RUN, Figures, values
from trainer.latency.reproduce.method import ATTEMPTS, LIMITS, PREAMBLE, real_rules, rules
from trainer.latency.reproduce.poster import SIZES, Poster
from trainer.latency.reproduce.real import MODELS, TOLERANCES, Real
from trainer.latency.reproduce.timing import Timing, middle
from trainer.latency.reproduce.trial import APPROACHES, MEASUREMENTS
from trainer.latency.series import TASKS

PAPER_ACCURACY = {"label_model": (0.88, 1.0, 0.9), "snorkel_multitask": (0.98, 1.0, 0.95)}
"""The latency paper's Table 1, single-task and multi-task, in the rows that they resemble most."""

PAPER_SECONDS = (173, 64)
"""Of training, single-task and multi-task."""

POSTER = {75_000: ("CAIDA Ark", 2.3, 96.0), 24_500_000: ("RIPE Atlas", 41.2, 94.1)}
"""The poster's data by size: how much more accurate, %, and how much faster, %, multi-task is."""


@dataclass(frozen=True)
class Found:
    """What there is.

    Attributes:
        figures: of Table 1.
        bases: that were asked for.
        wanted: trials of Table 1, with those of Snorkel.
        dates: on which they were made.
        timings: of `trainer.latency.reproduce.timing`.
        posters: of `trainer.latency.reproduce.poster`.
        real: of `trainer.latency.reproduce.real`.
        pictures: file names by title.
    """

    figures: Figures
    bases: Sequence[str]
    wanted: int
    dates: Sequence[str]
    timings: Sequence[Timing]
    posters: Sequence[Poster]
    real: Real | None
    pictures: Mapping[str, str]


def page(found: Found) -> str:
    """All of it."""
    rows = [row for base in found.bases for row in claims.table_1(found.figures, base)]
    rows += claims.times(found.timings) + claims.poster(found.posters)
    outcomes = [["to be shown", "found", "holds"], *(row.cells() for row in rows)]
    dates = " to ".join(dict.fromkeys([*found.dates[:1], *found.dates[-1:]]))
    dates = f", on {dates}" if dates else ""
    sections = [
        "# Latency: noise, outages and swells, from labeling functions",
        PREAMBLE,
        "## What came out",
        as_markdown(outcomes),
        "## How it was measured",
        rules(),
        "## Table 1",
        (
            f"{len(found.figures)} of {found.wanted} trials are done{dates}. "
            'A constant "no noise" is right 99 times of 100, so F1 and balanced accuracy decide. '
            "Columns *paper* are the latency paper's Table 1, on 15,000 pings of a home network."
        ),
    ]
    for base in found.bases:
        sections += _tables(found.figures, base)
    for title, name in found.pictures.items():
        sections += [f"![{title}]({name})", f"{title}."]
    sections += ["## Training time", *_times(found.timings)]
    sections += ["## The poster's comparison", *_posters(found)]
    sections += ["## Series that were not generated", real_rules(), *_real(found.real)]
    sections += ["## Attempts", ATTEMPTS, "## What this does not show", LIMITS]
    return "\n\n".join(sections) + "\n"


def raw(found: Found) -> dict[str, Any]:
    """All figures, as JSON has them."""
    return {
        "trials": [
            {**trial.document(), "outcome": outcome.document()}
            for trial, outcome in found.figures.items()
        ],
        "timings": [asdict(timing) for timing in found.timings],
        "posters": [asdict(poster) for poster in found.posters],
        "real": None if found.real is None else found.real.document(),
    }


def _tables(figures: Figures, base: str) -> list[str]:
    sections = []
    for measure, title in MEASURES.items():
        paper = [f"paper: {task}" for task in TASKS] if measure == "accuracy" else []
        table = [[f"{title}, {base} base", *TASKS, "runs", *paper]]
        for approach in APPROACHES:
            each = [values(figures, base, approach, task, measure) for task in TASKS]
            cells = [NAMES[approach], *map(_cell, each), f"{len(each[0])}"]
            if paper:
                known = PAPER_ACCURACY.get(approach)
                cells += [f"{value:.2f}" for value in known] if known else [""] * len(TASKS)
            table.append(cells)
        sections.append(as_markdown(table))
    return sections


def _times(timings: Sequence[Timing]) -> list[str]:
    if not timings:
        return [f"{NOT_RUN[0].upper()}{NOT_RUN[1:]}."]

    def over(value: Callable[[Timing], float]) -> str:
        each = [value(timing) for timing in timings]
        return f"{middle(each):.1f} [{min(each):.1f}, {max(each):.1f}]"

    def of(name: str) -> list[str]:
        if not all(getattr(timing, name) for timing in timings):
            return ["–"] * (len(TASKS) + 1)
        each = [over(lambda timing, task=task: getattr(timing, name)[task]) for task in TASKS]  # type: ignore[misc]
        return [*each, over(lambda timing: sum(getattr(timing, name).values()))]

    nothing = [""] * len(TASKS)
    single, several = PAPER_SECONDS
    table = [["seconds of one processor", *TASKS, "all", "paper (by the clock)"]]
    table += [["Snorkel's applier", *of("applier"), ""]]
    table += [["Snorkel's label model", *of("label_model"), ""]]
    table += [["single-task as the paper times it: both", *nothing, over(_paper), f"{single}"]]
    table += [["our functions", *nothing, over(lambda timing: timing.votes), ""]]
    table += [["our label models", *nothing, over(lambda timing: timing.our_label_models), ""]]
    table += [["one network for three, as in Table 1", *nothing]]
    table[-1] += [over(lambda timing: timing.stopped), ""]
    table += [["multi-task: these three", *nothing, over(lambda timing: timing.ours), f"{several}"]]
    table += [["one network for three, all epochs", *nothing]]
    table[-1] += [over(lambda timing: timing.together), ""]
    table += [["a network a task, of the same size", *of("apart"), ""]]
    table += [["a network a task, with one expert", *of("single"), ""]]
    one, three = over(lambda timing: timing.causal_together), of("causal_apart")
    table += [["one network for three, last 64 measurements", *nothing, one, ""]]
    table += [["a network a task, last 64 measurements", *three, ""]]
    labelled = middle([timing.labelled for timing in timings])
    ours = middle([timing.ours for timing in timings])
    share = middle([t.together / sum(t.single.values()) for t in timings])
    return [
        f"Of {MEASUREMENTS:,} measurements: medians of {len(timings)} runs [least, greatest].",
        as_markdown(table),
        (
            "What makes the paper's single-task side slow is that its functions are called a row "
            "at a time. With our functions and label models on both sides, single-task takes "
            f"{labelled:.1f} s and multi-task {ours:.1f} s: then the label model alone is the "
            "faster one by far, and a network adds what Table 1 shows. One network for three takes "
            f"{share:.2f} of the time of three smaller ones, with a single expert each."
        ),
    ]


def _paper(timing: Timing) -> float:
    return timing.paper


def _posters(found: Found) -> list[str]:
    applier = [
        timing.paper / MEASUREMENTS for timing in found.timings if not np.isnan(timing.paper)
    ]
    head = ["", "measurements", "workers", "votes, s", "label models, s", "network, s", "test, s"]
    head += ["million votes a second", "memory, GB", "largest worker, GB"]
    costs, tables = [head], []
    every = len(found.posters)
    for poster in found.posters:
        each = (poster.seconds[what] for what in ("votes", "label models", "network", "test"))
        seconds = [f"{value:.1f}" for value in each]
        rate = poster.measurements * len(functions()) / poster.voting / 1e6
        memory = [f"{held / 1e9:.2f}" for held in poster.peak_bytes]
        size = f"{poster.measurements:,}"
        costs.append(["ours", size, poster.workers, *seconds, f"{rate:.1f}", *memory])
        tables.append(as_markdown(_poster(poster, middle(applier))))
    missing = [size for size in SIZES if size not in {each.measurements for each in found.posters}]
    sections = [as_markdown(costs), *tables] if every else []
    if missing:
        names = " and ".join(f"{size:,}" for size in missing)
        sections.append(f"The comparison at {names} measurements is {NOT_RUN}.")
    return sections


def _poster(poster: Poster, applier: float) -> list[list[str]]:
    """Multi-task beside single-task at one size, the poster's figures in their own column."""
    data, accurate, faster = POSTER[poster.measurements]
    table = [[f"{poster.measurements:,} measurements", NAMES["label_model"], NAMES["lmmoe"]]]
    table[0] += ["multi-task more, points", f"poster ({data})"]
    gains = []
    for measure, title in MEASURES.items():
        for task in TASKS:
            alone = getattr(poster.label_model[task], measure)
            together = getattr(poster.network[task], measure)
            gains.append(together - alone)
            cells = [f"{title}, {task}", f"{alone:.4f}", f"{together:.4f}"]
            table.append([*cells, f"{round(100 * gains[-1], 2) + 0.0:+.2f}", ""])
    accuracy = 100 * float(np.mean(gains[: len(TASKS)]))
    table.append(["accuracy, mean of the tasks", "", "", f"{accuracy:+.2f}", f"+{accurate} %"])
    clock = sum(poster.seconds[what] for what in ("votes", "label models", "network"))
    ours = clock if poster.processor is None else poster.processor
    if np.isnan(applier):
        return [*table, ["training, s", "–", f"{ours:.0f}", "", f"{faster} % faster"]]
    theirs = applier * poster.measurements
    gain = f"{100 * (1 - ours / theirs):.1f} % faster"
    what = "training, s (single-task by Snorkel, reckoned from its rate above)"
    return [*table, [what, f"{theirs:,.0f}", f"{ours:,.0f}", gain, f"{faster} % faster"]]


def _real(real: Real | None) -> list[str]:
    if real is None:
        return [f"{NOT_RUN[0].upper()}{NOT_RUN[1:]}."]
    head = [f"{real.series} held-out series, {real.measurements:,} measurements", *MODELS]
    table = [head]
    for tolerance in TOLERANCES:
        tallies = [real.tallies[model][tolerance] for model in MODELS]
        marked = f"change points ({tallies[0].marked} marked), within {tolerance}"
        table.append([f"{marked}: found", *(f"{each.found}" for each in tallies)])
        table.append(["precision", *(f"{each.precision:.3f}" for each in tallies)])
        table.append(["recall", *(f"{each.recall:.3f}" for each in tallies)])
    failed = [real.failed[model] for model in MODELS]
    table.append([f"failed pings ({failed[0].positives}): precision"])
    table[-1] += [f"{each.precision:.3f}" for each in failed]
    table.append(["recall", *(f"{each.recall:.3f}" for each in failed)])
    shares = [["flent's pings under load", *(f"{model}: {t}" for model in MODELS for t in TASKS)]]
    for name, of in real.shares.items():
        cells = [f"{100 * share:.1f}" for model in MODELS for share in of[model]]
        shares.append([name, *cells])
    flent = (
        "Shares, in %, of measurements that are called noise, outage and swell; what is true of "
        "them nobody has marked."
    )
    return [as_markdown(table), *([flent, as_markdown(shares)] if real.shares else [])]


def _cell(found: Sequence[float]) -> str:
    """Mean [least, greatest]."""
    if not found:
        return "–"
    if len(found) == 1:
        return f"{found[0]:.3f}"
    return f"{np.mean(found):.4f} [{min(found):.3f}, {max(found):.3f}]"
