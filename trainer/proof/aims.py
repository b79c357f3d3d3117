"""The aims of detection outside the laboratory, held against what has been measured."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.uncertainty import poisson_upper

NETWORK, RULE = "lmmoe", "rule"

Row = list[str]

NOT_RUN = "not run yet"
MET, MISSED = "met", "**not met**"


def aims(results: Mapping[str, Any], reflections: Sequence[str]) -> list[Row]:
    """Rows of aim, measured and whether it is met, with a header.

    Args:
        results: of steps and experiments, by name.
        reflections: names of the experiments that leave a protocol out.
    """
    rows = [["aim", "measured", ""]]
    rows += _lab(results.get("lab"))
    rows += _floods(results.get("left-out"))
    rows += _rule(results.get("left-out"), results.get("scans"))
    rows += [_reflections([results[name] for name in reflections if name in results])]
    rows += _false(results.get("left-out"), "public benign hours, learnt from the lab alone")
    folds = [each for name, each in results.items() if name.startswith("fold-")]
    rows += _false(_added(folds), f"cross-validated by device, {len(folds)} folds")
    return rows


def _lab(result: Mapping[str, Any] | None) -> list[Row]:
    names = (
        "lab, left out: ROC-AUC ≥ 0.99 for each task",
        "lab, left out: every incident alerted, within 2 s of its first packet",
        "lab, left out: at most 2 s later than perfect scores would under the task's rule",
    )
    if result is None:
        return [[name, NOT_RUN, ""] for name in names]
    seeds = [entry for seed in result["models"][NETWORK] for entry in seed.values()]
    # A task of which nothing was recorded has no area.
    least = min(entry["roc_auc"] for entry in seeds if entry["roc_auc"] is not None)
    found = sum(entry["incidents"]["found"] for entry in seeds)
    wanted = sum(entry["incidents"]["attacks"] for entry in seeds)
    times = [time for entry in seeds for time in entry["incidents"]["seconds_to_alert"]]
    behind = [time for entry in seeds for time in entry["incidents"]["seconds_behind"]]
    late = sum(time > 2 for time in times)
    return [
        [names[0], f"least of tasks and seeds {least:.4f}", _met(least >= 0.99)],
        [
            names[1],
            (
                f"{found} of {wanted} over all seeds and tasks; {late} later than 2 s, the last "
                f"after {max(times, default=0):.1f} s"
            ),
            _met(found == wanted and not late),
        ],
        [
            names[2],
            (
                f"{sum(time > 2 for time in behind)} of {len(behind)} found later than that, the "
                f"last by {max(behind, default=0):.1f} s"
            ),
            _met(all(time <= 2 for time in behind)),
        ],
    ]


def _floods(result: Mapping[str, Any] | None) -> list[Row]:
    names = (
        "StopDDoS, left out: ROC-AUC ≥ 0.99",
        "StopDDoS, left out: recall of flows ≥ 0.70 (median of the seeds)",
    )
    if result is None:
        return [[name, NOT_RUN, ""] for name in names]
    seeds = [seed["syn_dos"] for seed in result["models"][NETWORK]]
    areas, recalls = ([entry[key] for entry in seeds] for key in ("roc_auc", "recall"))
    return [
        [names[0], f"least of the seeds {min(areas):.4f}", _met(min(areas) >= 0.99)],
        [
            names[1],
            f"{statistics.median(recalls):.4f}, least {min(recalls):.4f}",
            _met(statistics.median(recalls) >= 0.70),
        ],
    ]


def _rule(result: Mapping[str, Any] | None, scans: Mapping[str, Any] | None) -> list[Row]:
    names = (
        (
            "beside the counting rule, on StopDDoS and the same benign hours: as many incidents, "
            "no later, no more false ones"
        ),
        "fewer scans called floods than by the rule",
    )
    rows = []
    if result is None:
        rows.append([names[0], NOT_RUN, ""])
    else:
        mine = [seed["syn_dos"] for seed in result["models"][NETWORK]]
        its = result["models"][RULE][0]["syn_dos"]
        found = min(entry["incidents"]["found"] for entry in mine)
        false = max(entry["incidents"]["false"] for entry in mine)
        last = max(max(entry["incidents"]["seconds_to_alert"], default=0) for entry in mine)
        its_last = max(its["incidents"]["seconds_to_alert"], default=0)
        rows.append(
            [
                names[0],
                (
                    f"found {found} and {its['incidents']['found']}; last alert after "
                    f"{last:.1f} s and {its_last:.1f} s; false {false} and "
                    f"{its['incidents']['false']}"
                ),
                _met(
                    found >= its["incidents"]["found"]
                    and last <= its_last
                    and false <= its["incidents"]["false"]
                ),
            ]
        )
    if scans is None:
        return [*rows, [names[1], NOT_RUN, ""]]
    mine = [seed["syn_dos"]["scans_called"] for seed in scans["models"][NETWORK]]
    its = scans["models"][RULE][0]["syn_dos"]["scans_called"]
    return [*rows, [names[1], f"at most {max(mine)}, the rule {its}", _met(max(mine) < its)]]


def _reflections(each: Sequence[Mapping[str, Any]]) -> Row:
    name = "UDP reflection, a protocol left out: ROC-AUC ≥ 0.9 on three of four"
    if not each:
        return [name, NOT_RUN, ""]
    areas = [
        statistics.median(
            seed["udp_reflection"]["roc_auc"]
            for seed in result["models"][NETWORK]
            if seed["udp_reflection"]["roc_auc"] is not None
        )
        for result in each
    ]
    good = sum(area >= 0.9 for area in areas)
    told = ", ".join(f"{area:.4f}" for area in areas)
    return [name, f"medians {told}", _met(good >= 3) if len(areas) == 4 else f"{good} so far"]


def _added(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Folds as one result: benign hours and, seed by seed, false incidents added."""
    if not folds:
        return None
    models = [fold["models"][NETWORK] for fold in folds]
    seeds = [
        {
            task: {
                "benign": {
                    "false_incidents": sum(
                        model[place][task]["benign"]["false_incidents"] for model in models
                    )
                }
            }
            for task in models[0][place]
        }
        for place in range(min(map(len, models)))
    ]
    hours = sum(fold["benign_hours"] for fold in folds)
    return {"benign_hours": hours, "models": {NETWORK: seeds}}


def _false(result: Mapping[str, Any] | None, where: str) -> list[Row]:
    name = f"at most one false incident a day and task: {where}"
    if result is None:
        return [[name, NOT_RUN, ""]]
    hours = result["benign_hours"]
    rows = []
    for task in result["models"][NETWORK][0]:
        counts = [seed[task]["benign"]["false_incidents"] for seed in result["models"][NETWORK]]
        a_day, bound = (value * 24 / hours for value in (max(counts), poisson_upper(max(counts))))
        verdict = _met(a_day <= 1)
        if a_day <= 1 < bound:
            verdict += ", but so few hours prove no more than the bound"
        rows.append(
            [
                f"{name}: {task}",
                (
                    f"{min(counts)} to {max(counts)} in {hours:.2f} h; with 95 % confidence at "
                    f"most {bound:.2f} a day"
                ),
                verdict,
            ]
        )
    return rows


def _met(holds: bool) -> str:  # noqa: FBT001 -- private
    return MET if holds else MISSED
