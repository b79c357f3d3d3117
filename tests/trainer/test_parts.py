from collections import Counter

import numpy as np
import pytest

from sensor.errors import UsageError
from trainer.latency.parts import PARTS, dealt, divided, in_time
from trainer.latency.series import LatencySeries


def series(name: str, length: int = 10) -> LatencySeries:
    return LatencySeries(name, np.arange(length, dtype=np.int64), np.ones(length))


def test_sources_are_dealt_out_whole() -> None:
    names = [f"{source}#{k}" for k in range(3) for source in "abcdefghij"]
    parts = dealt(names)
    assert Counter(parts) == {"train": 18, "validation": 6, "test": 6}
    assert parts[:10] == parts[10:20] == parts[20:]
    assert parts[:5] == ["train", "train", "train", "validation", "test"]
    with pytest.raises(UsageError, match="4 sources of series can't be dealt out"):
        dealt(["a#0", "b#1", "c#2", "d#3", "a#4"])


def test_a_series_is_cut_in_order_of_time() -> None:
    pieces = in_time(series("a", 15))
    assert {part: piece.time_ns.tolist() for part, piece in pieces.items()} == {
        "train": list(range(9)),
        "validation": [9, 10, 11],
        "test": [12, 13, 14],
    }


def test_few_sources_are_cut_and_many_dealt_out() -> None:
    few = divided([series("a#0"), series("a#1"), series("b#2")])
    assert {part: [len(each) for each in pieces] for part, pieces in few.items()} == {
        "train": [6, 6, 6],
        "validation": [2, 2, 2],
        "test": [2, 2, 2],
    }
    many = divided([series(f"generated {k}") for k in range(5)])
    assert [[each.name for each in many[part]] for part in PARTS] == [
        ["generated 0", "generated 1", "generated 2"],
        ["generated 3"],
        ["generated 4"],
    ]
