"""The page of the reproduction, in Markdown; what has not been run is said."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.evaluation import as_markdown, summary
from trainer.lab.recording_set import RecordingSet
from trainer.reproduce.courses import (
    EPOCHS,
    FIG5,
    METADATA,
    REHEARSAL,
    SEEDS,
    SETTINGS,
    STEPS,
    TABLE1,
    TABLE2,
    TASKS,
    TURN,
    WHOLE,
)
from trainer.reproduce.fig4.claims import NOT_RUN, outcomes
from trainer.reproduce.fig4.section import raw as numbers
from trainer.reproduce.fig4.section import section
from trainer.reproduce.fig4.step import Fig4
from trainer.reproduce.figures import PAPER, Difference, curve, explanation
from trainer.reproduce.material import IN_SOURCE, LEARNT, LEFT_OUT, MOST, Material
from trainer.reproduce.results import Result

_FINAL = max(EPOCHS)
_FILLED, _RAINBOW = (f"table2-own-{word}" for word in ("filled", "rainbow"))
_WRONG, _WRONG_RAINBOW, _CORRECT = (
    f"table2-others-{word}" for word in ("filled", "rainbow", "correct")
)


def page(
    material: Material,
    wanted: RecordingSet,
    results: Sequence[Result],
    fig4: Fig4,
    pictures: dict[str, str],
) -> str:
    """The page.

    Args:
        material: that was trained and tested on.
        wanted: the recordings that it was drawn from.
        results: what there is of the other steps.
        fig4: what there is of Fig. 4.
        pictures: file names by step, of what was drawn.
    """
    sections = [
        "# MULTA's evaluation, made again",
        _preamble(material, wanted, results),
        "## What came out",
        as_markdown([*_outcomes(results), *outcomes(fig4)]),
        "## What it was measured on",
        _measured_on(material),
        "## Table II: Aurora and Rainbow",
        *_table2(material, results, pictures),
        "## Table I: what the metadata of packets are worth",
        *_table1(results),
        "## Fig. 5: tasks learnt one after the other",
        *_fig5(material, results, pictures),
        "## Fig. 4: detection against cost",
        *section(fig4, pictures.get("fig4", "")),
        "## What this does not show",
        _LIMITS,
    ]
    return "\n\n".join(sections) + "\n"


def raw(material: Material, results: Sequence[Result], fig4: Fig4) -> dict[str, Any]:
    """All numbers, as JSON has them."""
    return {
        "material": material.identity,
        "features": material.dataset.schema.fingerprint(),
        "tasks": list(TASKS),
        "results": [
            {
                "course": result.course,
                "seed": result.seed,
                "date": result.date,
                "parameters": result.followed.parameters,
                "examples": list(result.followed.examples),
                "seconds": round(result.followed.seconds, 1),
                "areas": {str(epoch): areas for epoch, areas in result.followed.areas.items()},
            }
            for result in results
        ],
        "fig4": numbers(fig4),
    }


def _preamble(material: Material, wanted: RecordingSet, results: Sequence[Result]) -> str:
    dates = sorted({result.date for result in results})
    when = (
        f"; networks trained {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else ""
    )
    trained = [result.followed for result in results]
    size = f"{trained[0].parameters} weights" if trained else "untrained"
    minutes = sum(each.seconds for each in trained) / 60
    count = sum(len(courses) for _, courses in STEPS.values()) * len(SEEDS)
    return (
        "Made by `multa-trainer reproduce multa --recordings … --work … --out …`"
        f"{when}; features {material.dataset.schema.fingerprint()[:12]}. The paper measured on "
        "captures of Kitsune, which can't be had; here it is the lab's recordings "
        f"(`{wanted.name}`, version {wanted.version}; the list is kept with the command, so that "
        "recordings which the set gains later change nothing here), so its numbers stand beside "
        "ours in columns of their own and are not to be compared digit by digit. Three of the "
        f"known tasks: {', '.join(TASKS)}.\n\n"
        f"Every network of Tables I and II and Fig. 5: {SETTINGS.experts} experts of "
        f"{SETTINGS.units} units, towers of {SETTINGS.tower_units[0]}, {size}, "
        f"{SETTINGS.batch_size} examples a step, Adam from "
        f"{SETTINGS.learning_rate:g} along half a cosine over the epochs that are shown, no early "
        f"stopping. Seeds {', '.join(map(str, SEEDS))}; numbers with brackets are median "
        "[smallest, largest] of the seeds."
        f" {len(results)} of {count} of these networks are here, trained in "
        f"{minutes:.0f} minutes of busy cores altogether."
    )


def _measured_on(material: Material) -> str:
    words = {
        LEARNT: "training: first 55 % of each recording of the part train",
        IN_SOURCE: "in-source: last 30 % of the same recordings",
        LEFT_OUT: "left out: the recordings of the part test",
    }
    rows = [["part", "at most drawn of each kind", "flows", "rows", *TASKS]]
    for part, word in words.items():
        there = material.parts[part]
        sources = np.unique(material.dataset.source[there]).size
        counts = [material.flows(there), int(there.sum()), *material.attacks(there)]
        rows.append([f"{word} ({sources} recordings)", str(MOST[part]), *map(str, counts)])
    return (
        f"{as_markdown(rows)}\n\nA kind is a recording and a combination of the labels of all "
        "known tasks: flows are drawn at random (always the same), so that a flood leaves room for "
        "what is rare, and areas are over the drawn flows. Attacks of other tasks are among them, "
        "and are negatives. Tested labels are true ones, of every task, whatever was learnt."
    )


def _table2(material: Material, results: Sequence[Result], pictures: dict[str, str]) -> list[str]:
    if not any(result.course in TABLE2 for result in results):
        return [f"{NOT_RUN.capitalize()}."]
    tables = []
    for part, title in ((LEFT_OUT, "Left-out recordings"), (IN_SOURCE, "In-source, later flows")):
        tables += [f"### {title}: average ROC-AUC of the three tasks", _by_epoch(results, part)]
    tables += [f"### Each task after epoch {_FINAL}", _by_task(results)]
    return [_sets(material), *tables, *_picture(pictures, "table2")]


def _sets(material: Material) -> str:
    rows = [["attacks of", "flows", "in their own set", "elsewhere, if half are"]]
    for column, task in enumerate(TASKS):
        attack = material.truth[:, column] == 1
        learnt = attack & material.parts[LEARNT]
        own = material.flows(learnt & (material.sets["others"] == column))
        total = material.flows(learnt)
        rows.append([task, str(total), str(own), str(total - own)])
    filled, wrong = (
        (material.labels("others", "filled")[material.parts[LEARNT]] == 0),
        (material.truth[material.parts[LEARNT]] == 1),
    )
    share = float((filled & wrong).sum() / max(1, wrong.sum()))
    return (
        "Three datasets of single tasks are made of the training flows; each flow is in one of "
        "them, and has the label of that task only. Flows without one of the three attacks are in "
        "the set of their recording; recordings are dealt out to the tasks in turn.\n\n"
        "- **own**: each attack's flows are in its own task's set, as in the paper's captures. "
        "Filling missing labels with negatives is then right everywhere, so that *filled* and "
        "*labels correct* are one column.\n"
        "- **others**: half of each attack's flows, drawn at random, are in the other two tasks' "
        "sets, where nobody has labelled them. Filling calls them negative: "
        f"{share:.0%} of the rows of attacks have a wrong 0 for their own task; of the "
        "other filled labels all are right.\n"
        "- *correct*: Aurora with the true labels of every task; *filled*: missing ones are 0, the "
        "paper's Aurora; *masked*: they are left out of the loss; *Rainbow*: the three sets "
        f"stacked, {SETTINGS.minisets} minisets of each task in turn. A label that the recording "
        "itself leaves open is masked in all of them.\n\n"
        f"{as_markdown(rows)}"
    )


def _by_epoch(results: Sequence[Result], part: str) -> str:
    curves = {name: curve(results, name, part) for name in TABLE2}
    titles = [
        f"{course.phases[0].layout}: {course.title}{_seeds(results, name)}"
        for name, course in TABLE2.items()
    ]
    rows = [["epoch", *(f"paper (Kitsune): {name}" for name in PAPER), *titles]]
    for place, epoch in enumerate(EPOCHS):
        paper = [f"{areas[place]:.4f}" for areas in PAPER.values()]
        cells = [summary(each[epoch]) if each else NOT_RUN for each in curves.values()]
        rows.append([str(epoch), *paper, *cells])
    return as_markdown(rows)


def _by_task(results: Sequence[Result]) -> str:
    rows = [["network", *(f"{part}: {task}" for part in (LEFT_OUT, IN_SOURCE) for task in TASKS)]]
    for name, course in TABLE2.items():
        cells = [
            summary(curve(results, name, part, task).get(_FINAL, []))
            for part in (LEFT_OUT, IN_SOURCE)
            for task in TASKS
        ]
        rows.append([f"{course.phases[0].layout}: {course.title}", *cells])
    return as_markdown(rows)


def _table1(results: Sequence[Result]) -> list[str]:
    if not any(result.course in TABLE1 for result in results):
        return [f"{NOT_RUN.capitalize()}."]
    rows = [["network", *(f"{part}: {task}" for part in (LEFT_OUT, IN_SOURCE) for task in TASKS)]]
    whole = {WHOLE: TABLE2[WHOLE]}
    for name, course in {**whole, **TABLE1}.items():
        title = course.title if course.without else "all metadata (Table II, own, filled)"
        cells = [
            summary(curve(results, name, part, task).get(_FINAL, []))
            for part in (LEFT_OUT, IN_SOURCE)
            for task in TASKS
        ]
        rows.append([f"{title}{_seeds(results, name)}", *cells])
    columns = "; ".join(f"{name}: {', '.join(each)}" for name, each in METADATA.items())
    words = (
        "Table I lists which applications use which metadata of packets, and takes none away. Here "
        f"one kind after the other is 0 in training and in testing ({columns}); the network, its "
        "size, flows and epochs stay. What is taken away may still be told by what "
        "stays, as a direction by sizes. Context is not the paper's."
    )
    return [words, as_markdown(rows)]


def _of_table1(results: Sequence[Result]) -> list[list[str]]:
    """What each task loses most by."""
    lines = []
    for task in TASKS:
        whole = curve(results, WHOLE, LEFT_OUT, task).get(_FINAL, [])
        lost = {
            course.without: Difference.of(areas, whole)
            for name, course in TABLE1.items()
            if whole and (areas := curve(results, name, LEFT_OUT, task).get(_FINAL, []))
        }
        claim = f"Table I, left-out, epoch {_FINAL}: what {task} needs most"
        if not lost:
            lines.append([claim, NOT_RUN, ""])
            continue
        name, difference = min(lost.items(), key=lambda each: each[1].median)
        lines.append([claim, f"{name}: without it {difference}", ""])
    return lines


def _fig5(material: Material, results: Sequence[Result], pictures: dict[str, str]) -> list[str]:
    if not any(result.course in FIG5 for result in results):
        return [f"{NOT_RUN.capitalize()}."]
    rows = [["network", "tested", "task", *(f"after {task}" for task in TASKS), "recovered"]]
    ends = [TURN * (place + 1) for place in range(len(TASKS))]
    for name, course in FIG5.items():
        for part in (LEFT_OUT, IN_SOURCE):
            for task in TASKS:
                each = curve(results, name, part, task)
                cells = [summary(each.get(epoch, [])) for epoch in (*ends, ends[-1] + 1)]
                rows.append([f"{course.title}{_seeds(results, name)}", part, task, *cells])
    sizes = [str(material.flows(material.sets["own"] == place)) for place, _ in enumerate(TASKS)]
    words = (
        f"One network learns {', then '.join(TASKS)}, {TURN} epochs each, from the sets *own* "
        f"({', '.join(sizes)} flows; labels of the set's task alone), with a new optimizer and "
        "schedule for each. Gates and towers of the other tasks have no labels and stay; the "
        "experts are shared and move. Then one epoch on the first task's set, the paper's "
        f"recovery. With rehearsal, {REHEARSAL:.0%} of the flows of each earlier set are learnt "
        "again beside the new one, with their own set's label (the recovery epoch has none of "
        "that). The paper shows curves and no numbers; its first task falls far, its second does "
        "not, and one epoch brings the first back."
    )
    return [words, as_markdown(rows), *_picture(pictures, "fig5")]


def _outcomes(results: Sequence[Result]) -> list[list[str]]:
    return [
        ["claim", "measured", ""],
        *_of_table2(results),
        *_of_table1(results),
        *_of_fig5(results),
    ]


def _of_table2(results: Sequence[Result]) -> list[list[str]]:
    claim = "Table II: the best configuration, against the paper's 0.9763 (Rainbow, epoch 6)"
    curves = {name: each for name in TABLE2 if (each := curve(results, name, LEFT_OUT))}
    lines = [[claim, NOT_RUN, ""]]
    if curves:
        highest, name, epoch = max(
            (float(np.median(areas)), name, epoch)
            for name, each in curves.items()
            for epoch, areas in each.items()
        )
        course = TABLE2[name]
        what = f"{course.phases[0].layout}: {course.title}{_seeds(results, name)}, epoch {epoch}"
        how = f"left out; best of {len(curves)} of {len(TABLE2)} configurations, chosen on what is "
        verdict = "higher" if highest > max(PAPER["Rainbow"]) else "lower"
        measured = f"{summary(curves[name][epoch])} ({what}), {how}tested, as in the paper"
        lines = [[claim, measured, f"{verdict}, on other data"]]
    for part in (LEFT_OUT, IN_SOURCE):
        lines += _of_filling(results, part)
    return lines


def _of_filling(results: Sequence[Result], part: str) -> list[list[str]]:
    """What filling does where it is right, where it is wrong, and what follows of the two."""

    def less(one: str, other: str) -> Difference | None:
        areas = [curve(results, name, part).get(_FINAL, []) for name in (one, other)]
        return Difference.of(*areas) if all(areas) else None

    right, wrong = less(_FILLED, _RAINBOW), less(_WRONG, _WRONG_RAINBOW)
    lost = less(_WRONG, _CORRECT)
    verdict = [NOT_RUN, ""]
    if right is not None and wrong is not None:
        verdict = ["the lines before", explanation(right, wrong)]
    about = f"Table II, {part}, epoch {_FINAL}"
    return [
        [f"{about}: filled Aurora less Rainbow, all filled labels right", _told(right), ""],
        [f"{about}: the same, half of the attacks' wrong", _told(wrong), ""],
        [f"{about}: half wrong less true labels, both Aurora", _told(lost), ""],
        [
            f"{about}: errors of filled labels put Aurora behind Rainbow (the paper's explanation)",
            *verdict,
        ],
    ]


def _told(difference: Difference | None) -> str:
    return NOT_RUN if difference is None else str(difference)


def _of_fig5(results: Sequence[Result]) -> list[list[str]]:
    claim = f"Fig. 5: what learning the other tasks costs {TASKS[0]}, the first"
    lines = []
    end = TURN * len(TASKS)
    for name, course in FIG5.items():
        each = curve(results, name, LEFT_OUT, TASKS[0])
        if not each:
            lines.append([f"{claim}, {course.title}", NOT_RUN, ""])
            continue
        learnt, least = each[TURN], [min(some) for some in zip(*_later(each, end), strict=True)]
        fall = float(np.median(learnt) - np.median(each[end]))
        back = float(np.median(learnt) - np.median(each[end + 1]))
        verdict = "falls" if fall > 0.005 else "holds within 0.005"
        if fall > 0.005:
            verdict += ", and one epoch brings it back" if back <= 0.005 else ", not brought back"
        lines.append(
            [
                f"{claim}, {course.title}",
                (
                    f"{summary(learnt)} → {summary(each[end])} (lowest on the way "
                    f"{summary(least)}) → recovered {summary(each[end + 1])}, left out"
                ),
                verdict,
            ]
        )
    return lines


def _later(each: dict[int, list[float]], end: int) -> list[list[float]]:
    return [each[epoch] for epoch in range(TURN + 1, end + 1)]


def _seeds(results: Sequence[Result], course: str) -> str:
    """How many seeds there are, where some are missing."""
    count = sum(result.course == course for result in results)
    return "" if count in (0, len(SEEDS)) else f" ({count} of {len(SEEDS)} seeds)"


def _picture(pictures: dict[str, str], step: str) -> list[str]:
    return [f"![{STEPS[step][0]}]({pictures[step]})"] if step in pictures else []


_LIMITS = (
    "- The three tasks of the paper only; networks for more tasks are not here.\n"
    "- The lab's attacks are easy to tell from its everyday traffic: differences between columns "
    "are in the third decimal, where the drawn flows and the sets matter as much as the paradigm. "
    "Left-out recordings are other devices, services and tools of the same lab, not another "
    "network.\n"
    "- Few flows, so that a table takes minutes. All columns have the same flows and epochs, and "
    "none was tuned by itself; nor was the size, which is the same in Table II and Fig. 5.\n"
    "- Three seeds show a spread and prove nothing about smaller differences. Flows were drawn "
    "and dealt out once."
)
