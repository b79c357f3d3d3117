"""Features of the window around every measurement of series, as one table (CSV)."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from trainer.latency.series import TASKS, UNKNOWN, LatencySeries
from trainer.latency.store import replaced
from trainer.weak.features import FEATURES, window_features

HEAD = ("series", "time", "rtt_ms", *TASKS)
"""Columns before those of features; empty are a task's where nothing is known of it."""

PIECE = 1 << 14
"""Measurements that are text at once."""


def write_features(
    path: Path,
    series: Iterable[LatencySeries],
    before: int,
    after: int,
    names: Sequence[str] = tuple(FEATURES),
) -> int:
    """Writes a line for each measurement, whole or not at all.

    Numbers have nine digits; what there is none of, such as the round-trip time of a measurement
    without an answer, is empty. Windows cross no end of a series.

    Args:
        path: the file; what is there is replaced in the end.
        series: in any number, taken as they come.
        before: measurements before each one that its window has.
        after: those after it.
        names: of `FEATURES`, in order of their columns.

    Returns:
        How many measurements there were.

    Raises:
        UsageError: there is no such feature.
        OutputError: the file can't be written.
    """
    rows = 0
    with replaced(path) as written, written.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((*HEAD, *names))
        for each in series:
            found = window_features(each.rtt_ms, before, after, names)
            for begin in range(0, len(each), PIECE):
                part = slice(begin, begin + PIECE)
                columns = [each.rtt_ms, *(found[name] for name in names)]
                texts = [[_number(value) for value in column[part].tolist()] for column in columns]
                truth = [[_truth(v) for v in each.known(task)[part].tolist()] for task in TASKS]
                times = [_seconds(value) for value in each.time_ns[part].tolist()]
                table.writerows(
                    zip([each.name] * len(times), times, texts[0], *truth, *texts[1:], strict=True)
                )
            rows += len(each)
    return rows


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.9g}"


def _truth(value: int) -> str:
    return "" if value == UNKNOWN else str(value)


def _seconds(time_ns: int) -> str:
    return f"{time_ns // 10**9}.{time_ns % 10**9:09d}"
