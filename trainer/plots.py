"""Score histograms and ROC curves of a comparison, as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from trainer.comparison import Comparison
from trainer.metrics import roc_curve

Bins = Sequence[Mapping[str, float]]
"""Bins as `trainer.reliability.Bin` has them: ``flows``, ``score`` and ``attacks``."""

_BINS = np.linspace(0, 1, 41)


def plot(comparison: Comparison, path: Path) -> None:
    """Draws, for every task, how benign and attack flows score, and the ROC curve near no alarm.

    The curves are those of the network's best seed.
    """
    tasks = list(comparison.flows)
    figure = Figure(figsize=(4 * len(tasks), 6.4), layout="constrained")
    axes = figure.subplots(2, len(tasks), squeeze=False)
    for column, task in enumerate(tasks):
        flows, (upper, lower) = comparison.flows[task], axes[:, column]
        for value, name in ((0, "benign"), (1, "attack")):
            scores = flows.scores[flows.labels == value]
            upper.hist(scores, _BINS, histtype="step", label=f"{name} ({scores.size} flows)")
        upper.axvline(comparison.thresholds[task], color="0.5", linestyle=":", label="threshold")
        upper.set(title=task, xlabel="calibrated score", ylabel="flows", yscale="log")
        upper.legend(fontsize="small")
        false, found = roc_curve(flows.labels, flows.scores)
        lower.plot(np.maximum(false, 1e-6), found, drawstyle="steps-post")
        lower.set(xlabel="false-positive rate", ylabel="recall", xscale="log")
        lower.set(xlim=(1e-6, 1), ylim=(0, 1.02))
        lower.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=110)


def plot_reliability(bins: Mapping[str, Mapping[str, Bins]], path: Path) -> None:
    """Draws, for every task, how many of the flows of a score are attacks.

    Args:
        bins: by task and by what was tested.
        path: of the picture.
    """
    figure = Figure(figsize=(4 * len(bins), 3.8), layout="constrained")
    axes = figure.subplots(1, len(bins), squeeze=False)[0]
    for axis, (task, each) in zip(axes, bins.items(), strict=True):
        axis.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        for name, its in each.items():
            scores, attacks = ([entry[key] for entry in its] for key in ("score", "attacks"))
            axis.plot(scores, attacks, marker="o", markersize=4, label=name)
        axis.set(title=task, xlabel="calibrated score", ylabel="share of attacks")
        axis.set(xlim=(0, 1), ylim=(-0.02, 1.02))
        axis.legend(fontsize="small")
    figure.savefig(path, dpi=110)
