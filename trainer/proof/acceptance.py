"""Acceptance: every task on later flows of what it was learnt from, and on what was left out.

A network of one experiment answers both questions at once. The flows of each source that is learnt
from are divided by time: the earlier ones are learnt and tuned on, the later ones are the in-source
figure, which is memorisation. Sources that are left out are tested whole. Flows are drawn, so that
four folds and the lab together take minutes: a draw changes no area under a curve but by chance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainer.comparison import Held, Scored
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import task_labels
from trainer.datasets.splits import Split
from trainer.evaluation import flow_scores, without_nan
from trainer.metrics import roc_auc
from trainer.proof.experiments import Experiment, fold_of
from trainer.proof.material import Material
from trainer.settings import Settings
from trainer.tasks import PLAYED

REFLECTIONS = ("reflection-dvr", "reflection-isakmp", "reflection-snmp", "reflection-dns")
SCANS = ("pcaphunt-ports", "pcaphunt-hosts", "esnet", "ndpi-synscan")
FAMILIES = (
    ("ustc-malware_Cridex", "ustc-malware_Neris"),
    ("ustc-malware_Geodo", "ustc-malware_Nsis-ay"),
    ("ustc-malware_Miuref", "ustc-malware_Zeus"),
    ("ustc-malware_Tinba",),
)
"""Families that are left out together, fold by fold; all were recorded by one project."""

OTHER_MALWARE = ("slips-cc", "ndpi-trickbot", "id2t-sality")
"""Command and control in networks of others, never learnt."""

TUNNELS = (
    ("ethernet_27may_malicious", "ethernet_27may_malicious_bidir"),
    ("wifi_19may_malicious",),
    ("wifi_25may_malicious",),
)
"""Captures of DNS-over-HTTPS tunnels that are left out together: a day of one household."""

OTHER_TOOLS = ("mixed-other-", "left-out-")
"""How recordings of the lab begin that have devices, stacks, links and tools of their own."""

SETTINGS = Settings(experts=2, units=16, epochs=20, patience=20, tower_units=(16,), batch_size=1024)
"""Small, so that 15 networks and their trees take minutes."""

DRAWN = 250
"""Flows of each group (of the lab: recording) and combination of labels, at most."""

PUBLIC_TASKS = ("udp_reflection", "scan", "malware_cc", "dns_tunnel")
WITHIN, LEFT_OUT = "in-source", "left-out"
LATER, TUNED = "later flows of ", "flows tuned on of "


@dataclass(frozen=True)
class Line:
    """One figure.

    Attributes:
        name: what is tested.
        task: that is asked about.
        column: `WITHIN` or `LEFT_OUT`.
        attacks: sources with the attacks.
        others: sources with flows that are none, beside those of `attacks`.
        auc, recall: aims; None where the figure is reported only.
    """

    name: str
    task: str
    column: str
    attacks: tuple[str, ...]
    others: tuple[str, ...]
    auc: float | None = None
    recall: float | None = None


@dataclass(frozen=True)
class Trial:
    """An experiment whose learnt sources are divided by time, and what is read off it."""

    experiment: Experiment
    lines: tuple[Line, ...]


def trials(material: Material) -> list[Trial]:
    """All experiments, those of the public captures first."""
    return [*(_public(material, fold) for fold in range(len(REFLECTIONS))), _lab(material)]


def rows_of(trial: Trial, material: Material) -> Dataset:
    """Drawn rows, with learnt sources divided: see `LATER` and `TUNED`."""
    split = trial.experiment.split
    learnt = split.train
    tested = [name for name in split.test if not name.startswith(LATER)]
    dataset = drawn(material, material.dataset.of_sources((*learnt, *tested)))
    return divided(dataset, learnt)


def drawn(material: Material, dataset: Dataset, most: int = DRAWN) -> Dataset:
    """At most so many whole flows of each unit (`Material.units`) and combination of labels."""
    flows, first = np.unique(dataset.flow, return_index=True)
    kinds = np.column_stack((material.units(dataset)[first], dataset.labels[first]))
    _, kind = np.unique(kinds, axis=0, return_inverse=True)
    kind = kind.reshape(-1)
    order = np.lexsort((np.random.default_rng(0).permutation(flows.size), kind))
    counts = np.bincount(kind)
    rank = np.arange(flows.size) - (np.cumsum(counts) - counts)[kind[order]]
    return dataset.take(np.isin(dataset.flow, flows[order[rank < most]]))


def divided(dataset: Dataset, learnt: Sequence[str]) -> Dataset:
    """The dataset with each learnt source as three: what is learnt, tuned on, and tested later.

    Rows are put in the order of the sources.
    """
    names = [record.name for record in dataset.sources]
    parts = Split("time", tuple(learnt), tuple(learnt), tuple(learnt)).rows(dataset)
    source = dataset.source.copy()
    for number, part in enumerate(("validation", "test"), 1):
        source[parts[part]] += np.int32(number * len(names))
    records = [
        replace(record, name=f"{prefix}{record.name}")
        for prefix in ("", TUNED, LATER)
        for record in dataset.sources
    ]
    moved = replace(dataset, sources=tuple(records), source=source)
    return moved.take(np.argsort(source, kind="stable"))


def measured(trial: Trial, held: Held) -> list[dict[str, Any]]:
    """The figures of all lines, by model and seed."""
    each = []
    for line in trial.lines:
        part = held.of_sources((*line.attacks, *line.others))
        models = {
            name: [figure for seed in seeds if (figure := _figure(part, line, seed))]
            for name, seeds in part.models.items()
        }
        known = {
            part.dataset.sources[int(number)].name for number in np.unique(part.dataset.source)
        }
        entry = {key: getattr(line, key) for key in ("name", "task", "column", "auc", "recall")}
        entry |= {"attacks": len(set(line.attacks) & known), "sources": len(known)}
        each.append({**entry, "models": {name: its for name, its in models.items() if its}})
    document: list[dict[str, Any]] = without_nan(each)
    return document


def _figure(part: Held, line: Line, scored: Scored) -> dict[str, Any] | None:
    columns = [task.name for task in scored.tasks]
    if line.task not in columns:
        return None
    task = scored.tasks[columns.index(line.task)]
    scores = scored.scores[:, columns.index(line.task)]
    labels = task_labels(part.dataset, (task,))[:, 0]
    names = np.array([record.name for record in part.dataset.sources])
    its = np.isin(names, line.attacks)[part.dataset.source]
    # Attacks of the task in other sources are those of other lines.
    labels = np.where(~its & (labels == 1), np.int8(-1), labels)
    flows = flow_scores(part.dataset, part.numbers, task, labels, scores)
    attack = flows.labels == 1
    return {
        "auc": roc_auc(flows.labels, flows.scores),
        "recall": float((flows.scores[attack] >= task.threshold).mean()) if attack.any() else None,
        "false": int((flows.scores[~attack] >= task.threshold).sum()),
        "attack_flows": int(attack.sum()),
        "flows": int(attack.size),
    }


def _public(material: Material, fold: int) -> Trial:
    """A fold: a protocol, an origin of scans, families, a day of tunnels and networks left out."""
    tunnels = TUNNELS[fold] if fold < len(TUNNELS) else ()
    out = {REFLECTIONS[fold], SCANS[fold], *FAMILIES[fold], *OTHER_MALWARE}

    # One household: its captures are dealt out by themselves.
    browsing = material.names(lambda each: each.group == "doh" and each.source.benign)

    def left_out(name: str) -> bool:
        capture = material.captures[name]
        if capture.group == "doh":
            dealt = name in browsing and browsing.index(name) % len(REFLECTIONS) == fold
            return capture.path.stem in tunnels or dealt
        tunnel = any(",dns_tunnel,1" in row for row in capture.source.labels)
        quiet = capture.source.benign and fold_of(capture.group) == fold
        return capture.group in out or quiet or tunnel

    its = material.names(lambda capture: capture.source.role == "train")
    learnt = tuple(name for name in its if not left_out(name))
    tested = tuple(name for name in its if left_out(name))

    def of(wanted: Callable[[str], bool], names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if wanted(name))

    def group(*groups: str) -> Callable[[str], bool]:
        return lambda name: material.captures[name].group in groups

    slips = material.names(lambda capture: capture.group == "slips-cc")
    sessions = material.names(
        lambda capture: capture.group.startswith("ustc-") and capture.source.role == "reported"
    )
    benign = of(lambda name: material.captures[name].source.benign, tested)
    calm = of(lambda name: material.captures[name].source.benign, learnt)
    doh = of(group("doh"), benign)
    families = " and ".join(name.removeprefix("ustc-malware_") for name in FAMILIES[fold])
    lines = [
        *_within("UDP reflection", "udp_reflection", learnt, group(*REFLECTIONS), calm, 0.97),
        *_within("scan", "scan", learnt, group(*SCANS), calm, 0.96),
        *_within("malware", "malware_cc", learnt, lambda name: "ustc-malware" in name, calm, 0.95),
        *_within("DoH tunnel", "dns_tunnel", learnt, group("doh"), calm, 0.90),
        Line(
            f"UDP reflection: {REFLECTIONS[fold].removeprefix('reflection-')}",
            "udp_reflection",
            LEFT_OUT,
            of(group(REFLECTIONS[fold]), tested),
            benign,
            0.90,
        ),
        Line(
            f"scan: {SCANS[fold]}", "scan", LEFT_OUT, of(group(SCANS[fold]), tested), benign, 0.95
        ),
        Line(
            f"malware, new families: {families}",
            "malware_cc",
            LEFT_OUT,
            of(group(*FAMILIES[fold]), tested),
            benign,
            0.80,
        ),
        Line(
            "malware of other networks",
            "malware_cc",
            LEFT_OUT,
            (*slips, *of(group(*OTHER_MALWARE), tested)),
            benign,
        ),
        Line(
            f"malware, new families, among sessions cut likewise: {families}",
            "malware_cc",
            LEFT_OUT,
            of(group(*FAMILIES[fold]), tested),
            sessions,
        ),
    ]
    if tunnels:
        attacks = of(lambda name: material.captures[name].path.stem in tunnels, tested)
        lines += [
            Line(f"DoH tunnel: {tunnels[0]}", "dns_tunnel", LEFT_OUT, attacks, benign),
            Line(
                f"DoH tunnel, among DoH alone: {tunnels[0]}", "dns_tunnel", LEFT_OUT, attacks, doh
            ),
        ]
    others = of(lambda name: _is_tunnel(material, name), tested)
    lines.append(Line("tunnels of other networks", "dns_tunnel", LEFT_OUT, others, benign))
    about = f"public captures, fold {fold}"
    test = (*tested, *slips, *sessions, *(f"{LATER}{name}" for name in learnt))
    return Trial(
        Experiment(
            f"accepted-{fold}",
            about,
            PUBLIC_TASKS,
            Split("source", learnt, tuple(f"{TUNED}{name}" for name in learnt), test),
            SETTINGS,
        ),
        tuple(line for line in lines if line.attacks),
    )


def _within(
    name: str,
    task: str,
    learnt: Sequence[str],
    wanted: Callable[[str], bool],
    calm: Sequence[str],
    aim: float,
) -> list[Line]:
    attacks = tuple(f"{LATER}{each}" for each in learnt if wanted(each))
    others = tuple(f"{LATER}{each}" for each in calm)
    return [Line(name, task, WITHIN, attacks, others, aim)]


def _lab(material: Material) -> Trial:
    """The lab's recordings: later flows, other tools and stacks, and StopDDoS's floods."""
    learnt, test = material.recorded("train"), material.recorded("test")
    later = tuple(f"{LATER}{name}" for name in learnt)
    others = tuple(name for name in test if name.startswith(OTHER_TOOLS))
    benign = material.benign()
    floods = material.names(lambda capture: capture.group == "stopddos-syn")
    aims: dict[str, tuple[float | None, float | None]] = {
        "syn_dos": (0.995, None),
        "ssl_renegotiation": (0.99, 0.98),
        "brute_force": (0.99, 0.98),
    }
    lines = [Line("SYN flood: StopDDoS", "syn_dos", LEFT_OUT, floods, benign, 0.99, 0.70)]
    for task in PLAYED:
        within, left_out = aims.get(task, (None, None))
        lines += [
            Line(f"{task}, lab", task, WITHIN, later, (), within),
            Line(f"{task}, lab: other tools and stacks", task, LEFT_OUT, others, (), left_out),
        ]
    return Trial(
        Experiment(
            "accepted-lab",
            "the lab",
            PLAYED,
            Split(
                "source",
                learnt,
                tuple(f"{TUNED}{name}" for name in learnt),
                (*others, *floods, *benign, *later),
            ),
            SETTINGS,
        ),
        tuple(line for line in lines if line.attacks),
    )


def _is_tunnel(material: Material, name: str) -> bool:
    capture = material.captures[name]
    tunnel = any(",dns_tunnel,1" in row for row in capture.source.labels)
    return tunnel and capture.group != "doh"
