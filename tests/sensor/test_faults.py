"""A slice of the fault proofs: ``make verify TARGET=faults`` does the same hundreds of times.

What one fault does to one sensor is in `test_lifecycle.py`; here the proofs themselves are run,
so that they are still proofs when they are needed.
"""

import pytest
from faults import clock, disk, interface, kill, overflow, storms, swaps
from faults.__main__ import COUNTS
from faults.result import Figure, Result, from_dictionary, keep, kept, page

BUSY = 5
"""Times as long as the aim: other tests keep the machine busy, and no test depends on its speed."""


@pytest.mark.network
@pytest.mark.parametrize(
    ("fault", "count"),
    [(interface, 2), (kill, 2), (disk, 2), (clock, 4), (overflow, 1), (storms, 50), (swaps, 2)],
    ids=lambda given: getattr(given, "__name__", None),
)
def test_a_few_rounds(fault, count):
    result = fault.main(count, seed=7)
    assert result.broken(BUSY) == []
    assert f"faults.{result.name}" == fault.__name__
    assert result.name in COUNTS


def test_what_misses_its_aim_is_told():
    result = Result("drill", "Nothing.")
    result.exactly("lost", 1, 0)
    result.at_least("done", 1, 2)
    result.at_most("descriptors more", 1, 0)
    result.below("up", [0.1, 3.0], 3.0)
    result.below("never up", [], 3.0)
    result.inform("seen", 7)
    assert not result.holds
    assert len(result.broken()) == 5
    assert len(result.broken(patience=1.1)) == 4, "3.0 s are no more than 1.1 times the aim"
    assert "| lost | 1 | 0 | **missed** |" in page([result], [])


def test_failures_of_counted_cases_are_told():
    found = {"cases": 1_000, "failures": ["seed 4: answered"]}
    assert from_dictionary("drill", "Cases.", found).broken() == [
        "drill: failures: 1, not 0",
        "drill: failure: seed 4: answered, not none",
    ]
    assert from_dictionary("drill", "Cases.", {"cases": 3, "failures": []}).holds


def test_a_page_holds_what_was_run_and_names_what_was_not(tmp_path):
    result = Result("drill", "Nothing.", [Figure("up", "0.1 s", "most < 3 s")], "2026-01-02", 4.2)
    keep(result, tmp_path)
    assert kept(["drill", "other"], tmp_path) == [result]
    text = page([result], ["other"])
    assert "| [drill](#drill) | 2026-01-02 | 1 of 1 |\n| other | not run | |" in text
    assert "| up | 0.1 s | most < 3 s | met |" in text
