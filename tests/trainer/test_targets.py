"""Ranges of bandwidth and duration, and what they are called."""

from dataclasses import replace

import numpy as np
import pytest
from toy_services import SERVICES, toy_services

from sensor.errors import LabelError
from trainer.annotating.targets import range_names, rounded, targets
from trainer.traffic.material import TRAINING
from trainer.traffic.readers import read


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    for seed in range(5):
        toy_services(folder / f"toy-{seed}", seed)
    return read(f"quic:{folder}")


def test_edges_have_two_digits_or_as_many_as_leave_them_apart():
    assert rounded([46_812.3, 78_199.0, 126_600.0]) == (47_000, 78_000, 130_000)
    assert rounded([11.52, 11.58, 14.2]) == (11.5, 11.6, 14.2)
    assert rounded([3.0, 3.0]) == ()
    assert rounded([0.0, 3.0]) == ()


def test_names_of_ranges():
    assert range_names("duration", (6.3, 12)) == ("below 6.3 s", "6.3 to 12 s", "12 s and more")
    assert range_names("bandwidth", (47_000, 1_300_000)) == (
        "below 47 kbps",
        "47 to 1300 kbps",
        "1300 kbps and more",
    )
    assert range_names("bandwidth", (2_500_000,)) == ("below 2.5 Mbps", "2.5 Mbps and more")
    assert range_names("bandwidth", (47,)) == ("below 47 bps", "47 bps and more")


def test_a_third_of_the_training_flows_is_in_each_range(material):
    bandwidth, duration, service = targets(material, 3)
    assert [each.measured for each in (bandwidth, duration, service)] == [
        "bandwidth",
        "duration",
        "",
    ]
    assert (service.classes, service.edges) == (SERVICES, ())
    np.testing.assert_array_equal(service.labels, material.label)
    for each, values in ((bandwidth, material.bandwidth_bps), (duration, material.duration_s)):
        low, high = each.edges
        expected = [0 if value < low else 1 if value < high else 2 for value in values]
        assert each.labels.tolist() == expected
        counts = np.bincount(each.labels[material.part == TRAINING])
        assert counts.min() >= 17  # of 60, and edges are rounded
    learnt = material.part == TRAINING
    others = replace(material, duration_s=np.where(learnt, material.duration_s, 1e6))
    assert targets(others, 3)[1].edges == duration.edges
    unknown = replace(material, whole=np.arange(len(material)) % 2 == 0)
    assert (targets(unknown, 3)[0].labels[1::2] == -1).all()


def test_what_can_not_be_divided_is_refused(material):
    same = replace(material, duration_s=np.ones(len(material)))
    with pytest.raises(LabelError, match="the duration of its training flows is too much alike"):
        targets(same, 3)
    with pytest.raises(LabelError, match="has 1 traffic classes"):
        targets(replace(material, classes=("one",)), 3)
