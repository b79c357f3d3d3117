"""What series are like, in a line each."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from trainer.latency.series import TASKS, UNKNOWN, LatencySeries

QUANTILES = (0.05, 0.5, 0.95, 1.0)
"""Of round-trip times."""

_COLUMNS = (
    "measurements",
    "answered",
    "5 %",
    "median",
    "95 %",
    "longest",
    "gap",
    "longest gap",
    *TASKS,
)


def heading() -> str:
    """Names of the columns of `line`."""
    return _row(_COLUMNS, "series")


def line(series: LatencySeries) -> str:
    """One series: measurements, round-trip times in ms, gaps in seconds, and shares of truth."""
    rtts = series.rtt_ms[series.answered]
    gaps = series.gap_ns[1:] / 1e9
    values = [
        f"{len(series)}",
        _share(len(rtts), len(series)),
        *(f"{value:.3f}" for value in (np.quantile(rtts, QUANTILES) if len(rtts) else ())),
    ]
    values += ["-"] * (2 + len(QUANTILES) - len(values))
    values += [f"{np.median(gaps):.3f}", f"{gaps.max():.3f}"] if len(gaps) else ["-", "-"]
    for task in TASKS:
        truth = series.known(task)
        values.append(_share(int((truth == 1).sum()), int((truth != UNKNOWN).sum())))
    return _row(values, series.name)


@dataclass
class Total:
    """All series together; shares are of the measurements of which the truth is known."""

    series: int = 0
    measurements: int = 0
    answered: int = 0
    positive: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TASKS, 0))
    known: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TASKS, 0))

    def add(self, series: LatencySeries) -> None:
        """Counts one more series."""
        self.series += 1
        self.measurements += len(series)
        self.answered += int(series.answered.sum())
        for task, values in series.truth.items():
            self.positive[task] += int((values == 1).sum())
            self.known[task] += int((values != UNKNOWN).sum())

    def __str__(self) -> str:
        return ", ".join(self._parts())

    def _parts(self) -> Iterator[str]:
        yield f"{self.series} series, {self.measurements} measurements"
        yield f"answered {_share(self.answered, self.measurements)}"
        for task in TASKS:
            if self.known[task]:
                yield f"{task} {_share(self.positive[task], self.known[task])}"


def _row(values: tuple[str, ...] | list[str], name: str) -> str:
    widths = (max(len(column), 8) for column in _COLUMNS)
    cells = (f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
    return f"{'  '.join(cells)}  {name}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"
