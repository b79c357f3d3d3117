"""The page of the reproduction, in Markdown; what has not been run is said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from trainer.evaluation import as_markdown
from trainer.traffic.claims import NAMES, accuracies, outcomes
from trainer.traffic.cost import Cost
from trainer.traffic.inputs import CLASS, SCHEMA, TASKS
from trainer.traffic.material import PARTS, TEST, Material
from trainer.traffic.method import ATTEMPTS, LIMITS, PREAMBLE, rules
from trainer.traffic.schedule import MIDDLE, TOGETHER, approaches
from trainer.traffic.training import Candidate, Outcome, Training

Figures = Mapping[Training, Outcome]

PAPER = {
    10: ((48.67,), (89.33, 92.00, 64.67), (85.33,), (89.33, 91.00, 93.33)),
    20: ((64.00,), (89.33, 92.00, 66.67), (87.33,), (90.33, 91.33, 94.67)),
    50: ((78.00,), (89.33, 92.00, 76.67), (90.67,), (90.67, 91.33, 96.00)),
    100: ((86.67,), (89.33, 92.00, 85.33), (92.67,), (90.67, 92.00, 97.33)),
}
"""Table III by labelled samples, %: random forest, CNN+RNN-2, transfer and multi-task learning."""

PAPER_ALL = 97.67
"""Single-task with the whole labelled data set, %."""

_VARIED = 2

PAPER_COLUMNS = ("RF", "CNN+RNN-2", "transfer", "multi-task")


@dataclass(frozen=True)
class Found:
    """What there is of a data set.

    Attributes:
        material: the data set.
        counts: of labels, in total, 0 for all.
        candidates: of each approach.
        main: of Table III.
        wanted: trainings of Table III.
        varied: by what is varied.
        costs: of the networks.
        dates: of the trainings.
        picture: file name; empty without one.
    """

    material: Material
    counts: tuple[int, ...]
    candidates: Mapping[str, Candidate]
    main: Figures
    wanted: int
    varied: Mapping[str, Figures]
    costs: Mapping[str, Cost]
    dates: Sequence[str]
    picture: str = ""


def page(found: Sequence[Found]) -> str:
    """The page over all data sets that were given."""
    sections = [
        "# Traffic class, bandwidth and duration, with few labels",
        PREAMBLE,
    ]
    for each in found:
        if each.material.name == "quic":
            sections += ["## What came out", as_markdown(outcomes(each.main, each.counts))]
    sections += ["## How it was measured", rules()]
    for each in found:
        sections += _data_set(each)
    if any(each.material.name == "quic" for each in found):
        sections += ["## Attempts", ATTEMPTS]
    sections += ["## What this does not show", LIMITS]
    return "\n\n".join(sections) + "\n"


def raw(found: Sequence[Found]) -> list[dict[str, Any]]:
    """All figures, as JSON has them."""
    return [
        {
            "data": each.material.name,
            "identity": each.material.identity,
            "features": SCHEMA.fingerprint(),
            "classes": list(each.material.classes),
            "trainings": [
                {**training.document(), "confusion": outcome.confusion}
                for figures in (each.main, *each.varied.values())
                for training, outcome in figures.items()
            ],
        }
        for each in found
    ]


def _data_set(found: Found) -> list[str]:
    material = found.material
    done = len(found.main)
    sections = [
        f"## {material.name}",
        f"{material.about[0].upper()}{material.about[1:]}. "
        f"{len(material)} flows of {len(material.sources)} sources, "
        f"{100 * material.whole.mean():.0f} % of them whole; "
        f"{100 * (material.rows.length == SCHEMA.n).mean():.0f} % have more than "
        f"{SCHEMA.n - 1} packets. "
        f"{done} of {found.wanted} trainings of this table are done, seeds "
        f"{', '.join(map(str, sorted({each.seed for each in found.main}))) or 'none'}"
        + (
            f", on {' to '.join(dict.fromkeys((found.dates[0], found.dates[-1])))}"
            if found.dates
            else ""
        )
        + ".",
        as_markdown(_composition(material)),
        f"Candidates that the validation part chose: {_candidates(found.candidates)}.",
    ]
    if material.classes:
        sections += ["### Traffic class", as_markdown(_classes(found))]
        if material.name == "quic":
            sections.append(
                f"The paper's single-task network with all labels: {PAPER_ALL} %. Columns "
                "*paper* are its Table III, on captures of UC Davis."
            )
        if found.picture:
            sections.append(f"![Accuracy against labels]({found.picture})")
    sections += ["### Bandwidth and duration", as_markdown(_self_labelled(found))]
    sections += _confusions(found)
    sections += _variations(found)
    if found.costs:
        sections += ["### Cost", _COST, as_markdown(_costs(found.costs))]
    return sections


_COST = "Of a network with k = 60: one thread, LiteRT, 16-bit weights, batches of 32, the fastest of 200 calls."  # noqa: E501


def _candidates(chosen: Mapping[str, Candidate]) -> str:
    """The approaches with their learning rates, or flows a leaf."""
    return ", ".join(
        f"{NAMES[name]} {each.setting:g}"
        + (f" with λ = {each.weight:g}" if name in TOGETHER else "")
        for name, each in chosen.items()
    )


def _composition(material: Material) -> list[list[str]]:
    rows = [["", *(f"{part}: flows (sources)" for part in PARTS)]]
    names = [*material.classes, *([] if material.classes else ["all"])]
    for place, name in enumerate(names):
        of = material.label == place if material.classes else np.ones(len(material), bool)
        cells = []
        for part in range(len(PARTS)):
            held = of & (material.part == part)
            cells.append(f"{held.sum()} ({np.unique(material.source[held]).size})")
        rows.append([name, *cells])
    return rows


def _classes(found: Found) -> list[list[str]]:
    material = found.material
    named = material.name == "quic"
    columns = approaches(material)
    paper = [f"paper: {name}" for name in PAPER_COLUMNS] if named else []
    rows = [["labels (a class)", *(NAMES[each] for each in columns), *paper]]
    for count in found.counts:
        each = [
            _cell(accuracies(found.main, approach, TASKS[CLASS], count)) for approach in columns
        ]
        cells = PAPER.get(count)
        theirs = [f"{cell[-1]:.2f}" for cell in cells] if cells else [""] * len(PAPER_COLUMNS)
        share = f"{count} ({count / len(material.classes):g})" if count else "all"
        rows.append([share, *each, *(theirs if named else [])])
    truth = material.label[(material.part == TEST) & (material.label >= 0)]
    common = 100 * np.bincount(truth).max() / truth.size
    rows.append(["the commonest class", *[f"{common:.1f}"] * len(columns), *[""] * len(paper)])
    return rows


def _self_labelled(found: Found) -> list[list[str]]:
    material = found.material
    division = material.divisions[0]
    labels = material.labels(division)
    named = material.name == "quic"
    columns = ("forest", "cnn_rnn", *TOGETHER)
    paper = ["paper: CNN+RNN-2", "paper: multi-task, 100 labels"] if named else []
    head = [
        "",
        "divided at",
        "tested flows",
        "commonest bucket",
        *(NAMES[each] for each in columns),
    ]
    rows = [[*head, *paper]]
    for column, (task, values, unit) in enumerate(
        (
            (TASKS[0], material.bandwidth_bps / 1_000, "kbit/s"),
            (TASKS[1], material.duration_s, "s"),
        )
    ):
        truth = labels[(material.part == TEST) & (labels[:, column] >= 0), column]
        common = 100 * np.bincount(truth).max(initial=0) / max(truth.size, 1)
        at = ", ".join(f"{value:.3g}" for value in material.dividers(values, division))
        count = MIDDLE if material.classes and MIDDLE in found.counts else None
        each = [
            _cell(accuracies(found.main, name, task, count if name in TOGETHER else None))
            for name in columns
        ]
        cells = [f"{PAPER[100][1][column]:.2f}", f"{PAPER[100][3][column]:.2f}"] if named else []
        rows.append([task, f"{at} {unit}", str(truth.size), f"{common:.1f}", *each, *cells])
    return rows


def _confusions(found: Found) -> list[str]:
    material = found.material
    sections = []
    for approach in TOGETHER if material.classes else ():
        counts = [
            np.array(outcome.confusion[TASKS[CLASS]])
            for training, outcome in found.main.items()
            if training.approach == approach and training.labels == MIDDLE
        ]
        if counts:
            total = np.sum(counts, axis=0)
            table = [["true \\ told", *material.classes]]
            table += [
                [name, *map(str, line)]
                for name, line in zip(material.classes, total.tolist(), strict=True)
            ]
            sections += [
                f"### Confusions of the {NAMES[approach]} with {MIDDLE} labels",
                f"Tested flows, summed over {len(counts)} seeds.",
                as_markdown(table),
            ]
    return sections


def _variations(found: Found) -> list[str]:
    sections = []
    tasks = TASKS if found.material.classes else TASKS[:CLASS]
    titles = {
        "packets": ("packets", "Accuracy against k", "k"),
        "weight": ("candidate.weight", "Weight of the class's loss", "λ"),
        "division": ("division", "Bandwidth and duration divided otherwise", "divided at"),
    }
    for name, (attribute, title, head) in titles.items():
        figures = found.varied.get(name, {})
        value_of = attrgetter(attribute)
        if len({value_of(each) for each in figures}) < _VARIED:  # what Table III holds already
            continue
        rows = [["", head, *tasks, "seeds"]]
        kinds = sorted({(each.approach, value_of(each)) for each in figures})
        for approach, value in kinds:
            of = [
                outcome
                for training, outcome in figures.items()
                if (training.approach, value_of(training)) == (approach, value)
            ]
            cells = [_cell([outcome.accuracy(task) for outcome in of]) for task in tasks]
            rows.append([NAMES[approach], f"{value}", *cells, f"{len(of)}"])
        sections += [f"### {title}", f"With {MIDDLE} labels.", as_markdown(rows)]
    return sections


def _costs(costs: Mapping[str, Cost]) -> list[list[str]]:
    rows = [["", "weights", "file, kB", "µs a flow"]]
    for name, cost in costs.items():
        kilobytes = f"{cost.file_bytes / 1_000:.0f}"
        rows.append([NAMES[name], f"{cost.parameters:,}", kilobytes, f"{cost.us:.1f}"])
    return rows


def _cell(values: Sequence[float]) -> str:
    """Mean [least, greatest] in %, with how many seeds where it is one."""
    if not values:
        return "–"
    shares = [100 * value for value in values]
    if len(shares) == 1:
        return f"{shares[0]:.1f}"
    return f"{np.mean(shares):.1f} [{min(shares):.1f}, {max(shares):.1f}]"
