"""Areas over epochs, and areas against cost, drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from trainer.reproduce.figures import Curve

Panel = Mapping[str, Curve]
"""Curves by name."""


def plot_curves(panels: Mapping[str, Panel], columns: int, path: Path, turns: int = 0) -> None:
    """Draws panels of curves: medians, and from the smallest to the largest seed shaded.

    Args:
        panels: by title, row by row.
        columns: of the grid.
        path: of the picture.
        turns: epochs after which another task is learnt, for vertical lines; 0 for none.
    """
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).reshape(-1)
    for axis, (title, panel) in zip(axes, panels.items(), strict=True):
        last = 1
        for name, curve in panel.items():
            epochs = sorted(curve)
            last = max([last, *epochs])
            seeds = [curve[epoch] for epoch in epochs]
            middle = [np.median(each) for each in seeds]
            (line,) = axis.plot(epochs, middle, marker="o", markersize=3, label=name)
            ends = [min(each) for each in seeds], [max(each) for each in seeds]
            axis.fill_between(epochs, *ends, color=line.get_color(), alpha=0.15, linewidth=0)
        if turns:
            for epoch in range(turns, last, turns):
                axis.axvline(epoch + 0.5, color="0.6", linestyle=":")
        axis.set(title=title, xlabel="epoch", ylabel="ROC-AUC")
        axis.grid(visible=True, alpha=0.3)
        axis.label_outer()
        axis.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=110)


Points = Mapping[str, Sequence[tuple[float, float]]]
"""Areas and costs by family, in the order in which they are joined."""


def plot_balance(
    panels: Mapping[tuple[str, str], Points], columns: int, path: Path, apart: str = ""
) -> None:
    """Draws what areas cost, as in Fig. 4 of MULTA: lower right is better.

    Args:
        panels: by part and by what the cost is, row by row.
        columns: of the grid.
        path: of the picture.
        apart: a family whose points are no sizes of one thing, and are not joined.
    """
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axis, ((part, cost), families) in zip(axes, panels.items(), strict=True):
        for name, points in families.items():
            style = "x" if name == apart else "o-"
            axis.plot(*zip(*points, strict=True), style, markersize=4, label=name)
        axis.set(title=part, xlabel="ROC-AUC, average of tasks", ylabel=cost, yscale="log")
        axis.grid(visible=True, which="both", alpha=0.3)
    axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)
