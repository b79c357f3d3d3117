"""Records are moved whole."""

import numpy as np

from sensor.flows.state import FLOW, put, take


def records(count, seed):
    octets = np.random.default_rng(seed).integers(0, 2, count * FLOW.itemsize, dtype=np.uint8)
    return octets.view(FLOW)


def test_moving_records_is_what_numpy_does_field_by_field():
    ours, theirs, new = records(50, 1), records(50, 1), records(7, 2)
    index = np.array([3, 40, 0, 49, 7, 8, 9], np.int32)
    assert take(ours, index).tobytes() == theirs[index].tobytes()
    put(ours, index, new)
    theirs[index] = new
    for name in FLOW.names:
        assert np.array_equal(ours[name], theirs[name])


def test_what_is_taken_is_a_copy():
    flow = records(5, 3)
    before = flow.tobytes()
    take(flow, np.array([1, 2], np.int64))["ordinal"] = 99
    assert flow.tobytes() == before
