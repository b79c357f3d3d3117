"""Series of round-trip times as columns: what readers and the generator yield."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

TASKS = ("noise", "outage", "swell")
"""What the latency paper tells apart (section 3), and what truth may be known of."""

UNKNOWN = -1
"""Truth of a measurement that nobody knows; 1 is yes and 0 is no."""

Rows = NDArray[np.intp] | NDArray[np.bool_] | slice


@dataclass(frozen=True, slots=True, eq=False)
class LatencySeries:
    """Round-trip times of one peer in order of time; m measurements.

    Attributes:
        name: where from, as file and peer, or what generated it.
        time_ns: ``(m,)`` int64 when each was sent, nanoseconds since 1970 in UTC; never
            decreasing.
        rtt_ms: ``(m,)`` float64 positive milliseconds; NaN where there was no answer.
        truth: for each task of `TASKS` that something is known of ``(m,)`` int8: 1, 0 or
            `UNKNOWN`. Empty for measurements that nobody has labelled.
    """

    name: str
    time_ns: NDArray[np.int64]
    rtt_ms: NDArray[np.float64]
    truth: dict[str, NDArray[np.int8]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns: list[NDArray[Any]] = [self.time_ns, self.rtt_ms, *self.truth.values()]
        if {column.shape for column in columns} != {(len(self.time_ns),)}:
            raise ValueError(f"{self.name}: its columns differ in length")
        types = (np.int64, np.float64, *(np.int8 for _ in self.truth))
        if any(column.dtype != dtype for column, dtype in zip(columns, types, strict=True)):
            raise ValueError(f"{self.name}: times are int64, round-trip times float64, truth int8")
        if unknown := self.truth.keys() - set(TASKS):
            raise ValueError(f"{self.name}: no task is called {', '.join(sorted(unknown))}")

    def __len__(self) -> int:
        return len(self.time_ns)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """``(m,)`` whether there was an answer."""
        return ~np.isnan(self.rtt_ms)

    @property
    def gap_ns(self) -> NDArray[np.int64]:
        """``(m,)`` time since the measurement before; 0 for the first."""
        return np.diff(self.time_ns, prepend=self.time_ns[:1])

    def take(self, rows: Rows) -> "LatencySeries":
        """The given measurements, as a series of the same name."""
        truth = {task: values[rows] for task, values in self.truth.items()}
        return LatencySeries(self.name, self.time_ns[rows], self.rtt_ms[rows], truth)

    def known(self, task: str) -> NDArray[np.int8]:
        """``(m,)`` truth of a task, `UNKNOWN` throughout where there is none."""
        if task in self.truth:
            return self.truth[task]
        return np.full(len(self), UNKNOWN, np.int8)
