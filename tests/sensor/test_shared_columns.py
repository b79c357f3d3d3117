"""Columns in shared memory are what was written, in another process too."""

from dataclasses import fields

import numpy as np
import pytest
from blocks import headers_of
from traffic import Mixture, random_packets

from sensor.packets.headers import OPTIONAL_TYPES, Headers
from sensor.service.workers.shared_columns import ROWS, SLOTS, SharedColumns


@pytest.mark.parametrize("optional", [(), ("ttl",), tuple(OPTIONAL_TYPES)])
def test_what_is_written_is_read(optional):
    shared = SharedColumns(optional)
    written = []
    for slot in range(SLOTS):
        headers = headers_of(random_packets(slot, 500 + slot, Mixture()))
        shared.write(slot, headers)
        written.append(headers)
    for slot, headers in enumerate(written):
        read = shared.read(slot, len(headers))
        for column in fields(Headers):
            ours, theirs = getattr(read, column.name), getattr(headers, column.name)
            assert ours.dtype == theirs.dtype
            if column.name in OPTIONAL_TYPES and column.name not in optional:
                assert ours.shape == (len(headers), 0)
            else:
                np.testing.assert_array_equal(ours, theirs)


def test_a_slot_holds_as_many_as_it_says():
    shared = SharedColumns(())
    one = headers_of(random_packets(1, 1, Mixture()))
    many = Headers(*(np.repeat(getattr(one, f.name), ROWS, axis=0) for f in fields(Headers)))
    shared.write(SLOTS - 1, many)
    assert len(shared.read(SLOTS - 1, ROWS)) == ROWS
    assert shared.read(0, 1).timestamp_ns.tolist() == [0]


def test_the_flag_is_seen():
    shared = SharedColumns(())
    assert not shared.flag
    shared.flag = True
    assert shared.flag
