"""Times of every resolution against exact fractions."""

from fractions import Fraction

import numpy as np
import pcapng_bytes as ng
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.capture.pcapng_interfaces import Interfaces, nanoseconds, options

LAST_NS = 9_000_000_000 * 10**9
UNITS = st.integers(0, 2**64 - 1) | st.integers(0, 2**64 - 1).map(lambda n: n >> 30)
OFFSETS = st.integers(-(2**62), 2**62) | st.integers(-(10**10), 10**10)


def exact(units: int, resolution: int, offset: int) -> int:
    """By the definition in the draft: units of 10^−r or 2^−(r − 128) seconds, and an offset."""
    base, exponent = (2, resolution - 128) if resolution & 128 else (10, resolution)
    fraction = Fraction(units, base**exponent)
    # What is beyond the range is cut before the offset is added only where nothing comes of it.
    time_ns = int((fraction + offset) * 10**9 // 1)
    return max(0, min(time_ns, LAST_NS))


def converted(rows):
    units, resolution, offset = (list(column) for column in zip(*rows, strict=True))
    columns = np.array(units, np.uint64), np.array(resolution, np.uint8), np.array(offset, np.int64)
    return nanoseconds(*columns).tolist()


@given(st.lists(st.tuples(UNITS, st.integers(0, 255), OFFSETS), min_size=1, max_size=20))
def test_times_are_those_of_exact_fractions(rows):
    assert converted(rows) == [exact(*row) for row in rows]


@given(st.integers(0, 255), st.lists(UNITS, min_size=1, max_size=20))
def test_one_resolution_for_all(resolution, units):
    rows = [(each, resolution, 0) for each in units]
    assert converted(rows) == [exact(*row) for row in rows]


def test_usual_resolutions():
    # 2026-11-21 12:00:00.123456789 UTC, and what is left of it.
    time_ns = 1_795_262_400_123_456_789
    assert converted([(time_ns, 9, 0)]) == [time_ns]
    assert converted([(time_ns // 1000, 6, 0)]) == [time_ns // 1000 * 1000]
    assert converted([(1_795_262_400 << 32 | 1 << 31, 0x80 | 32, 0)]) == [1_795_262_400_500_000_000]
    assert converted([(5, 0, -3)]) == [2_000_000_000]
    assert converted([(5, 0, -6)]) == [0]
    assert converted([(2**64 - 1, 0, 0)]) == [LAST_NS]
    assert nanoseconds(*(np.empty(0, kind) for kind in (np.uint64, np.uint8, np.int64))).size == 0


@pytest.mark.parametrize("order", [ng.LITTLE, ng.BIG])
def test_columns_grow_and_old_sections_go(order):
    interfaces = Interfaces()
    for k in range(100):
        if k == 90:
            interfaces.begin_section()
        entries = [ng.resolution(k), ng.offset(-k, order), (2, b"name")]
        assert interfaces.add(ng.interface(k, 7 * k, entries, order), order) is None
    assert (interfaces.base, interfaces.count) == (90, 100)
    assert interfaces.old_link_types() == list(range(90))
    interfaces.forget_old_sections()
    assert (interfaces.base, interfaces.count) == (0, 10)
    kept = slice(10)
    assert interfaces.link_type[kept].tolist() == list(range(90, 100))
    assert interfaces.snap_length[kept].tolist() == [7 * k for k in range(90, 100)]
    assert interfaces.resolution[kept].tolist() == list(range(90, 100))
    assert interfaces.offset_seconds[kept].tolist() == [-k for k in range(90, 100)]


def test_time_options_of_a_wrong_length_are_not_taken_for_times():
    interfaces = Interfaces()
    entries = [(ng.TSRESOL, b"\x09\x09"), (ng.TSOFFSET, b"\1\0\0\0")]
    assert interfaces.add(ng.interface(1, 0, entries), "<") is None
    assert (interfaces.resolution[0], interfaces.offset_seconds[0]) == (6, 0)


def test_options_that_do_not_fit_their_block_end_the_list():
    whole = ng.interface(1, 0, [(1, b"abc"), (2, b"defgh")])
    assert list(options(whole, 16, "<")) == [(1, b"abc"), (2, b"defgh")]
    # The second one claims more than the block has.
    torn = bytearray(whole)
    torn[26] = 200
    assert list(options(bytes(torn), 16, "<")) == [(1, b"abc")]
    assert list(options(ng.interface(), 16, "<")) == []
