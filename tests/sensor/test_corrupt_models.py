"""A slice of the proof that corrupt bundles are refused; ``make verify TARGET=faults`` does all."""

import random

import pytest
from faults.models import WAYS, damaged, main

from sensor.errors import BundleError
from sensor.model.bundle import Bundle


def test_corrupt_bundles_are_refused():
    found = main(100, seed=7)
    assert found["failures"] == []
    assert found["of them refused"] == found["damaged files"] == 90
    forged = found["forged bundles, with right hashes"]
    assert forged == found["of them refused by their signature"] == 10
    assert sum(n for what, n in found.items() if what.startswith("of them without keys")) == forged
    assert found["golden rows that the model in use answered in the end"] == 64


def test_damage_that_is_overlooked_is_a_failure(monkeypatch):
    monkeypatch.setattr(
        "sensor.model.bundle._checked", lambda path, name, _: (path / name).read_bytes()
    )
    failures = main(9, seed=7)["failures"]
    assert any("was not refused" in failure for failure in failures)


@pytest.mark.parametrize("error", [RuntimeError("boom"), BundleError("names no file")])
def test_any_other_end_is_a_failure(monkeypatch, error):
    """An exception that nobody expects, and a refusal that does not say of what."""
    read = Bundle.read
    calls = iter(range(1_000))

    def failing(path, trust=None):
        if path.name == "iot-gateway" and "store" not in path.parts and next(calls) > 1:
            raise error
        return read(path, trust)

    monkeypatch.setattr(Bundle, "read", failing)
    assert main(6, seed=7)["failures"]


def test_damage_is_always_other_bytes_of_every_kind():
    chance = random.Random(1)
    original = bytes(range(256)) * 8
    results = [damaged(original, chance) for _ in range(200)]
    assert {len(each) for each in results} > {len(original)}
    assert sum(each == original for each in results) < 10
    assert len(WAYS) == 5
