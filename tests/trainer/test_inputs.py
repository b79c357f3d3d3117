import numpy as np
from feature_rows import random_rows

from sensor.model.encoding import encode
from trainer.traffic.inputs import SCHEMA, convolved, first, recurrent


def test_the_two_channels_by_hand():
    """2·log2(1 + 1000) = 19.9; 8·log2(41) = 42.9 out, 8·log2(1501) = 84.4 back; all four times."""
    rows = random_rows(60, 1, seed=1)
    rows.length[:] = 2
    rows.ip_length[0, :2], rows.direction[0, :2] = [40, 1_500], [1, -1]
    rows.interarrival_us[0, :2] = [0, 1_000]
    packets = [[0, 43 / 32], [20 / 16, -84 / 32]]
    assert convolved(rows, 4)["x"][0].tolist() == [*packets, [0, 0], [0, 0]]
    before = recurrent(rows, 4)
    assert before["x"][0].tolist() == [[0] * 3, [0] * 3, *([*packet, 1] for packet in packets)]
    assert list(before) == ["x"]


def test_only_the_first_packets_are_seen():
    rows = random_rows(60, 200, seed=2)
    changed = first(rows, 60)
    for name in ("ip_length", "interarrival_us", "direction"):
        column = getattr(rows, name).copy()
        column[:, 8:] = 0
        changed = first(changed, 60)
        object.__setattr__(changed, name, column)
    np.testing.assert_array_equal(convolved(rows, 8)["x"], convolved(changed, 8)["x"])
    assert first(rows, 8).length.max() == 8
    assert convolved(rows, 16)["x"].shape == (200, 16, 2)


def test_padding_stands_behind_what_is_convolved_and_before_what_is_recurrent():
    rows = random_rows(60, 100, seed=3)
    x, _ = encode(SCHEMA, rows).expand()
    behind, before = convolved(rows, 60)["x"], recurrent(rows, 60)["x"]
    np.testing.assert_array_equal(before, x * [4, 4, 1])
    for r, length in enumerate(rows.length):
        np.testing.assert_array_equal(behind[r, :length], before[r, 60 - length :, :2])
        assert not behind[r, length:].any()
