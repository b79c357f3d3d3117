"""From labeling functions to a bundle of latency: what is learnt from, thresholds, card."""

import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

pytest.importorskip("keras", reason="needs the extra `trainer`")

from sensor.errors import UsageError
from sensor.model.schema import SENSOR_SIGNATURES, IncidentRule
from trainer.latency import deploying
from trainer.latency.deployed_card import card
from trainer.latency.deploying import train
from trainer.latency.figures import Counts
from trainer.latency.generator import generate
from trainer.latency.labelling import Labelling, functions, patterns_of
from trainer.latency.quiet import Quiet, Scored, named, of_peer, openings, peers_of, thinned
from trainer.latency.series import TASKS, LatencySeries
from trainer.latency.tasks import SPECS
from trainer.tasks import FURTHER
from trainer.tasks import TASKS as OTHERS
from trainer.weak.applying import apply
from trainer.weak.latency import columns

SECOND = 1_000_000_000


def quiet(length, every_s=1.0):
    time_ns = (np.arange(length) * every_s * SECOND).astype(np.int64)
    rtt_ms = np.full(length, 10.0)
    rtt_ms[5:6] = np.nan
    return LatencySeries("quiet", time_ns, rtt_ms)


def test_specs_are_of_the_tasks_and_their_signatures_are_nobody_elses():
    assert tuple(spec.name for spec in SPECS) == TASKS
    taken = {task.signature_id for task in (*OTHERS, *FURTHER)} | set(SENSOR_SIGNATURES)
    assert not taken & {spec.signature_id for spec in SPECS}
    assert {spec.policy for spec in SPECS} == {"repeat"}


def test_what_opens_incidents_is_what_the_documentation_says():
    page = (Path(__file__).parents[2] / "docs/latency.md").read_text()
    said = "takes three measurements within two minutes, one of noise four, one of swells ten."
    assert f"An incident of outages {said}" in page
    assert [spec.incident.open_rows for spec in SPECS] == [4, 3, 10]
    assert {spec.incident.open_seconds for spec in SPECS} == {120}


def test_what_would_open_an_incident_is_the_kth_highest_score_within_the_rules_time():
    rule = IncidentRule("responder", open_flows=1, open_seconds=4, open_rows=2)
    spec = replace(SPECS[0], incident=rule)
    series = quiet(6, every_s=2.0)  # a rule of 4 s holds three measurements
    raw = np.array([0.9, 0.2, 0.8, 0.1, 0.1, 0.7], np.float32)
    assert openings(series.time_ns, raw, spec).tolist() == pytest.approx(
        [0, 0.2, 0.8, 0.2, 0.1, 0.1]
    )


def test_an_incident_is_about_a_peer_whatever_the_series():
    """Two series of which neither has two scores in time; together they have."""
    rule = IncidentRule("responder", open_flows=1, open_seconds=4, open_rows=2)
    spec = replace(SPECS[0], incident=rule)
    first, second = quiet(2, every_s=10.0), quiet(2, every_s=11.0)
    raw = np.array([[0.9], [0.8]], np.float32)
    found = of_peer([Scored(first, raw), Scored(second, raw)], 0, spec)
    assert found.tolist() == pytest.approx([0, 0, 0.9, 0.8])
    names = ["at home.csv 10.0.0.1 0 echo", "at home.csv 10.0.0.1 443 syn"]
    names += ["at home.csv 10.0.0.2 0 echo", "my ping 1.txt", "my ping 2.txt"]
    peers = peers_of([replace(quiet(3), name=name) for name in names])
    assert [len(each) for each in peers] == [2, 1, 1, 1]


def test_a_manifest_names_files_and_no_peers():
    names = [f"at home {day}.csv 10.0.0.{peer} 0 echo" for day in (1, 2) for peer in range(9)]
    part = [replace(quiet(3), name=name) for name in [*names, "my ping.txt"]]
    files = ["at home 1.csv", "at home 2.csv", "my ping.txt"]
    assert named(part) == {"series": 19, "measurements": 57, "files": files}
    many = [replace(quiet(1), name=f"generated {number}") for number in range(20_000)]
    assert named(many)["series"] == 20_000
    assert len(named(many)["files"]) == 500  # of a manifest of 1 MiB


def test_quiet_series_are_thinned_as_the_sensor_does():
    time_ns = np.array([0, 99, 100, 250, 299, 300], np.int64) * 1_000_000
    series = LatencySeries("quiet", time_ns, np.arange(1.0, 7.0))
    assert thinned(series).rtt_ms.tolist() == [1, 3, 4, 6]
    stamped = replace(series, name="a.csv 10.0.0.1 0 timestamp", rtt_ms=series.rtt_ms[::-1].copy())
    stamped.time_ns[4:] += SECOND
    assert thinned(stamped).rtt_ms.tolist() == [3, 1]


def test_thresholds_lie_above_what_quiet_series_reach_and_below_what_is_likely():
    (series,) = generate(2_000, 2_000, 1)
    every = functions()
    votes = apply(every, columns(series))
    labelling = Labelling.of(every, patterns_of(every, votes))
    calm = quiet(200)
    low = np.full((200, 3), 0.6, np.float32)
    high = np.where(labelling.of_votes(votes) >= 0.5, 0.99, 0.01).astype(np.float32)
    specs = deploying.chosen([[Scored(calm, low)]], [Scored(series, high)], labelling)
    for place, spec in enumerate(specs):
        assert 0.6 < spec.threshold < 0.99
        assert not (of_peer([Scored(calm, low)], place, spec) >= spec.threshold).any()


def test_examples_hold_quiet_windows_as_examples_of_no(monkeypatch):
    monkeypatch.setattr(deploying, "QUIET", deploying.LEARNT * 60)
    monkeypatch.setattr(deploying, "SAMPLED", 40)
    (series,) = generate(1_000, 1_000, 1)
    labels = np.full((1_000, 3), 0.25, np.float32)
    rng = np.random.default_rng(0)
    found = deploying._examples([series], [labels], [quiet(60)], rng)
    assert len(found.rows) == 100
    assert (found.labels[:40] == 0.25).all()
    assert found.labels[40:].sum(axis=0).tolist() == [0, 1, 0]  # one was not answered


@pytest.mark.parametrize(("quiet_ones", "kept_out"), [([], [quiet(9)]), ([quiet(9)], [])])
def test_both_kinds_of_quiet_series_are_needed(tmp_path, quiet_ones, kept_out):
    with pytest.raises(UsageError, match="quiet series"):
        train(Quiet(quiet_ones, kept_out), tmp_path / "latency", "1")


def test_the_card_says_what_was_measured():
    counts = dict.fromkeys(TASKS, Counts(8, 2, 0, 90)) | {"noise": Counts(0, 0, 8, 92)}
    opened = dict.fromkeys(TASKS, (0, 0)) | {"swell": (1, 3)}
    text = card("latency", "1", deploying.LESSON, SPECS, counts, opened, (2, 5), [quiet(100)] * 4)
    assert "| noise | 8 | – | 0.000 | 0.000 |" in text
    assert "| swell | 8 | 0.800 | 1.000 | 0.889 | 1 of 2 | 3 of 5 |" in text
    assert "4 quiet series, 400 measurements" in text
    assert "laborator" not in text  # a bundle of somebody's own is no laboratory's
    assert "10 measurements at 0.5000 or above within 120 s" in text
