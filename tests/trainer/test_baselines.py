"""The rule and the trees that the network is compared with."""

import numpy as np
from flow_rows import rows

from sensor.alerts.rule import NEW_FLOWS, CountingRule
from sensor.model.encoding import encode
from sensor.model.schema import FeatureSchema
from trainer.baselines.rule import rule_scores
from trainer.baselines.trees import Trees
from trainer.datasets.examples import Examples


def test_the_rule_scores_as_the_sensors_rule_does_and_later_rows_too():
    context = [[9, 9, 9, 9, count, 9] for count in (0, NEW_FLOWS - 2, NEW_FLOWS - 1, 5000)]
    batch = rows(*({"context": each} for each in context))
    scores = rule_scores(batch)
    assert (scores >= 0.5).tolist() == [False, False, True, True]
    np.testing.assert_allclose(scores, CountingRule(FeatureSchema()).score(batch)[:, 0], rtol=1e-6)
    later = rows(*({"context": each, "row": 1} for each in context))
    np.testing.assert_array_equal(rule_scores(later), scores)


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
