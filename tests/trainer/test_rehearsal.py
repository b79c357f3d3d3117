"""Rehearsal: how much is drawn, of what, and that flows stay whole."""

import numpy as np
from flow_rows import rows

from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset
from trainer.paradigms.rehearsal import rehearsed

FLOWS = 150


def dataset():
    """Two sources of 100 and 50 flows, two rows each; flows 0 to 3 and 100 are attacks."""
    flow = np.repeat(np.arange(FLOWS), 2)
    batch = rows(*({"ip_length": [60], "direction": [1]} for _ in flow))
    labels = np.isin(flow, [0, 1, 2, 3, 100]).astype(np.int8)[:, None]
    source = (flow >= 100).astype(np.int32)
    return Dataset(FeatureSchema(), ("syn_dos",), (), batch, labels, source, flow)


def flows_of(given, drawn, source):
    return set(given.flow[drawn & (given.source == source)].tolist())


def test_a_share_of_each_source_and_label_rounded_up():
    given = dataset()
    drawn = rehearsed(given, np.ones(len(given), bool), 0.05, 0)
    first, second = (flows_of(given, drawn, source) for source in (0, 1))
    # Of 96 benign flows 4.8, of 4 attacks 0.2; of 49 and 1 flows 2.45 and 0.05.
    assert (len(first - {0, 1, 2, 3}), len(first & {0, 1, 2, 3})) == (5, 1)
    assert (len(second - {100}), len(second & {100})) == (3, 1)
    assert drawn.sum() == 2 * (len(first) + len(second))  # both rows of each


def test_only_from_the_given_rows_by_the_seed():
    given = dataset()
    given_rows = given.source == 0
    one, same, other = (rehearsed(given, given_rows, 0.3, seed) for seed in (1, 1, 2))
    assert not flows_of(given, one, 1)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_share_of_0_is_nothing_and_one_of_1_everything():
    given = dataset()
    everything = np.ones(len(given), bool)
    assert not rehearsed(given, everything, 0.0, 0).any()
    assert rehearsed(given, everything, 1.0, 0).all()
    assert not rehearsed(given, ~everything, 0.5, 0).any()


def test_a_share_is_not_rounded_up_by_the_error_of_its_product():
    """0.07 · 100 is 7.000000000000001."""
    given = dataset()
    given.labels[:] = 0
    drawn = rehearsed(given, given.source == 0, 0.07, 0)
    assert len(flows_of(given, drawn, 0)) == 7
