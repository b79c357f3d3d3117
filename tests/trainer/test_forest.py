import numpy as np
from feature_rows import random_rows

from trainer.traffic.forest import predicted, statistics


def plain(values):
    """Mean, deviation, sum and quantiles of some numbers, with Python's own arithmetic."""
    if not values:
        return [0.0] * 10
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    ordered = sorted(values)
    places = [round(share * (len(values) - 1)) for share in (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1)]
    return [mean, deviation, sum(values), *(ordered[place] for place in places)]


def test_statistics_equal_those_of_the_packets_one_by_one():
    rows = random_rows(20, 50, seed=7)
    table = statistics(rows)
    assert table.shape == (50, 64)
    for r in range(50):
        expected = []
        count = int(rows.length[r])
        for sign in (0, 1, -1):
            chosen = [k for k in range(count) if sign in (0, rows.direction[r, k])]
            expected += plain([float(rows.ip_length[r, k]) for k in chosen])
            expected += plain(
                [float(np.log2(1.0 + rows.interarrival_us[r, k])) for k in chosen if k]
            )
            expected.append(len(chosen))
        expected.append(np.log2(1.0 + sum(rows.interarrival_us[r, :count].tolist())))
        np.testing.assert_allclose(table[r], expected, rtol=1e-4, atol=1e-3)


def test_a_forest_tells_what_the_statistics_tell():
    """Sizes below and above 500 bytes, from 20 labels; what it has not seen it tells right."""
    rows = random_rows(20, 200, seed=8)
    labels = np.arange(200, dtype=np.int32) % 2
    rows.length[:] = 20
    rows.ip_length[:] = np.where(labels[:, None] == 1, 900, 100)
    told = predicted(statistics(rows), labels, np.arange(20), seed=0, leaf=1)
    assert told.tolist() == labels.tolist()
