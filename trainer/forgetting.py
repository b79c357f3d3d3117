"""What the old tasks of a network lose when it learns a new one, and how much they may."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sensor.errors import ForgettingError


@dataclass(frozen=True)
class Areas:
    """ROC-AUC of one network's tasks over validation flows.

    Attributes:
        seed: of the network.
        before: of the old tasks in the run that was there, by name.
        added: of all tasks after learning the new one.
        recovered: of all tasks after the recovery; empty without one.
    """

    seed: int
    before: dict[str, float]
    added: dict[str, float]
    recovered: dict[str, float]

    @property
    def after(self) -> dict[str, float]:
        """Of the network that would be written."""
        return self.recovered or self.added

    def line(self) -> str:
        """All figures in a line for a person."""
        told = []
        for task, area in self.added.items():
            steps = [*([self.before[task]] if task in self.before else []), area]
            steps += [self.recovered[task]] if self.recovered else []
            told.append(f"{task} {' → '.join(f'{step:.4f}' for step in steps)}")
        return f"seed {self.seed}: validation AUC {', '.join(told)}"


def require_kept(folder: Path, areas: Sequence[Areas], margin: float) -> None:
    """Makes sure that no old task of any seed has fallen by more than a margin.

    Args:
        folder: of the run that was there, for the message.
        areas: of its seeds.
        margin: allowed.

    Raises:
        ForgettingError: one has; the message names the one that fell furthest.
    """
    falls = [
        (before - each.after[task], task, each)
        for each in areas
        for task, before in each.before.items()
    ]
    # A fall that is no number is no proof that nothing fell.
    fallen = [fall for fall in falls if not fall[0] <= margin]
    if fallen:
        _, task, each = max(fallen, key=lambda fall: (np.isnan(fall[0]), fall[0]))
        raise ForgettingError(
            f"{folder}: seed {each.seed}: the validation AUC of {task} would fall from "
            f"{each.before[task]:.4f} to {each.after[task]:.4f}, by more than {margin:g}; nothing "
            "was written. Look at the new labels, rehearse more (--rehearsal), freeze layers "
            "(--freeze) or let it recover (--recover)"
        )
