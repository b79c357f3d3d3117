"""Labeling functions as the latency paper writes them: for Snorkel, a row at a time.

Each takes the bucket of measurements around a row out of a pandas column, as the paper's Fig. 2
does. For the time that Snorkel's applier takes; `trainer.weak.latency` has those that label.
Snorkel's label model asks for three functions of a task at least.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Rows = Any
"""A column of pandas."""

RowVote = Callable[[Any], int]

_NO, _YES, _ABSTAIN = 0, 1, -1


def row_functions(rtt: Rows) -> dict[str, list[RowVote]]:
    """Three functions a task.

    Args:
        rtt: round-trip times, NaN where there was no answer, with rows numbered from 0.
    """

    def bucket(row: Any, size: int) -> Rows:
        place = int(row.name)
        return rtt.iloc[max(0, place - size) : place + size + 1]

    def noise_two_deviations(row: Any) -> int:
        around = bucket(row, 25)
        return _YES if row.rtt_ms > around.mean() + 2 * around.std() else _ABSTAIN

    def noise_above_median(row: Any) -> int:
        low, middle, high = bucket(row, 25).quantile([0.25, 0.5, 0.75])
        above, between = row.rtt_ms - middle, high - low
        return _YES if above > 7 * between else _NO if above < 3 * between else _ABSTAIN

    def noise_among_others(row: Any) -> int:
        return _NO if row.rtt_ms <= bucket(row, 25).quantile(0.75) else _ABSTAIN

    def outage_unanswered(row: Any) -> int:
        return _YES if np.isnan(row.rtt_ms) else _NO

    def outage_in_a_row(row: Any) -> int:
        if not np.isnan(row.rtt_ms):
            return _NO
        return _YES if bucket(row, 1).isna().sum() > 1 else _ABSTAIN

    def outage_mostly_silent(row: Any) -> int:
        silent = bucket(row, 3).isna().sum()
        return _YES if np.isnan(row.rtt_ms) and silent > 3 else _NO if not silent else _ABSTAIN

    def swell_height(row: Any) -> int:
        near, whole = bucket(row, 10).mean(), bucket(row, 512)
        middle = whole.mean()
        return _YES if near > middle + whole.std() else _NO if near < middle else _ABSTAIN

    def swell_above_background(row: Any) -> int:
        low, middle = bucket(row, 512).quantile([0.25, 0.5])
        near = bucket(row, 3).median()
        return _YES if near > middle + 4 * (middle - low) else _NO if near < middle else _ABSTAIN

    def swell_floor(row: Any) -> int:
        low, high = bucket(row, 512).quantile([0.25, 0.75])
        least = bucket(row, 2).min()
        return _YES if least > high else _NO if least < low else _ABSTAIN

    return {
        "noise": [noise_two_deviations, noise_above_median, noise_among_others],
        "outage": [outage_unanswered, outage_in_a_row, outage_mostly_silent],
        "swell": [swell_height, swell_above_background, swell_floor],
    }
