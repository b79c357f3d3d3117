"""What a training is, and what became of it; loads no TensorFlow.

Approaches, in the words of the paper's Table III, and two of our own:

- ``forest``: random forests on flow statistics, a forest a task;
- ``cnn_rnn``: CNN and LSTM, trained three times from scratch, a network a task;
- ``transfer``: the CNN learns bandwidth and duration of all training flows; then the heads are
  replaced by one for the class, and the whole network learns the labelled flows;
- ``cnn``: the CNN with three heads, all at once;
- ``lmmoe``: the sensor's network with three heads, all at once;
- ``cnn_alone``: the same CNN with the class alone: what the other two tasks are worth to it.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainer.traffic.material import Division

APPROACHES = ("forest", "cnn_rnn", "transfer", "cnn_alone", "cnn", "lmmoe")

EPOCHS = 40
"""Turns over the training flows, and over the labelled ones."""

LEAST_STEPS = 300
"""Of a training on few labels."""

BATCH, LABELLED = 64, 32
"""Flows of a batch that label themselves, and of those whose class is known."""

EXPERTS, UNITS, TOWER = 3, 24, (24,)
"""Of the LMMoE."""


@dataclass(frozen=True)
class Candidate:
    """What is tuned.

    Attributes:
        setting: learning rate of a network, least flows a leaf of a forest.
        weight: λ, of the class's loss where several tasks are learnt at once.
    """

    setting: float
    weight: float = 1.0


_CONVOLVED = (Candidate(1e-4), Candidate(3e-4), Candidate(1e-3))

CANDIDATES = {
    "forest": (Candidate(1.0), Candidate(2.0), Candidate(4.0)),
    "cnn_rnn": (Candidate(1e-3), Candidate(3e-3), Candidate(1e-2)),
    "transfer": _CONVOLVED,
    "cnn_alone": _CONVOLVED,
    "cnn": (Candidate(1e-3), Candidate(1e-3, 10.0), Candidate(3e-4, 10.0)),
    "lmmoe": (Candidate(1e-2), Candidate(1e-2, 10.0), Candidate(5e-3, 10.0)),
}
"""The tuning budget: three for every approach."""


@dataclass(frozen=True)
class Training:
    """What decides a result, beside the material.

    Attributes:
        approach: one of `APPROACHES`.
        tasks: that are learnt and measured; a network that learns several has them all.
        labels: known classes in total, 0 for all; has no meaning without the class.
        seed: of labels, weights and order.
        candidate: learning rate and λ.
        packets: k.
        division: of bandwidth and duration.
        tested: whether the test part is measured; else the validation part.
    """

    approach: str
    tasks: tuple[str, ...]
    labels: int
    seed: int
    candidate: Candidate
    packets: int = 60
    division: Division = "means"
    tested: bool = True

    def document(self) -> dict[str, Any]:
        """As JSON has it, with all else that decides the result."""
        return {**asdict(self), "epochs": EPOCHS, "least_steps": LEAST_STEPS}


@dataclass(frozen=True)
class Outcome:
    """What became of a training.

    Attributes:
        confusion: of each task, true class by predicted class, counted over the tested flows
            whose label is known.
        seconds: that it took.
        parameters: weights of the network; 0 for forests.
    """

    confusion: dict[str, list[list[int]]]
    seconds: float
    parameters: int

    def accuracy(self, task: str) -> float:
        """Share of the tested flows that are told right."""
        counts = np.array(self.confusion[task])
        return float(np.trace(counts) / counts.sum())
