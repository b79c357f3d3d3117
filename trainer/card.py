"""The model card of a bundle: what it detects, on what it was tried, and what it does not do."""

from sensor.model.schema import IncidentRule, TaskSpec
from trainer.comparison import Comparison
from trainer.datasets.dataset import Dataset
from trainer.datasets.splits import PARTS
from trainer.evaluation import as_markdown, table
from trainer.evasion.forgery import ADVERSARY, forgery_table
from trainer.runs import Run

_ROLES = {
    "responder": "the attacked responder",
    "originator": "the attacking originator",
    "reflection_victim": "the victim (the side that does not own port {})",
}

_LIMITS = """\
- The figures are those of a laboratory on one machine: real protocol stacks and real tools, but
  few devices, few network conditions and no users. They say that the network has learnt these
  attacks and these benign look-alikes; they are no promise for a network that it has never seen.
  Run it beside the counting rule, and record traffic of your own (`multa-trainer lab record`,
  `multa-trainer extract`) before you rely on it.
- Recordings of the lab share its services and tools, so even a left-out recording is closer to
  the training recordings than your network is.
- It sees the first packets of a flow and, for `repeat` tasks, later windows of them: sizes, gaps,
  directions, TCP flags and counts of new flows. It reads no payload, no address and no port, and
  can't tell one attacker, device or application from another.
- Applications that the recordings do not hold may be called an attack, long connections of
  small exchanges a renegotiation above all: look at the port and the peer of such an alert.
- Attacks other than those named above are no task of it. It was taught not to call them one of
  its tasks as far as the recordings hold them; what they do not hold may be called anything.
- A flood slower than its incident rule, or spread over more victims than that, raises no alert.
- Floods are judged by flows: a flood of packets within one established flow is none.
"""

_EVASION = """\
What padding, delaying and splitting an attack within a budget do to its detection is measured in \
`docs/results/evasion.md` of the project: an attack that is slowed down enough stays unseen."""


def model_card(
    run: Run,
    dataset: Dataset,
    left_out: Comparison,
    in_source: Comparison | None,
    name: str,
    version: str,
) -> str:
    """The card as Markdown.

    Args:
        run: whose best seed is exported.
        dataset: with the run's sources.
        left_out: figures on sources that were left out.
        in_source: figures within the training sources, if known.
        name: of the bundle.
        version: of the model.
    """
    settings, best = run.settings, run.best
    network = (
        f"One LMMoE (E = {settings.experts} LSTM experts of {settings.units} units, "
        f"{len(run.task_names)} tasks) for `multa-sensor`, with 16-bit weights. It looks at "
        f"{run.schema.n} packets of a flow at a time (graphs for {_list(run.schema.lengths)})."
    )
    reading = (
        f"{_what(left_out)} Network: median [smallest, largest] of {len(run.seeds)} seeds; the "
        f"bundle holds seed {best.seed}, whose worst task finds most validation attacks. Trees: "
        "gradient-boosted, on the same inputs, examples and budget. Rule: 30 new flows a second to "
        "one address. Recall and false flows (benign flows called an attack) are at thresholds "
        "that were frozen before; incidents are counted by the sensor's own tracker."
    )
    tuning = (
        f"Thresholds let validation traffic open at most {run.per_day:g} false incidents a day and "
        f"task ({run.allowed} in its {_hours(run, dataset):.2f} hours), even if half as many flows "
        "as the rule asks for opened one. Calibration and thresholds were chosen on the validation "
        "recordings with the converted network. Hashes, settings and versions are in "
        "`manifest.json`."
    )
    parts = [f"# {name} {version}", network, "## What it detects"]
    parts += ["\n".join(_task(task) for task in best.tasks)]
    parts += ["## Figures on recordings that were left out", reading]
    parts += [as_markdown(table(left_out.models))]
    parts += [_alerts(left_out, best.seed, [result.seed for result in run.seeds])]
    if in_source is not None:
        flatters = "Such figures flatter: they are for comparison with those above, not to quote."
        parts += ["## Figures within the training recordings", f"{_what(in_source)} {flatters}"]
        parts += [as_markdown(table(in_source.models))]
    parts += ["## Limits, and what it does not do", _LIMITS.rstrip()]
    parts += ["## Who can provoke its alerts, and who can evade them", ADVERSARY]
    parts += [forgery_table(run.task_names), _EVASION]
    parts += ["## Data", _sources(run, dataset), tuning]
    return "\n\n".join(parts) + "\n"


def _task(task: TaskSpec) -> str:
    rule = task.incident
    return (
        f"- **{task.name}** ({task.signature}): scored on {_looks(task)}; an incident about "
        f"{_role(rule)} opens with {_flows(rule)} within "
        f"{rule.open_seconds} s. Threshold {task.threshold:.4f} on the calibrated score. "
        f"MITRE ATT&CK {_list(task.mitre_technique_id)}."
    )


def _looks(task: TaskSpec) -> str:
    first = "the first packets of each flow"
    return first if task.policy == "first" else "every window of packets of each flow"


def _role(rule: IncidentRule) -> str:
    return _ROLES[rule.role].format(rule.service_port)


def _flows(rule: IncidentRule) -> str:
    count = rule.open_flows
    flows = "one positive flow" if count == 1 else f"{count} positive flows"
    return flows if rule.open_rows <= count else f"{flows} of {rule.open_rows} positive windows"


def _what(comparison: Comparison) -> str:
    shares = ", ".join(f"{task} {share:.0%}" for task, share in comparison.seen.items())
    held = (
        "None of their packets was trained or tuned on."
        if comparison.kind == "source"
        else "Tested are the last 30 % of each recording's flows; a network of the same settings "
        "was trained on the first 55 %."
    )
    return (
        f"{len(comparison.sources)} recordings, {comparison.hours:.2f} hours. {held} Flows whose "
        f"deciding pattern occurs in training all the same: {shares}."
    )


def _alerts(comparison: Comparison, best: int, seeds: list[int]) -> str:
    """What the exported seed's incidents were like."""
    lines = []
    for entry in comparison.models["lmmoe"][seeds.index(best)]:
        incidents = entry.incidents
        seconds = sorted(incidents.seconds_to_alert)
        times = (
            f"alerted {seconds[len(seconds) // 2]:.1f} s (median; at most {seconds[-1]:.1f} s) "
            "after the first packet of the attack's first flow"
            if seconds
            else "never alerted"
        )
        benign = entry.flows - entry.attack_flows
        lines.append(
            f"- {entry.task}: {incidents.found} of {incidents.attacks} attacks found, {times}; "
            f"{incidents.scattered_flows} attack flows are in no incident even with perfect "
            f"scores; {incidents.false} false incidents; {entry.false_positives} of {benign} "
            "benign flows positive."
        )
    return "The bundle's own seed:\n\n" + "\n".join(lines)


def _sources(run: Run, dataset: Dataset) -> str:
    rows = [["recording", "part", "minutes", "packets", "flows", *run.task_names]]
    for index, record in enumerate(dataset.sources):
        part = [part for part in PARTS if record.name in getattr(run.split, part)]
        if not part:
            continue
        of_source = dataset.source == index
        counts = []
        for task in run.task_names:
            attack = dataset.labels[:, dataset.tasks.index(task)] == 1
            counts.append(str(len(set(dataset.flow[of_source & attack].tolist()))))
        minutes = f"{record.seconds / 60:.1f}"
        rows.append(
            [record.name, part[0], minutes, str(record.packets), str(record.flows), *counts]
        )
    return "Task columns count attack flows.\n\n" + as_markdown(rows)


def _hours(run: Run, dataset: Dataset) -> float:
    held_out = [each for each in dataset.sources if each.name in run.split.validation]
    return sum(each.seconds for each in held_out) / 3600


def _list(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values))
