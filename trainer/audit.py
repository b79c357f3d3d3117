"""Leakage: inputs that know a capture rather than an attack.

Every attack comes from some tool, network and day. An input that tells these apart (padding, a
TTL, a tool's favourite size) separates the classes within the captures that were learnt from, and
nothing elsewhere. So a decision tree of depth 2 is grown on every single input (`Input`: a field,
each of its channels, a context field), on half the flows of the sources that a network would learn
from. What it is worth is measured twice, as the area under the ROC curve over flows:

- *in-source*, on the other half of the flows of these sources;
- *left-out*, on the sources that were held back.

An input leaks where it is at least `STRONG` in-source and at most `CHANCE` left-out. What really
belongs to an attack can't meet that: a flood's counts of new flows, its lone SYNs or its sizes tell
it in-source *and* in other sources, and an input that tells nothing is not strong in-source. Four
leaves are too few to learn many captures one by one, so a strong tree has found something that the
sources have in common. The audit can only see what the held-back sources do not share: recordings
of one lab share the lab.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.errors import LeakError, OutputError
from sensor.model.fields import CONTEXT_FIELDS, FIELDS
from sensor.model.schema import TaskSpec
from trainer.datasets.dataset import Dataset
from trainer.datasets.examples import Patterns, task_labels
from trainer.datasets.labels import MASKED
from trainer.evaluation import as_markdown, flow_scores, without_nan
from trainer.metrics import roc_auc

STRONG = 0.9
"""AUC in-source from which an input tells the classes nearly by itself."""

CHANCE = 0.6
"""AUC left-out up to which it tells next to nothing: 0.5 is chance, less is upside down."""

DEPTH = 2
MOST_EXAMPLES = 50_000
"""Distinct patterns that a tree is grown on at most, drawn by `SEED`."""
SEED = 0

TABLE = "audit.json"


@dataclass(frozen=True)
class Finding:
    """What one input is worth for one task.

    Attributes:
        task: its name.
        kind: ``field``, ``channel`` or ``context``.
        name: of the input.
        in_source, left_out: areas under the ROC curve; NaN where a class is missing.
    """

    task: str
    kind: str
    name: str
    in_source: float
    left_out: float

    @property
    def leaks(self) -> bool:
        """Whether it knows the captures rather than the attack."""
        return self.in_source >= STRONG and self.left_out <= CHANCE


def audit(
    dataset: Dataset,
    tasks: Sequence[TaskSpec],
    learnt: NDArray[np.bool_],
    held_back: NDArray[np.bool_],
) -> list[Finding]:
    """Grows a tree on every single input.

    Args:
        dataset: rows of whole sources.
        tasks: to look at.
        learnt: ``(rows,)`` rows of the sources that would be learnt from.
        held_back: ``(rows,)`` rows of other sources.

    Returns:
        A finding for each task and input, tasks in their order.
    """
    from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 -- slow to load

    patterns, labels = Patterns.of(dataset), task_labels(dataset, tasks)
    inputs = list(_inputs(patterns))
    odd = dataset.flow % 2 == 1
    found = []
    for column, task in enumerate(tasks):
        rows = np.flatnonzero(learnt & ~odd & (labels[:, column] != MASKED))
        # A pattern once for each label: a flood's few sequences are no more than that.
        pairs = patterns.number[rows] * 2 + labels[rows, column]
        _, first = np.unique(pairs, return_index=True)
        if first.size > MOST_EXAMPLES:
            first = np.random.default_rng(SEED).choice(first, MOST_EXAMPLES, replace=False)
        examples, truth = patterns.number[rows[first]], labels[rows[first], column]
        if len(np.unique(truth)) < 2:
            continue
        for kind, name, values in inputs:
            tree = DecisionTreeClassifier(
                max_depth=DEPTH, class_weight="balanced", random_state=SEED
            )
            tree.fit(values[examples], truth)
            scores = tree.predict_proba(values)[:, 1][patterns.number]
            areas = []
            for part in (learnt & odd, held_back):
                flows = flow_scores(
                    dataset.take(part),
                    patterns.number[part],
                    task,
                    labels[part, column],
                    scores[part],
                )
                areas.append(roc_auc(flows.labels, flows.scores))
            found.append(Finding(task.name, kind, name, *areas))
    return found


def require_no_leak(findings: Sequence[Finding], where: str) -> None:
    """Stops what follows where an input leaks.

    Raises:
        LeakError: the worst one is named.
    """
    leaks = sorted(
        (finding for finding in findings if finding.leaks),
        key=lambda finding: finding.left_out - finding.in_source,
    )
    if leaks:
        worst = leaks[0]
        others = f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""
        raise LeakError(
            f"{where}: {worst.kind} {worst.name} alone tells {worst.task} within the training "
            f"sources (AUC {worst.in_source:.3f}) and not in others ({worst.left_out:.3f}){others}:"
            " it knows the captures, not the attack; vary it in the recordings, or leave the field "
            "out of the schema"
        )


def write_findings(findings: Sequence[Finding], path: Path) -> None:
    """Writes the findings as JSON, the worst gap first.

    Raises:
        OutputError: the file can't be written.
    """
    ordered = sorted(findings, key=lambda finding: finding.left_out - finding.in_source)
    document = [{**without_nan(asdict(finding)), "leaks": finding.leaks} for finding in ordered]
    text = json.dumps(document, indent=1)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}; name a folder that can be written") from None


def findings_table(findings: Sequence[Finding], least: float = 0.8) -> str:
    """The inputs that are worth something in-source, as Markdown.

    Args:
        findings: of an audit.
        least: AUC in-source from which an input is listed.
    """
    rows = [["task", "input", "in-source AUC", "left-out AUC", "leaks"]]
    rows += [
        [
            finding.task,
            f"{finding.kind} {finding.name}",
            f"{finding.in_source:.3f}",
            f"{finding.left_out:.3f}",
            "**yes**" if finding.leaks else "no",
        ]
        for finding in findings
        if finding.in_source >= least
    ]
    return as_markdown(rows)


def _inputs(patterns: Patterns) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Kind, name and values ``(patterns, columns)`` of every single input.

    A field's or channel's columns are its values at each packet of the row.
    """
    encoded = patterns.encoded
    schema = encoded.schema
    x, c = encoded.expand()
    channel = 0
    for number, name in enumerate(schema.fields):
        names = FIELDS[name].channels
        yield "field", name, encoded.codes[:, :, number].astype(np.float32)
        if len(names) > 1:
            for place, each in enumerate(names):
                yield "channel", f"{name}.{each}", x[:, :, channel + place]
        channel += len(names)
    for number, name in enumerate(schema.context):
        yield "context", CONTEXT_FIELDS[name].channels[0], c[:, number, None]
