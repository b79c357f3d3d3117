"""What is measured for Table 1, and what became of it; loads no TensorFlow.

Approaches; all see the same votes of the same labeling functions, and none any truth:

- ``majority``: says of every measurement what most are, which is "nothing";
- ``label_model``: the label model alone, a task at a time, as the latency paper's single-task
  models;
- ``snorkel_label_model``: Snorkel's label model on the same votes, likewise;
- ``networks``: three networks, a task each, that see both sides of a measurement
  (`trainer.latency.offline`), as the labeling functions do;
- ``lmmoe``: one network with three tasks, which sees the same;
- ``lmmoe_alike``: the same, with losses that weigh alike (`trainer.latency.learning.alike`);
- ``lmmoe_hard``: as ``lmmoe``, taught with what the label model finds likelier instead of how
  likely it is;
- ``snorkel_multitask``: Snorkel's `MultitaskClassifier`, the latency paper's multi-task model, on
  the same inputs;
- ``lmmoe_causal``: one network with three tasks that sees what the sensor sees of a measurement,
  the last 64 (`trainer.latency.windows`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.latency.figures import Counts
from trainer.latency.lesson import LESSON

APPROACHES = (
    "majority",
    "label_model",
    "snorkel_label_model",
    "networks",
    "lmmoe",
    "lmmoe_alike",
    "lmmoe_hard",
    "snorkel_multitask",
    "lmmoe_causal",
)

FIRST_RUN = 100
"""Seed of the first run; settings were chosen on runs below."""

OF_SNORKEL = ("snorkel_label_model", "snorkel_multitask")
"""Those that need Snorkel's environment."""

MEASUREMENTS = 15_000
"""Of a run, as in the latency paper."""


@dataclass(frozen=True)
class Trial:
    """One approach on one run of the generator.

    Attributes:
        approach: one of `APPROACHES`.
        run: seed of the generator, and of the network.
        base: what the generator changes: ``generated``, or ``atlas`` for a real series.
    """

    approach: str
    run: int
    base: str = "generated"

    def document(self) -> dict[str, Any]:
        """As JSON has it, with all else that decides the result."""
        return {**asdict(self), "measurements": MEASUREMENTS, "lesson": asdict(LESSON)}


def table_1(runs: int, bases: Sequence[str]) -> list[Trial]:
    """All trials, run by run, so that what is cut short has a figure in every cell.

    What the sensor sees comes last: it takes as long as all others together.
    """
    return [
        Trial(approach, FIRST_RUN + run, base)
        for base in bases
        for together in (APPROACHES[:-1], APPROACHES[-1:])
        for run in range(runs)
        for approach in together
    ]


@dataclass(frozen=True)
class Outcome:
    """What became of it.

    Attributes:
        counts: by task, over the test part.
        seconds: by what was done: ``votes``, ``label model``, ``learning``.
        epochs: of each network.
    """

    counts: Mapping[str, Counts]
    seconds: Mapping[str, float]
    epochs: tuple[int, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Outcome":
        """From what `document` made.

        Raises:
            KeyError, TypeError: it is damaged.
        """
        counts = {task: Counts(**each) for task, each in document["counts"].items()}
        return cls(counts, document["seconds"], tuple(document["epochs"]))
