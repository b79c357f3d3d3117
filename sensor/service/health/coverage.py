"""How much of what came was looked at, and why the rest was not: a funnel whose numbers add up.

    frames:  received = lost + delivered
             delivered = decoded + refused (by reason)
    flows:   began = undecided + looked_at + shed + waiting
    rows:    decided = looked_at + shed + waiting
    models:  for each task, looked_at = scored + not_counted

*Received* is what the kernel had for us; what it was told not to show (``cut``), or never saw
(``bypassed``), stands beside it. *Waiting* is what is on its way to detection; none is when a run
has ended. A model that was put in force while the sensor ran has looked at fewer rows than all.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sensor.exchange import Lanes
from sensor.lane import Watch
from sensor.model.score_counts import BINS


def funnel(
    counts: Mapping[str, Any], lanes: Lanes, *, shed: int = 0, shed_flows: int = 0
) -> dict[str, Any]:
    """The document, as `docs/health.md` describes it.

    Args:
        counts: `Statistics.document` of now.
        lanes: of the run.
        shed: rows that no detector was given.
        shed_flows: first ones of flows among them.
    """
    of_lanes = lanes.counts()
    refused = {reason: count for reason, count in counts["refused"].items() if count}
    received = counts["packets"] + counts["kernel_drops"]
    decided, flows = sum(counts["sequences"].values()), of_lanes["decided_flows"]
    looked_at, looked_at_flows = of_lanes["looked_at"], of_lanes["looked_at_flows"]
    return {
        "frames": {
            "received": received,
            "lost": counts["kernel_drops"],
            "lost_share": round(counts["kernel_drops"] / received, 6) if received else 0.0,
            "delivered": counts["packets"],
            "decoded": counts["decoded"],
            "refused": refused,
            "cut": counts["cut"],
            "bypassed": counts["bypassed"],
        },
        "flows": {
            "began": flows + of_lanes["undecided_flows"],
            "undecided": of_lanes["undecided_flows"],
            "looked_at": looked_at_flows,
            "shed": shed_flows,
            "waiting": flows - looked_at_flows - shed_flows,
        },
        "rows": {
            "decided": decided,
            "looked_at": looked_at,
            "shed": shed,
            "waiting": decided - looked_at - shed,
            "skipped": counts["sequences_skipped"],
            "ambiguous": counts["answers_ambiguous"],
            "unknown": counts["measurements_unknown"],
        },
        "models": {label(watch): _model(watch) for watch in lanes.watches},
    }


def label(watch: Watch) -> str:
    """Name of a detector in the status; one in the shadow may be called like the one in the light.

    It stands in an object's keys, before ``/`` and a task.
    """
    return f"{watch.detector.name} (shadow)" if watch.shadow else watch.detector.name


def networks(watches: Iterable[Watch]) -> list[dict[str, Any]]:
    """What the status tells of the detectors in force; of the rule there is no file."""
    return [
        {
            "name": watch.detector.name,
            "version": watch.detector.version,
            "sha256": watch.detector.model_sha256,
            "manifest_sha256": getattr(bundle, "manifest_sha256", ""),
            "shadow": watch.shadow,
        }
        for watch in watches
        for bundle in (getattr(watch.detector, "bundle", None),)
    ]


def _model(watch: Watch) -> dict[str, Any]:
    counts = watch.scores.counts.copy()
    names = [task.name for task in watch.detector.tasks]
    counted = counts[:, :BINS].sum(axis=1).tolist()
    return {
        "looked_at": watch.scores.rows,
        "tasks": {
            name: {"scored": scored, "not_counted": rest}
            for name, scored, rest in zip(names, counted, counts[:, BINS].tolist(), strict=True)
        },
    }
