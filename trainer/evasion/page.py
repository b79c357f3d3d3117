"""The page and the picture of evasion: recall and attacks found against the attacker's budget."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from trainer.evaluation import as_markdown, summary
from trainer.evasion.forgery import ADVERSARY, forgery_table

PAGE, PICTURE = "evasion.md", "evasion.png"

HEAD = """\
# Evasion

Made by `multa-trainer proof evasion` on {date}. What a trained run ({tasks}) still detects of the \
attacks in the {recordings} recordings of the lab's part `test` that it has not learnt from, when \
the attacker changes his packets within a budget. Packets are changed before flows are made of \
them, so sizes, gaps, the first packets of a flow, its windows, timeouts and the counts of new \
flows all follow from the change.

- **pad**: up to so many bytes more in each of the attacker's packets with a payload and in each \
SYN, drawn evenly, 1,500 bytes at most. Bare acknowledgements and answers keep their sizes.
- **delay**: an attack, that is all flows of a task about one address, takes so many times longer, \
answers too. So it also does so many times less harm.
- **split**: each of the attacker's packets with a payload comes as so many smaller ones, 0.2 ms \
apart. A flood of packets without payload has nothing to split.

Everything else in the recordings stays as it is; an attack that outlasts its recording goes on \
in silence. An attack counts as found if an incident about its address opens, whenever. Recall is \
that of attack flows at the frozen threshold. Network: median [smallest, largest] of the seeds; \
the counting rule is 30 new flows a second to one address. Benign flows are none of the \
attacker's, so false incidents are those of [detection.md](detection.md)."""

EVADES = """\
The smallest of the tried budgets with which at least a quarter of the attacks that are found as \
recorded are found no more (median of the seeds); in brackets the counting rule's, where it counts \
for the task."""

AUGMENTED = """\
## Changed attacks in training

Two small networks ({settings}) learnt from drawn flows of the lab, one of them also from changed \
copies of the training attacks (another change for each recording: {changes}). Both are tested as \
above. *False* are false incidents in the same recordings, of all seeds."""


def page(result: Mapping[str, Any], augmented: Mapping[str, Any] | None, date: str) -> str:
    """The page as Markdown.

    Args:
        result: of `trainer.evasion.measure.evasion`.
        augmented: of `trainer.evasion.augmentation.augmentation`, if it has been tried.
        date: of the result.
    """
    changes = result["changes"]
    tasks = list(changes[0]["tasks"])
    parts = [
        HEAD.format(date=date, tasks=", ".join(tasks), recordings=result["recordings"]),
        f"![recall by budget]({PICTURE})",
    ]
    parts += ["## What evades", EVADES, _evades(changes, tasks)]
    for task in tasks:
        rows = [["budget", "recall", "rule", "attacks found", "rule", "s to alert, median"]]
        rows += [_row(change, change["tasks"][task]) for change in changes]
        parts += [f"## {task}", as_markdown(rows)]
    parts += [_augmented(augmented)] if augmented else []
    parts += ["## Who can provoke an alert, and whom it names", ADVERSARY, forgery_table(tasks)]
    return "\n\n".join(parts) + "\n"


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Draws recall and share of attacks found against each kind of budget, by task."""
    tasks = list(result["changes"][0]["tasks"])
    kinds = {"pad": "bytes_more", "delay": "slower", "split": "pieces"}
    figure = Figure(figsize=(10, 2.6 * len(tasks)), layout="constrained")
    axes = figure.subplots(len(tasks), len(kinds), squeeze=False, sharey=True)
    for row, task in zip(axes, tasks, strict=True):
        for axis, (kind, amount) in zip(row, kinds.items(), strict=True):
            its = [each for each in result["changes"] if each["kind"] in ("none", kind)]
            at = [max(each[amount], 1) for each in its]
            models = [each["tasks"][task] for each in its]
            for label, key, style in (("flows", "recall", "-"), ("attacks", "found", "--")):
                for model, colour in (("lmmoe", "C0"), ("rule", "0.5")):
                    if all(model in each for each in models):
                        shares = [[_share(seed, key) for seed in each[model]] for each in models]
                        middle = [sorted(each)[len(each) // 2] for each in shares]
                        name = f"{'network' if model == 'lmmoe' else 'rule'}: {label}"
                        axis.plot(at, middle, style, color=colour, marker="o", ms=3, label=name)
                        low, high = map(min, shares), map(max, shares)
                        axis.fill_between(at, list(low), list(high), color=colour, alpha=0.12)
            axis.set(title=f"{task}: {kind}", xlabel=_UNITS[kind], xscale="log", ylim=(-0.02, 1.02))
            axis.set_xticks(at, [f"{each[amount]:g}" for each in its])
            axis.minorticks_off()
    axes[0][0].legend(fontsize="x-small")
    figure.savefig(path, dpi=110)


_UNITS = {"pad": "bytes more", "delay": "times slower", "split": "pieces a packet"}


def _evades(changes: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> str:
    rows = [["task", *_UNITS]]
    for task in tasks:
        cells = []
        for kind in _UNITS:
            models = [model for model in ("lmmoe", "rule") if model in changes[0]["tasks"][task]]
            each = [_least(changes, task, kind, model) for model in models]
            cells.append(each[0] + (f" ({each[1]})" if len(each) > 1 else ""))
        rows.append([task, *cells])
    return as_markdown(rows)


def _least(changes: Sequence[Mapping[str, Any]], task: str, kind: str, model: str) -> str:
    before, *_ = (_middle(change, task, model) for change in changes if change["kind"] == "none")
    for change in changes:
        if change["kind"] == kind and _middle(change, task, model) <= 0.75 * before:
            return str(change["budget"])
    return "none"


def _middle(change: Mapping[str, Any], task: str, model: str) -> float:
    counts = sorted(each["found"] for each in change["tasks"][task][model])
    return float(counts[len(counts) // 2])


def _row(change: Mapping[str, Any], models: Mapping[str, Any]) -> list[str]:
    network, rule = models["lmmoe"], models.get("rule", [])
    times = [each["seconds_to_alert"] for each in network if each["seconds_to_alert"] is not None]
    return [
        change["budget"],
        _recall(network),
        _recall(rule) if rule else "–",
        _found(network),
        _found(rule) if rule else "–",
        f"{sorted(times)[len(times) // 2]:.1f}" if times else "–",
    ]


def _recall(seeds: Sequence[Mapping[str, Any]]) -> str:
    return summary([each["recall"] for each in seeds if each["recall"] is not None])


def _found(seeds: Sequence[Mapping[str, Any]]) -> str:
    counts = [each["found"] for each in seeds]
    low, high = min(counts), max(counts)
    return f"{low if low == high else f'{low}–{high}'} / {seeds[0]['attacks']}"


def _share(seed: Mapping[str, Any], key: str) -> float:
    if key == "found":
        return float(seed["found"] / seed["attacks"]) if seed["attacks"] else 0.0
    return float(seed["recall"] or 0.0)


def _augmented(result: Mapping[str, Any]) -> str:
    plain, changed = result["plain"], result["changed"]
    tasks = list(plain["changes"][0]["tasks"])
    rows = [["task", "budget", "recall: plain", "changed copies", "found: plain", "changed copies"]]
    for task in tasks:
        for one, other in zip(plain["changes"], changed["changes"], strict=True):
            its = [each["tasks"][task]["lmmoe"] for each in (one, other)]
            recall, found = [_recall(each) for each in its], [_found(each) for each in its]
            rows.append([task, one["budget"], *recall, *found])
    false = [["task", "false: plain", "changed copies"]]
    false += [[task, str(plain["false"][task]), str(changed["false"][task])] for task in tasks]
    head = AUGMENTED.format(settings=result["settings"], changes="; ".join(result["budgets"]))
    return f"{head}\n\n{as_markdown(rows)}\n\n{as_markdown(false)}"
