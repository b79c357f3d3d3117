"""Measurements that are gathered as columns while a file is read."""

from array import array

import numpy as np
from numpy.typing import NDArray

from trainer.latency.series import LatencySeries

_LONGEST_GAP, _SPARSE = 1 << 16, 1000
"""Numbers that may be missing, whatever there is and for each that is there; more are damaged."""


class Columns:
    """Grows by a measurement at a time, in 16 bytes each."""

    def __init__(self) -> None:
        self.time_ns = array("q")
        self.rtt_ms = array("d")

    def __len__(self) -> int:
        return len(self.time_ns)

    def add(self, time_ns: int, rtt_ms: float) -> None:
        """Adds a measurement; `rtt_ms` is NaN where there was no answer."""
        self.time_ns.append(time_ns)
        self.rtt_ms.append(rtt_ms)

    def order(self) -> NDArray[np.intp] | slice:
        """Rows by time, equal times as they came; a slice of all where they are in order."""
        times = np.frombuffer(self.time_ns, np.int64)
        if (times[1:] >= times[:-1]).all():
            return slice(None)
        return np.argsort(times, kind="stable")

    def series(self, name: str) -> LatencySeries:
        """The measurements in order of time; the columns are not to be added to any more."""
        times = np.frombuffer(self.time_ns, np.int64)
        rtts = np.frombuffer(self.rtt_ms, np.float64)
        return LatencySeries(name, times, rtts).take(self.order())


def in_sequence(
    name: str,
    numbers: NDArray[np.int64],
    sent_ns: NDArray[np.int64],
    rtt_ms: NDArray[np.float64],
    first: int,
    last: int,
) -> LatencySeries:
    """A series of measurements that are numbered as they are sent; missing numbers are lost ones.

    When a lost one was sent follows from its neighbours: measurements are evenly spaced.

    Args:
        name: of the series.
        numbers: ``(k,)`` distinct sequence numbers that something is known of, ascending.
        sent_ns: ``(k,)`` when they were sent.
        rtt_ms: ``(k,)`` their round-trip times, NaN for those without an answer.
        first: number with which the series begins, at most ``numbers[0]``.
        last: number with which it ends, at least ``numbers[-1]``.

    Raises:
        ValueError: hardly any number is there; a series of all would not fit into memory.
    """
    if last - first > _LONGEST_GAP + _SPARSE * len(numbers):
        raise ValueError(f"numbers from {first} to {last}, and {len(numbers)} of them are there")
    all_numbers = np.arange(first, last + 1)
    steps, spans = np.diff(numbers), np.diff(sent_ns)
    interval = float(np.median(spans / steps)) if len(steps) else DEFAULT_INTERVAL_NS
    before = (all_numbers[all_numbers < numbers[0]] - numbers[0]) * interval
    after = (all_numbers[all_numbers > numbers[-1]] - numbers[-1]) * interval
    known = np.interp(np.arange(numbers[0], numbers[-1] + 1), numbers, sent_ns - sent_ns[0])
    offsets = np.concatenate([before, known, after + (sent_ns[-1] - sent_ns[0])])
    rtts = np.full(len(all_numbers), np.nan)
    rtts[numbers - first] = rtt_ms
    times = sent_ns[0] + np.rint(offsets).astype(np.int64)
    return LatencySeries(name, np.maximum.accumulate(times), rtts)


DEFAULT_INTERVAL_NS = 1e9
"""Between two measurements of which only one has a time; ping's own default."""
