"""Hops: times add up, inner ones don't count twice, and nothing is measured unasked."""

import time

import pytest

from sensor import hops
from sensor.hops import hop


def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@hop("lookup")
def inner():
    burn(0.02)


@hop("table")
def outer(*, fail=False):
    burn(0.01)
    inner()
    if fail:
        raise KeyError
    return 7


@pytest.fixture
def profile():
    yield hops.start()
    hops.stop()


def test_a_hop_leaves_out_those_inside_it_and_all_add_up(profile):
    assert outer() == 7
    inner()
    assert profile.calls == {"table": 1, "lookup": 2}
    assert 0.01e9 <= profile.spent_ns["table"] < 0.02e9
    assert profile.spent_ns["lookup"] >= 0.04e9
    table = [line.split() for line in profile.lines(1_000, 10)]
    assert [line[0] for line in table] == ["hop", "table", "lookup", "the", "all"]
    seconds = [float(line[1]) for line in (*table[1:3], table[3][1:], table[4])]
    assert sum(seconds[:3]) == pytest.approx(seconds[3], abs=0.002)
    # 1,000 packets and 10 flows: a second is a million ns a packet, and 100,000 µs a flow
    assert float(table[4][3].replace(",", "")) == pytest.approx(seconds[3] * 1e6, abs=1_000)
    assert float(table[4][4]) == pytest.approx(seconds[3] * 1e5, abs=100)


def test_an_error_ends_its_hop(profile):
    with pytest.raises(KeyError):
        outer(fail=True)
    burn(0.01)
    assert profile.spent_ns["table"] < 0.02e9


def test_unasked_nothing_is_measured():
    profile = hops.start()
    hops.stop()
    assert outer() == 7
    assert not profile.calls


def test_a_name_that_is_no_hop_is_refused():
    with pytest.raises(ValueError, match="no hop"):
        hop("tabel")
