"""Datasets of different tasks as one."""

from dataclasses import replace

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import BundleError, LabelError
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import Dataset, SourceRecord
from trainer.datasets.joining import join

U = -1


def dataset(tasks, labels, *names):
    """Three flows a source."""
    records = tuple(
        SourceRecord(name, f"{name}.pcap", name, "", (), "0", 3, 0, 3, 3, 0, 1) for name in names
    )
    count = 3 * len(names)
    sizes = [{"ip_length": [100 * len(names) + i], "direction": [1]} for i in range(count)]
    source = np.repeat(np.arange(len(names), dtype=np.int32), 3)
    labels = np.array(labels, np.int8)
    return Dataset(FeatureSchema(), tasks, records, rows(*sizes), labels, source, np.arange(count))


def pair():
    one = dataset(("syn_dos", "ssdp_flood"), [[0, 1]] * 6, "a", "b")
    other = dataset(("scan", "syn_dos"), [[1, 0], [U, 1], [0, U]], "c")
    return one, other


def test_columns_are_named_and_what_a_dataset_lacks_is_unknown():
    joined = join(pair(), ("syn_dos", "ssdp_flood", "scan"))
    assert joined.tasks == ("syn_dos", "ssdp_flood", "scan")
    assert joined.labels[:6].tolist() == [[0, 1, U]] * 6
    assert joined.labels[6:].tolist() == [[0, U, 1], [1, U, U], [U, U, 0]]


def test_probabilities_are_joined_as_labels_are_and_unknown_elsewhere():
    one, other = pair()
    assert join((one, other), ("syn_dos",)).likely is None
    other = replace(other, likely=np.array([[0.75, 0.25], [np.nan, 1], [0, 0.5]], np.float32))
    for given in ((one, other), (other, one)):
        joined = join(given, ("syn_dos", "scan"))
        own = joined.likely[-3:] if given[0] is one else joined.likely[:3]
        np.testing.assert_array_equal(own, [[0.25, 0.75], [1, np.nan], [0.5, 0]])
        assert np.isnan(joined.likely).sum() == 13


def test_flows_and_sources_stay_apart():
    joined = join(pair(), ("scan",))
    assert [record.name for record in joined.sources] == ["a", "b", "c"]
    assert joined.source.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert joined.flow.tolist() == list(range(9))
    assert joined.batch.ip_length[:, 0].tolist() == [200, 201, 202, 203, 204, 205, 100, 101, 102]


def test_what_can_not_be_joined_is_named():
    one, other = pair()
    with pytest.raises(LabelError, match="no dataset has labels of slow_http"):
        join((one, other), ("slow_http",))
    with pytest.raises(LabelError, match="source a is in two"):
        join((one, one), ("syn_dos",))
    foreign = replace(other, schema=replace(other.schema, decide_after_ms=2000))
    with pytest.raises(BundleError, match="fingerprints"):
        join((one, foreign), ("syn_dos",))
