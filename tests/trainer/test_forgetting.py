"""How much an old task may lose, and how a refusal is told."""

import math

import pytest

from sensor.errors import ForgettingError
from trainer.forgetting import Areas, require_kept


def areas(seed, before, after, recovered=()):
    names = ("syn_dos", "ssdp_flood")
    named = [dict(zip(names, each, strict=False)) for each in (before, after, recovered)]
    return Areas(seed, named[0], {**named[1], "scan": 0.9}, named[2])


def test_a_fall_within_the_margin_is_accepted_and_any_beyond_it_named(tmp_path):
    fine = areas(0, (0.99, 0.98), (0.986, 0.99))
    require_kept(tmp_path, [fine], 0.005)
    fallen = areas(1, (0.99, 0.98), (0.98, 0.95))
    with pytest.raises(ForgettingError, match="seed 1: the validation AUC of ssdp_flood would"):
        require_kept(tmp_path, [fine, fallen], 0.005)
    require_kept(tmp_path, [fallen], 0.031)
    # What counts is what would be written.
    require_kept(tmp_path, [areas(1, (0.99, 0.98), (0.5, 0.5), (0.99, 0.98))], 0.0)
    with pytest.raises(ForgettingError, match=r"syn_dos would fall from .* to nan"):
        require_kept(tmp_path, [areas(0, (0.99, 0.98), (math.nan, 0.9))], 0.005)


def test_a_line_tells_every_step():
    told = areas(7, (0.99, 0.98), (0.9, 0.91)).line()
    expected = "syn_dos 0.9900 → 0.9000, ssdp_flood 0.9800 → 0.9100, scan 0.9000"
    assert told == f"seed 7: validation AUC {expected}"
    recovered = Areas(
        7, {"syn_dos": 0.99}, {"syn_dos": 0.5, "scan": 1.0}, {"syn_dos": 0.98, "scan": 0.97}
    )
    assert recovered.line().endswith("syn_dos 0.9900 → 0.5000 → 0.9800, scan 1.0000 → 0.9700")
    assert recovered.after == recovered.recovered
