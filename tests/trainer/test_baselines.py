"""The rule and the trees that the network is compared with."""

import numpy as np
import pytest
from flow_rows import rows

from sensor.model.encoding import encode
from sensor.model.schema import FeatureSchema
from trainer.baselines.rule import FLOWS_A_SECOND, rule_scores
from trainer.baselines.trees import Trees
from trainer.datasets.examples import Examples


def test_the_rule_counts_new_flows_to_the_responder_in_the_last_second():
    context = [[9, 9, 9, 9, count, 9] for count in (0, FLOWS_A_SECOND - 1, FLOWS_A_SECOND, 5000)]
    scores = rule_scores(rows(*({"context": each} for each in context)))
    assert (scores >= 0.5).tolist() == [False, False, True, True]
    assert (np.diff(scores) > 0).all()
    assert scores[0] == 0
    assert scores[-1] < 1


def test_trees_learn_each_task_from_its_own_labels_only():
    schema = FeatureSchema()
    lengths = np.arange(40, 1440, 7)
    batch = rows(
        *({"ip_length": [int(size)], "direction": [1], "protocol": 17} for size in lengths)
    )
    encoded = encode(schema, batch)
    labels = np.stack([lengths > 700, lengths < 300], axis=1).astype(np.int8)
    labels[::3, 1] = -1
    weights = (labels >= 0).astype(np.float32)
    scores = Trees(Examples(*encoded.expand(), labels, weights), seed=0).score(encoded)
    assert scores.shape == (len(lengths), 2)
    assert scores.dtype == np.float32
    far = np.abs(lengths[:, None] - [700, 300]) > 40
    right = (scores >= 0.5) == np.stack([lengths > 700, lengths < 300], axis=1)
    assert right[far].all()


@pytest.mark.parametrize("count", [1, 30])
def test_rule_scores_have_a_row_each(count):
    assert rule_scores(rows(*({} for _ in range(count)))).shape == (count,)
