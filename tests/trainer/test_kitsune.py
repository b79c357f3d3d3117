"""Statistics of recordings, and KitNET on those that Kitsune's authors published."""

import csv

import numpy as np
import pytest
from frames import NANOS_LE, udp_frame, write_pcap

from trainer.baselines.kitnet import KitNet, KitnetSettings
from trainer.baselines.kitsune import some_of, statistics
from trainer.datasets.extraction import Recording
from trainer.metrics import roc_auc


def test_some_are_spread_across_blocks(tmp_path):
    capture = tmp_path / "long.pcap"
    frame = udp_frame("10.0.0.1", 1, "10.0.0.2", 2, b"")
    write_pcap(capture, [frame] * 20_000, list(range(10**18, 10**18 + 20_000)), NANOS_LE)
    long = Recording("long", capture, None)
    blocks = list(statistics(long))
    assert len(blocks) > 1
    some = some_of(long, 18_001, 7)
    np.testing.assert_array_equal(some, np.concatenate(blocks)[:18_001:7])


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
