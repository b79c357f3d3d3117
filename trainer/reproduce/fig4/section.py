"""Fig. 4 in words and tables."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from trainer.evaluation import as_markdown, summary
from trainer.reproduce.courses import SEEDS, SETTINGS, TASKS
from trainer.reproduce.fig4 import sizing, unusual
from trainer.reproduce.fig4.claims import NOT_RUN
from trainer.reproduce.fig4.cost import BATCHES, ROUNDS
from trainer.reproduce.fig4.sceptic import rule_tasks
from trainer.reproduce.fig4.standing import (
    PARTS,
    is_within,
    level,
    medians,
    of_family,
    quartiles,
    worst,
)
from trainer.reproduce.fig4.step import Fig4
from trainer.reproduce.fig4.variants import EPOCHS, Variant


def section(found: Fig4 | None, picture: str = "") -> list[str]:
    """Paragraphs and tables.

    Args:
        found: what there is, if anything.
        picture: file name of the plot.
    """
    if found is None or not found.begun:
        return [f"{NOT_RUN.capitalize()}."]
    missing = f" {found.missing} of the variants are not here yet." if found.missing else ""
    return [
        _INTRODUCTION + missing,
        *([f"![areas against weights and time]({picture})"] if picture else []),
        "### Areas",
        as_markdown(_areas(found)),
        _KITSUNE,
        "### Cost",
        _how_timed(found),
        *([as_markdown(_costs(found)), as_markdown(_packet_costs(found))] if found.costs else []),
        "### Algorithm 1",
        _searches(found),
        "### Attempts at a smaller LMMoE",
        _attempts(found),
    ]


def _areas(found: Fig4) -> list[list[str]]:
    header = ["variant", "weights", *(f"{part}: {task}" for part in PARTS for task in TASKS)]
    rows = [header]
    for variant in _in_order(found):
        seeds = {part: np.array(found.networks.areas(variant, part)) for part in PARTS}
        cells = [summary(list(seeds[part][:, i])) for part in PARTS for i in range(len(TASKS))]
        rows.append([variant.name, str(found.networks.parameters(variant)), *cells])
    for size in unusual.LARGEST:
        mine = [each for each in found.kitsune if each.largest == size]
        if not mine:
            continue
        for words, what in (
            ("flows", "flows"),
            ("flows, benign negatives only", "benign"),
            ("packets", "packets"),
        ):
            each = [getattr(one, what) for one in mine]
            cells = [
                summary([areas[part][i] for areas in each])
                for part in PARTS
                for i in range(len(TASKS))
            ]
            name = f"Kitsune × {len(TASKS)}, autoencoders of at most {size}: {words}"
            rows.append([name, summary([one.parameters for one in mine]).split(".")[0], *cells])
    if found.sceptic is not None:
        trees = [f"{area:.4f}" for part in PARTS for area in found.sceptic.trees[part]]
        rows.append(["gradient-boosted trees, one model a task", "–", *trees])
        areas = {
            (part, task): f"{area:.4f}"
            for part in PARTS
            for task, area in zip(rule_tasks(), found.sceptic.rule[part], strict=True)
        }
        rows.append(
            [
                "counting rule",
                "–",
                *(areas.get((part, task), "–") for part in PARTS for task in TASKS),
            ]
        )
    return rows


def _in_order(found: Fig4) -> list[Variant]:
    order = ["singles", "shared", "by hand", "tuned", "attempt"]
    return sorted(found.variants, key=lambda each: order.index(each.family))


def _how_timed(found: Fig4) -> str:
    if found.costs is None:
        return f"{NOT_RUN.capitalize()}."
    costs = found.costs
    counted = (
        "Instructions are callgrind's, a full row at batch 1, the caller's Python included."
        if costs.instructions
        else f"Instructions: not counted, {costs.uncounted}."
    )
    return (
        f"One run of {ROUNDS} rounds, {costs.date}, {costs.machine}, {costs.timed.runtime}, one "
        "thread: every variant, in another order each round. Times are CPU times of the process, "
        "median [quartiles] of the rounds, in µs a row, each network called as the sensor calls "
        "it (Python included, once for each network); a full row has "
        f"{max(costs.timed.rows[found.variants[0].name])} packets. {counted} Resident memory is "
        "of a process with the runtime, numpy and the networks."
    )


def _costs(found: Fig4) -> list[list[str]]:
    costs = found.costs
    if costs is None:
        return []
    lengths = sorted(costs.timed.rows[found.variants[0].name], reverse=True)
    rows = [
        [
            "variant",
            "weights",
            "file bytes",
            *(f"{n} packets, batch {batch}" for n in lengths for batch in BATCHES),
            "resident MiB",
            "instructions",
        ]
    ]
    for variant in _in_order(found):
        times = costs.timed.rows[variant.name]
        counted = costs.instructions.get(variant.name)
        rows.append(
            [
                variant.name,
                str(found.networks.parameters(variant)),
                str(found.networks.file_bytes(variant)),
                *(quartiles(times[n][batch]) for n in lengths for batch in BATCHES),
                f"{costs.resident_kib[variant.name] / 1024:.1f}",
                "–" if counted is None else str(counted),
            ]
        )
    if "trees" in costs.timed.rows:
        times = costs.timed.rows["trees"]
        cells = [quartiles(times[n][batch]) for n in lengths for batch in BATCHES]
        rows.append(["gradient-boosted trees (scikit-learn)", "–", "–", *cells, "–", "–"])
    return rows


def _packet_costs(found: Fig4) -> list[list[str]]:
    costs = found.costs
    if costs is None:
        return []
    words = {
        "AfterImage": "Kitsune: statistics (AfterImage), once for all instances",
        "KitNET": f"Kitsune: {len(TASKS)} instances (KitNET)",
        "flow table": "the sensor's flow table, decoded packets to rows",
    }
    rows = [["µs a packet", *(f"batch {batch}" for batch in BATCHES)]]
    rows += [
        [words[name], *(quartiles(times[batch]) for batch in BATCHES)]
        for name, times in costs.timed.packets.items()
    ]
    return rows


def _searches(found: Fig4) -> str:
    rows = [["target: mean area of", "target", "found", "trainings", "each task by itself"]]
    for each in found.sized:
        search = each.found
        sizes = ", ".join(f"{one.task} {one.units} ({one.state})" for one in search.sizes)
        what = f"{search.experts} × {search.units}" if search.finished else NOT_RUN
        if search.finished and not search.meets:
            what += ", not enough"
        target = f"{search.goal.target:.4f}"
        rows.append([each.of.size, target, what, str(len(search.asked)), sizes])
    return (
        "As in the paper, the areas of the LMMoE sized by hand are the targets. The search sees "
        "none of the tested flows: it measures on 15 % of the training recordings that lie between "
        "what is learnt and what is tested, with one seed, "
        f"{sizing.BATCH} examples a step, sizes from {sizing.START} to {sizing.LARGEST}, a drop of "
        f"{sizing.DROP}, and keeps a candidate's best epoch of {EPOCHS}. What it finds is then "
        f"trained like all other variants.\n\n{as_markdown(rows)}"
    )


def _attempts(found: Fig4) -> str:
    wanted = level(found)
    rows = [["attempt", "weights", "worst area by the best singles", "within"]]
    for variant in of_family(found, ["by hand", "attempt", "tuned", "shared", "singles"]):
        lowest = worst(medians(found, variant), wanted)
        within = "yes" if is_within(medians(found, variant), wanted) else "no"
        count = str(found.networks.parameters(variant))
        rows.append([variant.name, count, f"{lowest:+.4f}", within])
    return (
        "1: narrower towers, or none. 2: gates that see the context and not the experts' states. "
        "3: experts of a single unit. The level is the best median that singles of any size reach, "
        "task by task; every variant is held against it, smallest first. Sizes are chosen on what "
        f"is tested, for all families alike.\n\n{as_markdown(rows)}"
    )


def raw(found: Fig4) -> dict[str, Any]:
    """All numbers, as JSON has them."""
    return {
        "variants": [
            {
                "name": variant.name,
                "family": variant.family,
                "parameters": found.networks.parameters(variant),
                "file_bytes": found.networks.file_bytes(variant),
                "areas": {part: found.networks.areas(variant, part) for part in PARTS},
            }
            for variant in found.variants
        ],
        "algorithm1": [{"of": each.of.name, "found": asdict(each.found)} for each in found.sized],
        "kitsune": [asdict(each) for each in found.kitsune],
        "sceptic": asdict(found.sceptic) if found.sceptic else None,
        "costs": _rounded(asdict(found.costs)) if found.costs else None,
    }


def _rounded(value: Any) -> Any:
    """Times to the nanosecond: 60 rounds of every variant are many digits."""
    if isinstance(value, dict):
        return {str(key): _rounded(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        low, median, high = np.percentile(value, [25, 50, 75]).round(3).tolist()
        return {"low": low, "median": median, "high": high}
    return value


_INTRODUCTION = (
    "Space and time of (1) Kitsune, an instance a task, (2) one LSTM a task, (3) the LMMoE sized "
    "by hand, (4) the LMMoE that Algorithm 1 sizes for the areas of (3); and beside the paper's, "
    "one LSTM that all tasks share, LMMoEs made smaller, gradient-boosted trees and the sensor's "
    "counting rule. All learn the same flows with true labels. Networks: "
    f"{EPOCHS} epochs, Adam from {SETTINGS.learning_rate:g}, seeds "
    f"{', '.join(map(str, SEEDS))}; each is converted to a float16 TFLite file, and both areas and "
    "times are that file's. A network of a task that looks at the first rows only has fewer "
    "examples than one of all tasks, and would make fewer steps in as many epochs and detect less "
    "for that alone; so all make equally many steps, with smaller batches. A size is experts × "
    "units and the width of a tower's hidden layer. How much the LMMoE saves depends on how large "
    "the LSTMs of one task each are allowed to be: where both sides may be as small as the level "
    "allows, it is least."
)

_KITSUNE = (
    "Kitsune's instances learn from at most "
    f"{unusual.PACKETS:,} packets of benign beginnings, and nothing from the first tested flow of "
    "a recording on. A flow's score is the highest of its packets. An area below a half is no "
    "mistake of sign: a flood of which each packet has another sender is in no stream with a past, "
    "and AfterImage keys nothing by the victim, so such a packet looks like the beginning of any "
    "conversation, which is what the autoencoders know best; benign traffic in the middle of a "
    "conversation varies more. It was not tuned away. Nor can an instance tell attacks "
    "apart: what is unusual is unusual for all three."
)
