"""KitNET: learns what is normal, and its parts are put together as the paper says."""

import numpy as np
import pytest

from trainer.baselines.autoencoders import Autoencoders
from trainer.baselines.feature_map import clusters, correlation_distance
from trainer.baselines.kitnet import KitNet, KitnetSettings
from trainer.metrics import roc_auc


def traffic(seed, packets, *, odd=False):
    """Twelve statistics of three hidden ones; in odd packets they don't belong together."""
    random = np.random.default_rng(seed)
    hidden = random.random((3, packets))
    columns = [hidden[i % 3] * (i + 1) + 0.05 * random.random(packets) for i in range(12)]
    x = np.stack([*columns, np.full(packets, 7.0)], axis=1)
    return random.permuted(x, axis=0) if odd else x


@pytest.mark.parametrize("batch", [1, 32])
def test_packets_that_do_not_hang_together_score_higher(batch):
    settings = KitnetSettings(largest=4, batch=batch)
    net = KitNet(traffic(0, 6_000), settings, seed=0)
    scores = np.concatenate([net.score(traffic(1, 500)), net.score(traffic(2, 500, odd=True))])
    assert roc_auc(np.repeat([0, 1], 500), scores) > 0.95
    # each hidden one makes four statistics; the constant one is in none
    assert net.feature_map == ((0, 3, 6, 9), (1, 4, 7, 10), (2, 5, 8, 11))


def test_packets_out_of_range_score_higher():
    net = KitNet(traffic(0, 3_000), KitnetSettings(), seed=0)
    scores = np.concatenate([net.score(traffic(1, 300)), net.score(traffic(2, 300) * 3)])
    assert roc_auc(np.repeat([0, 1], 300), scores) > 0.95


def test_is_its_parts_one_after_the_other():
    x, settings = traffic(3, 200), KitnetSettings(largest=3, batch=1)
    net = KitNet(x, settings, seed=9)
    groups = clusters(correlation_distance(x[:, :12]), 3)
    assert net.feature_map == groups
    scaled = (x[:, :12] - x[:, :12].min(axis=0)) / np.ptp(x[:, :12], axis=0)
    inputs = np.zeros((len(groups), len(x), 3))
    for row, group in enumerate(groups):
        inputs[row, :, : len(group)] = scaled[:, group]
    ensemble = Autoencoders([len(group) for group in groups], 0.75, 9)
    output = Autoencoders([len(groups)], 0.75, 10)
    for packet in range(len(x)):
        ensemble.learn(inputs[:, packet : packet + 1], 0.1)
    errors = ensemble.errors(inputs).T
    errors = ((errors - errors.min(axis=0)) / np.ptp(errors, axis=0))[None]
    for packet in range(len(x)):
        output.learn(errors[:, packet : packet + 1], 0.1)
    np.testing.assert_allclose(net.score(x), output.errors(errors)[0], rtol=1e-9)
    assert net.parameters == ensemble.parameters + output.parameters


def test_scores_do_not_depend_on_what_is_scored_together():
    net = KitNet(traffic(4, 500), KitnetSettings(), seed=1)
    x = traffic(5, 5_000)
    whole = net.score(x)
    np.testing.assert_allclose(net.score(x[4_990:]), whole[4_990:])
    np.testing.assert_allclose(net.score(x[:1]), whole[:1])
    assert net.score(x[:0]).shape == (0,)


def test_a_seed_is_repeatable_and_nothing_can_be_learnt_from_one_packet():
    x = traffic(6, 300)
    first, again, other = (KitNet(x, KitnetSettings(), seed).score(x) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match="differ in something"):
        KitNet(x[:1], KitnetSettings(), 0)
