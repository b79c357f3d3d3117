"""The model card of a latency bundle."""

from collections.abc import Mapping, Sequence
from math import isfinite

from sensor.model.schema import TaskSpec
from trainer.evaluation import as_markdown
from trainer.latency.figures import Counts
from trainer.latency.lesson import Lesson
from trainer.latency.series import LatencySeries
from trainer.latency.windows import SCHEMA

_LIMITS = """- Learnt from generated noise, outages and swells; how large those of a network are, the generator does not know. Figures on them say that the network has learnt them, not how well it does on a link.
- It sees the last {n} measurements of a peer, which the sensor took from traffic, and what was usual over some 500: what lasts longer is no swell to it, but the new level.
- Swells of less than a quarter of the level, and noise of less than half of it, it has not been taught.
- It says that something is so, not why: a swell may be congestion on the path, a busy server or a weak radio link, and an outage a host that was switched off.
- Round-trip times of one kind with one peer are a series of their own; a series of few measurements tells little.
- Of quiet paths it knows the quiet series that it has learnt from. Look at what it says of your own network, and train on quiet series of that."""  # noqa: E501


def card(
    name: str,
    version: str,
    lesson: Lesson,
    specs: Sequence[TaskSpec],
    counts: Mapping[str, Counts],
    opened: Mapping[str, tuple[int, int]],
    peers: tuple[int, int],
    quiet: Sequence[LatencySeries],
) -> str:
    """The card as Markdown.

    Args:
        name: of the bundle.
        version: of the model.
        lesson: how it was taught.
        specs: tasks with thresholds.
        counts: by task, of single generated measurements that nothing was learnt from.
        opened: by task, quiet peers of validation and of test about which an incident opens.
        peers: how many of either there are.
        quiet: series that were learnt from.
    """
    network = (
        f"One LMMoE (E = {lesson.experts} LSTM experts of {lesson.units} units, {len(specs)} "
        f"tasks) for `multa-sensor`, with 16-bit weights. It looks at windows of "
        f"{SCHEMA.n} round-trip times of a peer."
    )
    tasks = [
        f"- **{spec.name}** ({spec.signature}): an incident about the peer opens with "
        f"{spec.incident.open_rows} measurements at {spec.threshold:.4f} or above within "
        f"{spec.incident.open_seconds} s."
        for spec in specs
    ]
    rows = [
        [
            "generated measurements",
            "true",
            "precision",
            "recall",
            "F1",
            "validation: quiet peers with an incident",
            "test: quiet peers with an incident",
        ]
    ]
    for spec in specs:
        each = counts[spec.name]
        figures = (each.precision, each.recall, each.f1)
        cells = [f"{value:.3f}" if isfinite(value) else "–" for value in figures]
        of = [f"{n} of {all_}" for n, all_ in zip(opened[spec.name], peers, strict=True)]
        rows.append([spec.name, f"{each.positives}", *cells, *of])
    reading = (
        "Single measurements of generated series that nothing was learnt from, at the thresholds; "
        "and quiet peers of recordings from which nothing but thresholds and the moment to stop "
        "was learnt (validation), or nothing at all (test)."
    )
    made = (
        "Labels are probabilities of a label model over labeling functions "
        "(`trainer/weak/latency.py`); no truth was looked at in training. Thresholds are such that "
        f"no incident opens about the quiet peers of validation. Learnt from are {len(quiet)} "
        f"quiet series, {sum(map(len, quiet)):,} measurements. Settings, names and versions are in "
        "`manifest.json`."
    )
    parts = [f"# {name} {version}", network, "## What it detects", "\n".join(tasks)]
    parts += ["## Figures", reading, as_markdown(rows), "## Data", made]
    parts += ["## Limits, and what it does not do", _LIMITS.format(n=SCHEMA.n)]
    return "\n\n".join(parts) + "\n"
