"""Context counts against a list of all starts, counted one by one."""

import numpy as np
import pytest

from sensor.flows import context
from sensor.flows.context import ContextWindows

SECOND = 1_000_000_000


def count(times, scopes, remembered):
    """The rule, word by word: earlier starts among the last remembered, younger than the window."""
    rows, saturated = [], []
    for i, now in enumerate(times):
        row = []
        for keys in scopes:
            for window in (SECOND, 10 * SECOND):
                lately = range(max(0, i - remembered), i)
                row.append(sum(keys[j] == keys[i] and times[j] > now - window for j in lately))
        rows.append(row)
        oldest = i - remembered - 1
        saturated.append(oldest >= 0 and times[oldest] > now - 10 * SECOND)
    return rows, saturated


def words(keys):
    return np.stack((keys, keys % 3, keys * 0)).astype(np.uint64)


@pytest.mark.parametrize("parts", [1, 7, 1000])
@pytest.mark.parametrize("pace", [SECOND // 200, SECOND // 20, 3 * SECOND])
def test_counts_are_those_of_the_rule(monkeypatch, parts, pace):
    monkeypatch.setattr(context, "REMEMBERED", 150)
    monkeypatch.setattr(context, "_CHUNK", 90)
    random = np.random.default_rng(2)
    steps = random.integers(0, 2 * pace, 1000) * random.integers(0, 2, 1000)
    times = 1_700_000_000 * SECOND + np.cumsum(steps)
    scopes = [random.integers(0, kinds, 1000) for kinds in (5, 40, 1000)]
    windows = ContextWindows()
    found, saturated = [], []
    for begin in range(0, 1000, parts):
        part = slice(begin, begin + parts)
        counts, full = windows.add(times[part], tuple(words(keys[part]) for keys in scopes))
        found += counts.tolist()
        saturated += full.tolist()
    expected = count(times.tolist(), [keys.tolist() for keys in scopes], 150)
    assert (found, saturated) == expected
    assert any(saturated) == (pace < SECOND // 10)


def test_state_is_bounded_by_what_is_remembered():
    windows = ContextWindows()
    before = [keys.free for keys in windows._keys]
    for turn in range(20):
        keys = np.arange(10_000) + turn * 10_000
        windows.add(np.full(10_000, SECOND), tuple(words(keys) for _ in range(3)))
    assert all(
        was - keys.free <= context.REMEMBERED + 1
        for was, keys in zip(before, windows._keys, strict=True)
    )
    # half a minute later, only what just began is left
    windows.add(np.array([40 * SECOND]), tuple(words(np.array([1])) for _ in range(3)))
    assert [was - keys.free for was, keys in zip(before, windows._keys, strict=True)] == [1, 1, 1]


def test_what_was_cleared_never_counts_again():
    """The clock of the next stream may lie before that of the last one."""
    used, fresh = ContextWindows(), ContextWindows()
    keys = np.arange(70_000) % 7
    used.add(np.full(70_000, 50 * SECOND), tuple(words(keys) for _ in range(3)))
    used.clear()
    assert [index.free for index in used._keys] == [index.free for index in fresh._keys]
    for seconds in (0, 0.5, 1.5, 9, 30):
        clock = np.full(20, int(seconds * SECOND))
        outcomes = [
            windows.add(clock, tuple(words(keys[:20]) for _ in range(3)))
            for windows in (used, fresh)
        ]
        (counts, saturated), (expected, _) = outcomes
        assert counts.tolist() == expected.tolist()
        assert not saturated.any()
