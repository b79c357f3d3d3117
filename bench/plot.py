"""Packets a second by tool, as bars."""

from pathlib import Path

from matplotlib.figure import Figure as Picture

from bench.contenders import MIX, OURS, PEERS, SYN
from bench.measure import Results, capture_of
from bench.summary import figure

OURS_COLOUR, PEER_COLOUR, FLOOR_COLOUR = "#1f6f8b", "#b8b8b8", "#e3d9c6"


def plot(results: Results, path: Path) -> bool:
    """Draws the mix and the flood beside each other; returns whether there was anything to draw."""
    everyone = (*OURS[:2], *PEERS)
    measured: dict[str, dict[str, float]] = {}
    for capture, title in ((MIX, "mix"), (SYN, "SYN flood")):
        for contender in everyone:
            if found := figure(results, contender.name, capture_of(contender, capture)):
                measured.setdefault(title, {})[contender.name] = found.speed / 1e3
    if not measured:
        return False
    by_speed = next(iter(measured.values()))
    shown = [one for one in everyone if any(one.name in speeds for speeds in measured.values())]
    shown.sort(key=lambda contender: by_speed.get(contender.name, 0))
    colours = [
        OURS_COLOUR if one in OURS else FLOOR_COLOUR if one.name == "tcpdump" else PEER_COLOUR
        for one in shown
    ]
    picture = Picture(figsize=(11, 0.8 + 0.36 * len(shown)), layout="constrained")
    axes = picture.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for (title, speeds), axis in zip(measured.items(), axes, strict=True):
        values = [speeds.get(contender.name, 0) for contender in shown]
        bars = axis.barh([one.title.replace("*", "") for one in shown], values, color=colours)
        labels = ["" if not v else f"{v:,.0f}" if v >= 10 else f"{v:.2g}" for v in values]
        axis.bar_label(bars, labels, padding=3, fontsize="small")
        axis.set(xscale="log", title=title, xlabel="thousands of packets a second, one core")
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    picture.savefig(path, dpi=110)
    return True
