"""Quiet series, on which nothing is to be alerted, and when an incident would open about a peer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.latency.measurements import KINDS, TIMESTAMP_KIND
from sensor.latency.steps import SPAN_NS, STAMPED_NS
from sensor.model.schema import TaskSpec
from trainer.latency.series import LatencySeries

FILES = 500
"""Files of a part that a manifest names, which is to stay below its limit."""

_NS = 1_000_000_000


@dataclass(frozen=True, eq=False)
class Quiet:
    """Series on which nothing is to be alerted, each part of other recordings.

    Attributes:
        learnt: to learn from.
        validation: by which it is decided when to stop, and at which thresholds.
        test: for figures alone; perhaps none.
    """

    learnt: Sequence[LatencySeries]
    validation: Sequence[LatencySeries]
    test: Sequence[LatencySeries] = ()


def thinned(series: LatencySeries) -> LatencySeries:
    """What the sensor has rows of (`docs/semantics.md` 39).

    One measurement of each span of the clock: the first, of ``timestamp`` the least. What a file
    names in another way is thinned as if it were pings.
    """
    if series.name.endswith(f" {KINDS[TIMESTAMP_KIND]}"):
        span = series.time_ns // STAMPED_NS
        order = np.lexsort((series.rtt_ms, span))
        return series.take(np.sort(order[np.diff(span[order], prepend=-1) != 0]))
    span = series.time_ns // SPAN_NS
    return series.take(np.diff(span, prepend=-1) != 0)


def peers_of(quiet: Sequence[LatencySeries]) -> list[list[LatencySeries]]:
    """Series, thinned, by file and peer."""
    found: dict[str, list[LatencySeries]] = {}
    for series in quiet:
        found.setdefault(_peer(series.name), []).append(thinned(series))
    return list(found.values())


def _peer(name: str) -> str:
    """File and peer of a series of the sensor's, whose name ends with port and kind.

    Others are of a peer each.
    """
    words = name.rsplit(" ", 2)
    return words[0] if words[-1] in KINDS else name


def named(part: Sequence[LatencySeries]) -> dict[str, Any]:
    """What a manifest says of a part: how much it is and of which files, but of no peer."""
    peers = ((each.name, _peer(each.name)) for each in part)
    files = {peer if peer == name else peer.rpartition(" ")[0] for name, peer in peers}
    return {
        "series": len(part),
        "measurements": sum(map(len, part)),
        "files": sorted(files)[:FILES],
    }


@dataclass(frozen=True, eq=False)
class Scored:
    """Windows of one series with the network's scores.

    Attributes:
        series: whose measurements they end with, all of them.
        raw: ``(m, tasks)`` scores.
    """

    series: LatencySeries
    raw: NDArray[np.float32]


def of_peer(every: Sequence[Scored], place: int, spec: TaskSpec) -> NDArray[np.float32]:
    """`openings` of all measurements of a peer: an incident is about it, not about a series."""
    time_ns = np.concatenate([each.series.time_ns for each in every])
    raw = np.concatenate([each.raw[:, place] for each in every])
    order = np.argsort(time_ns, kind="stable")
    found = np.empty(len(raw), np.float32)
    found[order] = openings(time_ns[order], raw[order], spec)
    return found


def openings(
    time_ns: NDArray[np.int64], raw: NDArray[np.float32], spec: TaskSpec
) -> NDArray[np.float32]:
    """``(m,)`` the highest threshold at which an incident would be open with each measurement.

    That is the k-th highest of the scores within the rule's seconds up to it; 0 where there are
    fewer.

    Args:
        time_ns: ``(m,)``, never decreasing.
        raw: ``(m,)`` scores.
        spec: whose rule it is.
    """
    rule, k = spec.incident, spec.incident.open_rows
    begins = np.searchsorted(time_ns, time_ns - rule.open_seconds * _NS)
    found = np.zeros(len(raw), np.float32)
    for place, begin in enumerate(begins.tolist()):
        if place + 1 - begin >= k:
            found[place] = np.partition(raw[begin : place + 1], -k)[-k]
    return found


def opened(every: Sequence[Sequence[Scored]], place: int, spec: TaskSpec) -> int:
    """About how many peers an incident opens."""
    return sum(bool((of_peer(each, place, spec) >= spec.threshold).any()) for each in every)
