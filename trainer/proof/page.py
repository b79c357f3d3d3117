"""The page of the proof: everything that has been measured, and what has not been run."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.audit import Finding, findings_table
from trainer.evaluation import as_markdown, summary
from trainer.proof.acceptance_page import acceptance_table
from trainer.proof.aims import aims
from trainer.proof.material import Material
from trainer.proof.steps import STEPS, Bench, current_results, experiments
from trainer.proof.wirings import wirings_table
from trainer.reliability import Bin, calibration_error
from trainer.uncertainty import poisson_upper

PICTURE = "detection-reliability.png"

HEAD = """\
# Detection outside the laboratory

Made by `make verify TARGET=detection` on {date}, features {fingerprint}. Every step can be made \
alone (`multa-trainer proof STEP --data … --out …`); what is there is not made again. Public \
captures are those of `trainer/sources/public.toml`, cut to 128 bytes a frame; the lab's are those \
of the recipe `iot-gateway`.

Numbers with brackets are median [smallest, largest] of the seeds of the network. Gradient-boosted \
trees have the same inputs, examples and budget, and no randomness to speak of, so one fit. The \
rule is 30 new flows a second to one address. Intervals are 95 %, from {draws} draws of whole \
devices or networks (of the lab: recordings), for the first seed. Thresholds and calibration are \
frozen on the training side before anything is tested. A false incident is one that shares address \
and time with no attack flow; its minutes run from its first alert to its last. Seconds to alert \
count from the attack's first packet; *by the labels* is the most that perfect scores would take \
under the same rule of so many flows in so many seconds. *Seen* is the share of the tested flows \
whose deciding pattern occurs in training. *At most a day* is the exact upper 95 % bound of a \
Poisson rate, for the largest count of the seeds. Hours are packet time less silences of more than \
two minutes."""

INTRODUCTIONS = {
    "lab": "The part `test` of the lab's recordings: other seeds and rates, and in those of the "
    "scenarios `mixed_other` and `left_out` other devices, services, stacks, links and tools. "
    "Aims: ROC-AUC ≥ 0.99, every incident alerted within `decide_after` + 1 s = 2 s of the first "
    "packet, and 100 positive flows.",
    "left-out": "StopDDoS's SYN floods among all benign captures. The network has seen neither: "
    "every benign device and network is a left-out one here. Aims: ROC-AUC ≥ 0.99, recall of flows "
    "≥ 0.70, at most one false incident a day and task.",
    "reported": "CIC-DDoS2019's SYN flood among the same benign captures, once each packet of its "
    "twice captured file. It goes to 8,450 ports of one host, so it is no better a flood than a "
    "scan: reported, no aim.",
    "reflections": "StopDDoS's reflections by other protocols than SSDP among the same benign "
    "captures. For `ssdp_flood` they are unknown, since the ports that tell protocols apart are no "
    "feature: *unknown called* counts the incidents that they raise, which are neither found nor "
    "false. Results of before this was so counted them as false.",
    "scans": "Scans alone. *Scans called* counts the incidents of a task that they raise; the "
    "counting rule can't tell them from floods.",
    "matrix": "ROC-AUC over flows of gradient-boosted trees that have learnt one origin's attacks "
    "(rows) and are tested on another's (columns), half the attack flows each, among benign "
    "captures of devices that were not learnt. The diagonal is in-source, so memorisation.",
    "audit": "Decision trees of depth 2 on every single input, grown on the lab's training "
    "recordings (`trainer/audit.py`); in-source is the other half of their flows, left-out the "
    "public captures. An input of at least 0.9 in-source and at most 0.6 left-out leaks.",
    "acceptance": "Aims of every task, those learnt from public captures and those of the lab, "
    "line by line. Recall, incidents and false incidents of the judged run are in the sections "
    "above.",
    "evasion": "Attacks of the lab's left-out recordings, changed by an attacker within a budget: "
    "[evasion.md](evasion.md).",
    "augmentation": "Whether small networks that learn from changed attacks recognise others: "
    "[evasion.md](evasion.md).",
    "wirings": "The lab's part of the acceptance with other connections (`trainer/models/wiring.py`"
    "): experts for chosen tasks only, and towers that read another task's score. ROC-AUC of the "
    "network.",
    "reflection": "A network and trees for the task `udp_reflection`, trained with one protocol "
    "left out in turn. Aim: ROC-AUC ≥ 0.9 on three of four.",
    "scan": "The same for the task `scan`, with one origin left out in turn.",
    "by-device": "Cross-validation: in turn a fifth of the devices and networks is held out, the "
    "others are learnt beside the lab. Aim: at most one false incident a day and task.",
    "ablation": "The shipped split with parts of the features left out or added, tested on the "
    "lab's left-out part together with all public captures; then the same within the lab's "
    "recordings. Each adds to the one before it. TTL and window (`docs/features.md`, optional "
    "fields) are in no network but the last one's.",
}


def page(bench: Bench, date: str, draws: int) -> str:
    """The page as Markdown.

    Args:
        bench: with the results in its work folder.
        date: of today.
        draws: of the intervals.
    """
    fingerprint = bench.material.dataset.schema.fingerprint()[:12]
    parts = [HEAD.format(date=date, fingerprint=fingerprint, draws=draws)]
    results = current_results(bench)
    # Their names are the same for whatever tasks.
    trained = {
        step: [experiment.name for experiment in each]
        for step, each in experiments(bench.material, ()).items()
    }
    parts += ["## Aims", as_markdown(aims(results, trained["reflection"]))]
    parts += ["## What it was measured on", _composition(bench.material)]
    for name, (title, _) in STEPS.items():
        parts += [f"## {title[0].upper()}{title[1:]}", INTRODUCTIONS[name]]
        found, missing = _found(name, results, trained)
        if found:
            parts.append(_section(name, found))
        if missing:
            parts.append(f"**Not run yet: {', '.join(missing)}.**")
    if any(name in results for name in ("lab", "left-out")):
        parts += ["## Calibration", _calibration(results)]
    return "\n\n".join(parts) + "\n"


def _found(
    name: str, results: Mapping[str, Any], trained: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], list[str]]:
    """What there is of a step's result, and what it lacks.

    Args:
        name: of the step.
        results: of all steps and experiments.
        trained: names of the experiments of steps that have some.
    """
    if name not in trained:
        return (results[name], []) if name in results else ({}, ["all of it"])
    there = {each: results[each] for each in trained[name] if each in results}
    missing = [each for each in trained[name] if each not in results]
    return ({"experiments": there} if there else {}), missing


def reliability_bins(results: Mapping[str, Any]) -> dict[str, dict[str, list[dict[str, float]]]]:
    """Bins of the network's first seed, by task and by what was tested."""
    bins: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name in ("lab", "left-out"):
        if name in results:
            for task, entry in results[name]["models"]["lmmoe"][0].items():
                bins.setdefault(task, {})[name] = entry["reliability"]
    return bins


def _composition(material: Material) -> str:
    rows = [["captures", "role", "devices or networks", "flows", "hours", "benign", "licence"]]
    kinds: dict[tuple[str, str, str, bool, str], list[str]] = {}
    for name, capture in material.captures.items():
        source = capture.source
        key = (source.archive, source.about, source.role, source.benign, source.licence)
        kinds.setdefault(key, []).append(name)
    for part in dict.fromkeys(material.parts.values()):
        names = [name for name, its in material.parts.items() if its == part]
        kinds["lab", "recordings of the recipe", part, False, "the project's own"] = names
    dataset = material.dataset
    flows = {record.name: 0 for record in dataset.sources}
    for index, count in _flow_counts(material).items():
        flows[dataset.sources[index].name] = count
    for (archive, about, role, benign, licence), names in kinds.items():
        groups = {material.group(name) for name in names}
        rows.append(
            [
                f"{archive}: {about} ({len(names)})",
                role,
                str(len(groups)),
                str(sum(flows.get(name, 0) for name in names)),
                f"{material.hours(names):.2f}",
                "yes" if benign else "no",
                licence,
            ]
        )
    return (
        f"{as_markdown(rows)}\n\nBenign hours: {material.hours(material.benign()):.2f}. Flows that "
        f"another source holds too were removed: {material.repeated}."
    )


def _flow_counts(material: Material) -> dict[int, int]:
    dataset = material.dataset
    _, first = np.unique(dataset.flow, return_index=True)
    index, counts = np.unique(dataset.source[first], return_counts=True)
    return dict(zip(index.tolist(), counts.tolist(), strict=True))


def _section(name: str, result: Mapping[str, Any]) -> str:
    if name == "audit":
        return _audit(result)
    if name == "acceptance":
        return acceptance_table(result)
    if name == "wirings":
        return wirings_table(result["variants"])
    if name in ("evasion", "augmentation"):
        return f"Made {result['date']}."
    if name == "matrix":
        return "\n\n".join(map(_matrix, result["matrices"]))
    if name == "by-device":
        return _folds(result["experiments"])
    if "experiments" in result:
        return "\n\n".join(
            f"### {key}\n\n{_head(each)}\n\n{_table(each)}"
            for key, each in result["experiments"].items()
        )
    return f"{_head(result)}\n\n{_table(result)}"


def _head(result: Mapping[str, Any]) -> str:
    settings = result["settings"]
    return (
        f"Made {result['date']}. {result['about'].capitalize()}. {settings['experts']} experts of "
        f"{settings['units']} units, {settings['epochs']} epochs at most. Tested on "
        f"{result['sources']} sources of {result['groups']} devices or networks, "
        f"{result['flows']} flows, {result['hours']:.2f} h, of which "
        f"{result['benign_hours']:.2f} h are benign."
    )


COLUMNS = (
    "task",
    "model",
    "attack flows",
    "seen",
    "ROC-AUC",
    "interval",
    "PR-AUC",
    "ROC-AUC patterns",
    "recall",
    "false flows",
    "incidents found",
    "s to alert: median, most; by the labels",
    "false incidents",
    "benign: false incidents, minutes",
    "at most a day",
    "scans called",
    "unknown called",
)


def _table(result: Mapping[str, Any]) -> str:
    rows = [list(COLUMNS)]
    tasks = list(result["models"]["lmmoe"][0])
    for task in tasks:
        for model, seeds in result["models"].items():
            each = [seed[task] for seed in seeds if task in seed]
            if each:
                rows.append([task, model, *_cells(each, result["benign_hours"])])
    return as_markdown(rows)


def _cells(seeds: Sequence[Mapping[str, Any]], benign_hours: float) -> list[str]:
    one = seeds[0]
    times = [each["incidents"]["seconds_to_alert"] for each in seeds]
    flat = [time for each in times for time in each]
    benign = [each["benign"] for each in seeds]
    most = max(each["false_incidents"] for each in benign)
    best = one["incidents"]["seconds_at_best"]
    return [
        f"{one['attack_flows']} / {one['flows']}",
        "–" if one["seen"] is None else f"{one['seen']:.0%}",
        _median(seeds, "roc_auc"),
        _interval(one.get("auc_interval")),
        _median(seeds, "average_precision"),
        _median(seeds, "pattern_roc_auc"),
        _median(seeds, "recall"),
        _range([each["false_positives"] for each in seeds]),
        _range([each["incidents"]["found"] for each in seeds])
        + f" / {one['incidents']['attacks']}",
        f"{statistics.median(flat):.1f}, {max(flat):.1f}; {max(best):.1f}" if flat else "–",
        _range([each["incidents"]["false"] for each in seeds]),
        _range([each["false_incidents"] for each in benign])
        + f", {max(each['false_minutes'] for each in benign):.1f}"
        if benign_hours
        else "–",
        f"{poisson_upper(most) * 24 / benign_hours:.2f}" if benign_hours else "–",
        *(
            "–" if one[key] is None else _range([each[key] for each in seeds])
            for key in ("scans_called", "unknown_called")
        ),
    ]


def _folds(experiments: Mapping[str, Any]) -> str:
    """All folds together: counts are added, seed by seed."""
    folds = list(experiments.values())
    settings = folds[0]["settings"]
    hours = sum(each["benign_hours"] for each in folds)
    rows = [
        [
            "task",
            "model",
            "benign flows called attacks",
            "false incidents",
            "minutes",
            "at most a day",
            "where",
            "StopDDoS: recall",
        ]
    ]
    for task in folds[0]["models"]["lmmoe"][0]:
        for model in folds[0]["models"]:
            seeds = [
                [each["models"][model][place][task] for each in folds]
                for place in range(min(len(each["models"][model]) for each in folds))
                if all(task in each["models"][model][place] for each in folds)
            ]
            if not seeds:
                continue
            counts = [sum(each["benign"]["false_incidents"] for each in seed) for seed in seeds]
            minutes = [sum(each["benign"]["false_minutes"] for each in seed) for seed in seeds]
            where: dict[str, int] = {}
            for each in seeds[0]:
                for group, count in each["benign"]["by_group"].items():
                    where[group] = where.get(group, 0) + count
            rows.append(
                [
                    task,
                    model,
                    _range([sum(each["false_positives"] for each in seed) for seed in seeds]),
                    _range(counts),
                    f"{max(minutes):.1f}",
                    f"{poisson_upper(max(counts)) * 24 / hours:.2f}",
                    ", ".join(f"{group} {count}" for group, count in where.items()) or "–",
                    _range_of_floats([each["recall"] for seed in seeds for each in seed]),
                ]
            )
    head = (
        f"{len(folds)} folds, {hours:.2f} h of benign traffic together, each hour tested by "
        "networks that have not seen its device or network. *Where* counts the first seed's. "
        f"{settings['experts']} experts of {settings['units']} units, {settings['epochs']} epochs, "
        "so less than the shipped network has learnt."
    )
    return f"{head}\n\n{as_markdown(rows)}"


def _matrix(result: Mapping[str, Any]) -> str:
    groups = result["groups"]
    rows = [[result["task"], *groups]]
    for group, flows, areas in zip(groups, result["attack_flows"], result["auc"], strict=True):
        cells = ["–" if area is None else f"{area:.4f}" for area in areas]
        rows.append([f"learnt from {group} ({flows} attack flows)", *cells])
    return as_markdown(rows)


def _audit(result: Mapping[str, Any]) -> str:
    findings = [
        Finding(**finding)
        for finding in result["findings"]
        if finding["left_out"] is not None and finding["in_source"] is not None
    ]
    findings.sort(key=lambda finding: finding.left_out - finding.in_source)
    unknown = {finding["task"] for finding in result["findings"]} - {
        finding.task for finding in findings
    }
    return (
        f"Inputs of at least 0.8 in-source, the widest gap first.\n\n{findings_table(findings)}"
        + (f"\n\nNo public attack of: {', '.join(sorted(unknown))}." if unknown else "")
    )


def _calibration(results: Mapping[str, Any]) -> str:
    rows = [["task", "tested on", "flows", "calibration error", "most flows in a bin off by > 0.1"]]
    for task, each in reliability_bins(results).items():
        for name, entries in each.items():
            bins = [Bin(int(b["flows"]), b["score"], b["attacks"]) for b in entries]
            off = [b.flows for b in bins if abs(b.score - b.attacks) > 0.1]
            rows.append(
                [
                    task,
                    name,
                    str(sum(b.flows for b in bins)),
                    f"{calibration_error(bins):.4f}",
                    str(max(off, default=0)),
                ]
            )
    return (
        "Mean distance between a flow's score and the share of attacks among flows of such scores, "
        f"of the network's first seed, in tenths of the score.\n\n{as_markdown(rows)}\n\n"
        f"![share of attacks by score]({PICTURE})"
    )


def _median(seeds: Sequence[Mapping[str, Any]], key: str) -> str:
    return summary([each[key] for each in seeds if each[key] is not None])


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low}–{high}"


def _range_of_floats(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{min(known):.4f}–{max(known):.4f}" if known else "–"


def _interval(ends: Sequence[float | None] | None) -> str:
    if not ends or ends[0] is None or ends[1] is None:
        return "–"
    return f"{ends[0]:.4f} to {ends[1]:.4f}"
