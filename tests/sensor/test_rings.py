"""The last values of each series, beside lists."""

import numpy as np

from sensor.latency.rings import Rings


def test_windows_are_those_of_lists():
    rng = np.random.default_rng(1)
    rings, lists = Rings(6, 4, np.dtype(np.int16)), {slot: [] for slot in range(6)}
    for _ in range(30):
        slots = rng.permutation(6)[: rng.integers(0, 5)].astype(np.int32)
        sizes = rng.integers(1, 7, slots.size)
        values = rng.integers(1, 1_000, sizes.sum()).astype(np.int16)
        windows, length = rings.push(values, slots, sizes)
        told = iter(values.tolist())
        expected = []
        for slot, size in zip(slots.tolist(), sizes.tolist(), strict=True):
            for _ in range(size):
                lists[slot].append(next(told))
                expected.append(lists[slot][-4:])
        found = [row[:held] for row, held in zip(windows.tolist(), length.tolist(), strict=True)]
        assert found == expected
        assert not windows[np.arange(4) >= length[:, None]].any()
        assert rings.count.tolist() == [len(lists[slot]) for slot in range(6)]
        gone = rng.integers(0, 6, 1).astype(np.int32)
        if rng.random() < 0.2:
            rings.begin(gone)
            lists[int(gone[0])].clear()
