"""Flows are counted once, as a plain dict of places has it."""

import subprocess
import sys

import numpy as np
import pytest

from sensor.alerts import positives
from sensor.alerts.positives import CountedFlows


def plain(ordinals, incidents, places):
    held, new = {}, []
    for ordinal, incident in zip(ordinals, incidents, strict=True):
        new.append(held.get(ordinal % places) != (ordinal, incident))
        held[ordinal % places] = (ordinal, incident)
    return new


def test_a_flow_counts_once_for_an_incident_and_again_for_the_next():
    counted = CountedFlows()
    new = counted.count(np.array([0, 1, 0, 0]), np.array([1, 1, 1, 2]))
    assert new.tolist() == [True, True, False, True]
    again = counted.count(np.array([1, 0, 1 << 40]), np.array([1, 2, 2]))
    assert again.tolist() == [False, False, True]


@pytest.mark.parametrize("piece", [1, 13, 5_000])
def test_equals_a_dict_of_places_however_rows_are_cut(monkeypatch, piece):
    monkeypatch.setattr(positives, "COUNTED_FLOWS", 64)
    rng = np.random.default_rng(3)
    ordinals = np.arange(5_000) // 3 - rng.integers(0, 100, 5_000) + 100
    incidents = rng.integers(1, 3, 5_000)
    counted = CountedFlows()
    found = [
        counted.count(ordinals[i : i + piece], incidents[i : i + piece])
        for i in range(0, 5_000, piece)
    ]
    assert np.concatenate(found).tolist() == plain(ordinals.tolist(), incidents.tolist(), 64)


def test_tables_take_no_memory_before_they_are_used_and_give_it_back():
    """Whatever malloc has learned from large arrays that were freed."""
    program = """
from pathlib import Path
import numpy as np
from sensor.alerts.positives import CountedFlows

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) >> 8

for _ in range(2):
    np.ones(24 << 17)
before = resident_mib()
tables = [CountedFlows() for _ in range(40)]
print(resident_mib() - before)
for table in tables:
    table.count(np.arange(1 << 17), np.ones(1 << 17, np.int64))
used = resident_mib()
tables.clear()
del table
print(used - resident_mib())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    made, given_back = map(int, done.stdout.split())
    assert made < 5
    assert given_back > 35
