"""Kitsune on toy recordings, and KitNET on statistics that Kitsune's authors published."""

import csv
import math

import numpy as np
import pytest
from blocks import headers_of
from frames import NANOS_LE, udp_frame, write_pcap
from toy_recordings import toy_recording
from traffic import Mixture, random_packets

from sensor.errors import LabelError
from trainer.baselines.kitnet import KitNet, KitnetSettings
from trainer.baselines.kitsune import KitsuneSettings, _some, cost, kitsune, statistics
from trainer.baselines.packet_flows import flows_of
from trainer.datasets.extraction import Recording
from trainer.metrics import roc_auc
from trainer.tasks import KNOWN

TASKS = ("ssdp_flood", "syn_dos")


def recording(folder, seed, *, attacks):
    path = toy_recording(folder / f"toy-{seed}", seed, attacks=attacks)
    return Recording(f"toy-{seed}", path / "capture.pcap", path / "labels.csv")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    benign = [recording(folder, seed, attacks=False) for seed in (1, 2)]
    return benign, recording(folder, 3, attacks=True)


@pytest.fixture(scope="module")
def figures(recordings):
    benign, attacked = recordings
    return kitsune([*benign, attacked], [attacked], TASKS, KitsuneSettings(), seed=0)


def test_a_flood_from_one_host_is_unusual(figures):
    flood, spoofed = figures
    assert (flood.task, spoofed.task) == TASKS
    assert flood.against_benign.flows > 0.9
    # the other attacks are unusual as well
    assert flood.against_all.flows != flood.against_benign.flows


def test_figures_are_of_what_was_not_learnt_from(recordings, figures):
    """Worked out again from networks and statistics, flow by flow."""
    benign, attacked = recordings
    flows = flows_of(attacked)
    begin = flows.beginning
    every = [np.concatenate(list(statistics(each))) for each in (*benign, attacked)]
    learnt = np.concatenate([*every[:2], every[2][:begin]])
    network = KitNet(learnt, KitnetSettings(), 0)
    scores = network.score(every[2])
    highest = {}
    for flow, score in zip(flows.flow[begin:].tolist(), scores[begin:], strict=True):
        highest[flow] = max(score, highest.get(flow, 0))
    for figure in figures:
        assert figure.learnt_packets == len(learnt)
        assert figure.parameters == network.parameters
        own = flows.labels[:, KNOWN.index(figure.task)]
        tested = list(highest)
        assert figure.attack_flows == (own[tested] == 1).sum() == 600
        assert figure.other_flows == (own[tested] == 0).sum()
        values = np.array(list(highest.values()))
        assert figure.against_all.flows == pytest.approx(roc_auc(own[tested], values))
        some = [n for n, flow in enumerate(tested) if own[flow] or not flows.attacked[flow]]
        auc = roc_auc(own[tested][some], values[some])
        assert figure.against_benign.flows == pytest.approx(auc)
        of_packets = own[flows.flow[begin:]]
        assert figure.against_all.packets == pytest.approx(roc_auc(of_packets, scores[begin:]))


def test_fewer_packets_are_spread_over_the_beginnings(recordings):
    benign, attacked = recordings
    settings = KitsuneSettings(packets=500, kitnet=KitnetSettings(batch=4))
    (figure,) = kitsune(benign, [attacked], ["scan"], settings)
    assert 400 < figure.learnt_packets <= 502
    # the label file says nothing about scans
    assert (figure.attack_flows, figure.other_flows) == (0, 0)
    assert math.isnan(figure.against_all.flows)


def test_they_are_spread_across_blocks(tmp_path):
    capture = tmp_path / "long.pcap"
    frame = udp_frame("10.0.0.1", 1, "10.0.0.2", 2, b"")
    write_pcap(capture, [frame] * 20_000, list(range(10**18, 10**18 + 20_000)), NANOS_LE)
    long = Recording("long", capture, None)
    blocks = list(statistics(long))
    assert len(blocks) > 1
    some = np.concatenate(list(_some(long, 18_001, 7)))
    np.testing.assert_array_equal(some, np.concatenate(blocks)[:18_001:7])


def test_nothing_benign_to_learn_from_is_an_error(recordings):
    """The only recording has attacks, but none of the task's."""
    _, attacked = recordings
    with pytest.raises(LabelError, match="benign packets to learn from for scan"):
        kitsune([attacked], [attacked], ["scan"])


def test_cost_is_told_for_each_batch(figures):
    headers = headers_of(random_packets(3, 300, Mixture()))
    found = cost(figures[0].network, headers, batches=(1, 100), repeats=1)
    for costs in (found.afterimage, found.kitnet):
        assert list(costs) == [1, 100]
        assert all(value > 0 for value in costs.values())


@pytest.mark.parametrize("capture", ["SSDP_Flood", "SSL_Renegotiation"])
def test_finds_the_authors_attacks_in_their_own_statistics(shared_archive, capture):
    """Half of the benign rows are learnt from; AUC as measured: 1.0000 and 0.996."""
    archive = shared_archive("sequences")
    with next(archive.glob(f"**/kitsune-features/{capture}_balanced.csv")).open() as file:
        rows = np.array([list(map(float, row)) for row in list(csv.reader(file))[1:]])
    features, attack = rows[:, :115], rows[:, 115]
    benign = np.random.default_rng(0).permutation(np.flatnonzero(attack == 0))
    learnt, tested = np.split(benign, 2)
    network = KitNet(features[learnt], KitnetSettings(), 0)
    tested = np.concatenate([tested, np.flatnonzero(attack == 1)])
    assert roc_auc(attack[tested].astype(int), network.score(features[tested])) > 0.99
