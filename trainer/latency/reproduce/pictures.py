"""Pictures like the latency paper's Fig. 1 and Fig. 3."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from trainer.latency.pictures import COLOURS
from trainer.latency.series import TASKS, LatencySeries

SHOWN = 3_000
"""Measurements of a picture; more would hide single ones."""


def plot_verdicts(
    series: LatencySeries, verdicts: dict[str, NDArray[np.bool_]], path: Path
) -> None:
    """Draws the last measurements of a series, coloured by what is true and by what models say.

    Args:
        series: whose truth is known.
        verdicts: ``(m, tasks)`` by the name of who said so.
        path: of the picture.
    """
    truth = np.stack([series.known(task) == 1 for task in TASKS], axis=1)
    panels = {"truth": truth, **verdicts}
    rows = slice(-SHOWN, None)
    place = np.arange(len(series))[rows]
    heights = np.nan_to_num(series.rtt_ms[rows])
    figure = Figure(figsize=(10, 2.6 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axis, (name, said) in zip(axes, panels.items(), strict=True):
        axis.plot(place, heights, ".", markersize=2, color="0.6")
        for task in ("swell", "noise", "outage"):
            chosen = said[rows, TASKS.index(task)]
            axis.plot(
                place[chosen],
                heights[chosen],
                ".",
                markersize=4,
                color=COLOURS[task],
                label=f"{task} ({chosen.sum()})",
            )
        axis.set(title=name, ylabel="round-trip time (ms)")
        axis.legend(fontsize="small", loc="upper right")
    axes[-1].set(xlabel="measurement")
    figure.savefig(path, dpi=90)
