"""A series as the latency paper draws it: the base, and what was added to it (Fig. 1)."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sensor.errors import OutputError
from trainer.latency.series import TASKS, LatencySeries

MOST = 15_000
"""Measurements of a picture, from the beginning of the series; as many as the paper's has."""

COLOURS = {"noise": "tab:green", "outage": "tab:red", "swell": "tab:blue"}
"""Those of the paper's Fig. 3."""


def plot_series(series: LatencySeries, path: Path) -> None:
    """Draws the measurements that nothing was added to, and below all of them by their truth.

    A measurement that is noisy and in a swell is drawn as noise; an outage, which has no
    round-trip time, at 0. Without truth, all look alike.

    Args:
        series: of which the first `MOST` measurements are drawn.
        path: of the picture.

    Raises:
        OutputError: the picture can't be written.
    """
    some = series.take(slice(MOST))
    seconds = (some.time_ns - some.time_ns[:1]) / 1e9
    heights = np.nan_to_num(some.rtt_ms)
    marks = {task: some.known(task) == 1 for task in TASKS}
    marks["outage"] = ~some.answered
    plain = ~np.any(list(marks.values()), axis=0)
    figure = Figure(figsize=(10, 6), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    for axis in (upper, lower):
        axis.plot(seconds[plain], heights[plain], ".", markersize=2, color="0.5")
        axis.set(ylabel="round-trip time (ms)")
    for task in ("swell", "noise", "outage"):
        rows = marks[task]
        label = f"{task} ({rows.sum()})"
        lower.plot(
            seconds[rows], heights[rows], ".", markersize=3, color=COLOURS[task], label=label
        )
    # a name with two dollar signs is no formula
    upper.set_title(f"{series.name}: without noise, outages and swells", parse_math=False)
    lower.set(title="all measurements", xlabel="seconds")
    lower.legend(fontsize="small", loc="center right")
    try:
        figure.savefig(path, dpi=110)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise OutputError(f"{path}: {why}; name a picture that can be written") from None
