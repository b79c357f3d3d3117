"""Accuracy of the traffic class against the number of labels, drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[int, Sequence[float]]]
"""By approach: by labels in total, one accuracy a seed."""


def plot(curves: Curves, everything: int, path: Path) -> None:
    """Draws means, and from the least to the greatest seed shaded.

    Args:
        curves: 0 labels stand for all.
        everything: how many these are.
        path: of the picture.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axis = figure.subplots()
    for name, curve in curves.items():
        counts = sorted(curve, key=lambda count: count or everything)
        places = [count or everything for count in counts]
        seeds = [[100 * value for value in curve[count]] for count in counts]
        (line,) = axis.plot(
            places, [np.mean(each) for each in seeds], marker="o", markersize=3, label=name
        )
        ends = [min(each) for each in seeds], [max(each) for each in seeds]
        axis.fill_between(places, *ends, color=line.get_color(), alpha=0.12, linewidth=0)
    axis.set(xscale="log", xlabel="labels in total", ylabel="traffic class, % right")
    shown = {
        count or everything: f"{count or f'all {everything}'}"
        for of in curves.values()
        for count in of
    }
    axis.set_xticks(list(shown), list(shown.values()))
    axis.minorticks_off()
    axis.grid(visible=True, alpha=0.3)
    axis.legend(fontsize="small", loc="lower right")
    figure.savefig(path, dpi=110)
