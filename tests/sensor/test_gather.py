"""Gathered bytes are those of the buffer, at its very end too."""

import numpy as np

from sensor.packets.gather import by_number, gather, gather_far, words_of

BUFFER = np.arange(10, 60, dtype=np.uint8)


def test_rows_are_the_bytes_from_each_start():
    rows = gather(BUFFER, np.array([0, 3, 46]), 4)
    assert rows.tolist() == [[10, 11, 12, 13], [13, 14, 15, 16], [56, 57, 58, 59]]
    assert words_of(rows, 2).tolist() == [12 * 256 + 13, 15 * 256 + 16, 58 * 256 + 59]
    assert gather(BUFFER, np.zeros(0, np.int64), 4).shape == (0, 4)


def test_far_rows_repeat_the_last_byte():
    assert gather_far(BUFFER, np.array([1, 48, 70]), 4).tolist() == [
        [11, 12, 13, 14],
        [58, 59, 59, 59],
        [59, 59, 59, 59],
    ]


def test_tables_hold_a_value_for_every_octet():
    table = by_number({6: 20, 255: 1}, default=-1)
    assert (table.size, table[6], table[255], table[0]) == (256, 20, 1, -1)
