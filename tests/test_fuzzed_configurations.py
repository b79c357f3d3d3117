"""Configurations that are damaged in all ways: accepted, or refused with one line and 78.

`make verify TARGET=faults` reads a hundred thousand of them.
"""

import pytest
from faults import configurations
from faults.configurations import BASE, configuration, main

from sensor.service.config.configuration import read
from sensor.service.config.settings import DEFINITIONS

COUNT = 2_000


def test_two_thousand_configurations():
    found = main(COUNT, seed=1)
    assert found["failures"] == []
    accepted, refused = found["accepted"], found["refused with one line, status 78"]
    assert accepted + refused == found["configurations"] == COUNT
    # neither side is empty, and the command had its share
    assert accepted > COUNT // 20
    assert refused > COUNT // 2
    assert found["given to the command too"] == 4


def test_what_is_damaged_is_right_and_has_every_key(tmp_path):
    path = tmp_path / "sensor.toml"
    path.write_text(BASE)
    settings = read(path)
    assert settings.origins.keys() == DEFINITIONS.keys()
    assert len(settings.allow) == 1


def test_number_decides_a_configuration():
    assert configuration(1, 7) == configuration(1, 7)
    assert len({configuration(1, number) for number in range(200)}) > 190


@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), KeyError("x")])
def test_other_errors_are_failures(monkeypatch, error):
    """The proof would see what it looks for."""

    def broken(path):  # noqa: ARG001 -- as `read`
        raise error

    monkeypatch.setattr(configurations, "read", broken)
    found = main(4, seed=1)
    assert len([text for text in found["failures"] if type(error).__name__ in text]) == 4
