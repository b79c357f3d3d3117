"""What a live run measures of itself beside what it counts: how long things took."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

BATCH_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Histogram:
    """How many values lie at or below each of some bounds, as Prometheus counts them.

    Attributes:
        bounds: ascending.
        counts: values by the first bound that they do not exceed; the last place is for all others.
        total: sum of the values.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        """Starts without values."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Counts a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def document(self) -> dict[str, Any]:
        """As the status shows it."""
        return {"bounds": list(self.bounds), "counts": list(self.counts), "sum": self.total}


class Measures:
    """Of one live run; the thread that detects measures.

    Attributes:
        batch: seconds that detection took for a batch of rows, inference and incidents.
        latency: seconds from the packet time of an event to the line in the log about it.
    """

    def __init__(self) -> None:
        """Starts without any."""
        self.batch = Histogram(BATCH_SECONDS)
        self.latency = Histogram(LATENCY_SECONDS)

    def count_told(self, event_ns: int, wall_ns: int) -> None:
        """Counts an event that was written; where a clock was stepped the delay may be nonsense.

        Args:
            event_ns: its packet time.
            wall_ns: time of this machine.
        """
        self.latency.add(max(0, wall_ns - event_ns) / 1e9)
