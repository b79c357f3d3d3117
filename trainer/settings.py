"""Settings of a fit; a leaf, so that reading them loads no TensorFlow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What decides a fit beside the examples and the seed.

    Attributes:
        experts, units, tower_units: size of the LMMoE.
        epochs: at most.
        patience: epochs without a better validation loss after which to stop.
        batch_size: examples a step.
        learning_rate: of Adam at the first step; it falls along a half cosine to a hundredth.
        settle_after: epochs from which on rows of positive flows in which nothing of the attack
            shows are masked (`trainer.datasets.examples`).
        task_weights: of each task's loss; empty for equal ones.
    """

    experts: int = 3
    units: int = 16
    tower_units: tuple[int, ...] = (8,)
    epochs: int = 40
    patience: int = 8
    batch_size: int = 512
    learning_rate: float = 4e-3
    settle_after: int = 4
    task_weights: tuple[float, ...] = ()
