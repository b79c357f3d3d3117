import numpy as np

from trainer.traffic.buckets import between_means, bucket, quantiles


def test_dividers_are_midpoints_between_sorted_class_means():
    """Class 2 has the mean 1, class 0 has 5, class 1 has 21: 3 and 13 lie between them."""
    values = np.array([4.0, 6, 20, 22, 1])
    classes = np.array([0, 0, 1, 1, 2])
    assert between_means(values, classes).tolist() == [3, 13]


def test_five_classes_have_four_dividers_as_in_the_paper():
    values = np.repeat([10.0, 20, 40, 80, 160], 3)
    assert between_means(values, np.repeat(np.arange(5), 3)).tolist() == [15, 30, 60, 120]


def test_quantiles_divide_into_equal_parts_without_classes():
    values = np.random.default_rng(1).lognormal(3, 2, 1_000)
    assert np.bincount(bucket(values, quantiles(values))).tolist() == [200] * 5


def test_a_value_on_a_divider_is_above_it():
    dividers = np.array([3.0, 13])
    assert bucket(np.array([0, 3 - 1e-9, 3, 12.9, 13, 1e9]), dividers).tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]
