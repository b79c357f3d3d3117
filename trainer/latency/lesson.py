"""How networks are taught; a leaf, so that reading it loads no TensorFlow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lesson:
    """What decides a training beside the windows, their labels and the seed.

    Attributes:
        experts, units, tower_units: size of the LMMoE.
        epochs: at most.
        patience: epochs without a lower validation loss after which it ends.
        batch: windows a step.
        rate: of Adam at the first step; it falls along half a cosine over all `epochs`.
    """

    experts: int = 2
    units: int = 16
    tower_units: tuple[int, ...] = (16,)
    epochs: int = 30
    patience: int = 8
    batch: int = 256
    rate: float = 1e-2


LESSON = Lesson()
"""The reproduction's, for networks of one task and of three alike."""
