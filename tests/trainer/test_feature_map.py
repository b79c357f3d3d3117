"""The feature map against SciPy's dendrogram, cut from the top."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage, to_tree
from scipy.spatial.distance import squareform

from trainer.baselines.feature_map import clusters, correlation_distance


def cut(node, largest):
    if node.count <= largest:
        return [tuple(sorted(node.pre_order()))]
    return cut(node.left, largest) + cut(node.right, largest)


@pytest.mark.parametrize("largest", [1, 2, 5, 10, 40])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_scipys_dendrogram_cut_from_the_top(largest, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(300, 40)) @ random.normal(size=(40, 40)) * (random.random(40) < 0.3)
    x += random.normal(size=(300, 40))
    distance = correlation_distance(x)
    np.testing.assert_allclose(distance, np.maximum(1 - np.corrcoef(x.T), 0), atol=1e-12)
    condensed = squareform(distance, checks=False)
    found = clusters(distance, largest)
    assert list(found) == sorted(cut(to_tree(linkage(condensed)), largest))
    assert sorted(each for group in found for each in group) == list(range(40))


def test_few_statistics_are_one_cluster_and_equal_ones_go_together():
    assert clusters(np.zeros((1, 1)), 10) == ((0,),)
    x = np.random.default_rng(4).normal(size=(50, 3))
    distance = correlation_distance(x[:, [0, 1, 2, 0, 1, 2]])
    assert clusters(distance, 2) == ((0, 3), (1, 4), (2, 5))
