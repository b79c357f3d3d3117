"""Whether a model's scores are still distributed as on the harmless traffic that it was tested on.

The measure is the population stability index over the 20 bins of the manifest's histogram,

    PSI = Σ (aᵢ − eᵢ) · ln(aᵢ / eᵢ),

where aᵢ is the share of live rows in bin i and eᵢ that of benign rows in the manifest (N. Siddiqi,
Credit Risk Scorecards, 2006, ch. 10; the same as the divergence J of H. Jeffreys, 1946). Usual
reading: below 0.1 nothing, to 0.25 something, above 0.25 the model sees other traffic.

Neither share may be 0. Every expected bin gets half a row more (Jeffreys' prior), and live rows
get one row more, which is distributed as expected: a bin that is empty on both sides adds nothing,
and one that is empty on one side hardly anything, unless many rows were expected there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sensor.alerts.eve import timestamp
from sensor.model.score_counts import BINS, Hour, ScoreCounts

LEAST_ROWS = 1_000
"""With fewer rows, chance alone would look like drift."""

MUCH = 0.25

_EDGES = np.arange(BINS + 1) / BINS


@dataclass(frozen=True, slots=True)
class Window:
    """The rows of an hour of packet time that counted for a task.

    Attributes:
        start_ns: begin of the hour.
        rows: their number.
        high: how many of them had a score of at least 0.5.
        psi: None where there are fewer than `LEAST_ROWS`.
    """

    start_ns: int
    rows: int
    high: int
    psi: float | None

    def document(self) -> dict[str, Any]:
        """As the status shows it."""
        return {
            "from": timestamp(self.start_ns),
            "rows": self.rows,
            "high": self.high,
            "psi": self.psi,
        }


def stability(live: ArrayLike, benign: ArrayLike) -> float:
    """The index of so many live rows ``(bins,)`` against so many expected ones ``(bins,)``."""
    expected = np.asarray(benign, np.float64) + 0.5
    expected /= expected.sum()
    actual = np.asarray(live, np.float64) + expected
    actual /= actual.sum()
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def benign_histogram(manifest: Mapping[str, Any], task: str) -> NDArray[np.float64] | None:
    """Benign rows ``(BINS,)`` of a task; None where the manifest has no such histogram.

    A manifest is proved to be what was exported, not to hold a histogram of this kind.
    """
    try:
        entry = manifest["histograms"][task]
        edges, rows = np.float64(entry["edges"]), np.float64(entry["benign"])
    except (KeyError, TypeError, ValueError):
        return None
    if edges.shape != _EDGES.shape or not np.allclose(edges, _EDGES) or rows.shape != (BINS,):
        return None
    good = bool(np.isfinite(rows).all() and (rows >= 0).all() and rows.sum() >= LEAST_ROWS)
    return rows if good else None


class Drift:
    """Compares the scores of a detector with its manifest, task by task.

    Attributes:
        windows: the last whole hour and the running one, by ``detector/task``, as of the last look;
            only tasks whose manifest has a histogram.
    """

    def __init__(
        self, name: str, tasks: tuple[str, ...], manifest: Mapping[str, Any], counts: ScoreCounts
    ) -> None:
        """Finds the manifest's histograms.

        Args:
            name: of the detector.
            tasks: in the order of its score columns.
            manifest: of its bundle.
            counts: what it is compared by.
        """
        self._name, self._counts = name, counts
        found = [
            (place, task, benign_histogram(manifest, task)) for place, task in enumerate(tasks)
        ]
        self._benign = [(*each[:2], each[2]) for each in found if each[2] is not None]
        self._whole: dict[str, Window] = {}
        self.look()

    def look(self) -> None:
        """Compares what has been counted by now."""
        hours = self._counts.hours
        self.windows = {
            f"{self._name}/{task}": [
                self._window(place, task, benign, hour, whole=hour is not hours[-1])
                for hour in hours
            ]
            for place, task, benign in self._benign
        }

    def _window(
        self, place: int, task: str, benign: NDArray[np.float64], hour: Hour, *, whole: bool
    ) -> Window:
        # What no longer changes is computed once, as this is asked for every few seconds.
        known = self._whole.get(task)
        if whole and known and known.start_ns == hour.start_ns:
            return known
        live = hour.counts[place, :BINS]
        rows = int(live.sum())
        psi = round(stability(live, benign), 4) if rows >= LEAST_ROWS else None
        window = Window(hour.start_ns, rows, int(live[BINS // 2 :].sum()), psi)
        if whole:
            self._whole[task] = window
        return window


def latest(windows: list[Window]) -> Window | None:
    """The latest hour of which there are enough rows."""
    enough = [window for window in windows if window.psi is not None]
    return enough[-1] if enough else None


def in_words(name: str, window: Window) -> str:
    """What an operator should know about much drift, and do."""
    share = window.high / window.rows
    return (
        f"drift of {name}: in the hour from {timestamp(window.start_ns)[11:16]} UTC its scores are "
        f"not those of harmless traffic (PSI {window.psi:.2f}, more than {MUCH}; {share:.0%} of "
        f"{window.rows:,} rows score 0.5 or more), and no alert of that hour explains it. This "
        "network is unlike those that the model learned from: label its alerts, and train with "
        "recordings of yours"
    )
