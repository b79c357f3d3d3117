"""Altered flows: what is missing, where the rest stands, and what stays."""

import numpy as np
import pytest

from trainer.traffic import alterations
from trainer.traffic.alterations import altered

FLOWS, K = 400, 20


def flows(behind, lengths):
    """Packet p of a flow has the gap p + 1 (the first none) and the length 100 + p."""
    x = np.zeros((len(lengths), K, 3), np.float32)
    for flow, length in zip(x, lengths, strict=True):
        packets = np.arange(length)
        place = packets if behind else packets + K - length
        flow[place] = np.stack(
            [np.where(packets, packets + 1, 0), 100 + packets, 0 * packets + 1], 1
        )
    return x


@pytest.mark.parametrize("behind", [True, False])
def test_packets_are_missing_and_the_rest_closes_up_in_order(behind, monkeypatch):
    monkeypatch.setattr(alterations, "SHIFT_BITS", 0)
    monkeypatch.setattr(alterations, "JITTER_BITS", 0)
    lengths = np.random.default_rng(0).integers(1, K + 1, FLOWS)
    x = flows(behind, lengths)
    untouched = x.copy()
    found = altered(x, np.random.default_rng(1), behind=behind)
    np.testing.assert_array_equal(x, untouched)
    assert found.dtype == np.float32
    missing = []
    for flow, length in zip(found, lengths, strict=True):
        held = np.flatnonzero(flow[:, 2])
        first = 0 if behind else K - held.size
        assert held.tolist() == list(range(first, first + held.size))
        assert not flow[np.setdiff1d(np.arange(K), held)].any()
        packets = flow[held, 1] - 100
        assert held.size
        assert (np.diff(packets) > 0).all()
        np.testing.assert_array_equal(flow[held, 0], np.where(packets, packets + 1, 0))
        missing.append((length, packets[0], length - held.size))
    long = [each for each in missing if each[0] > 15]
    assert max(begun for _, begun, _ in long) >= alterations.SKIPPED
    assert 0.3 < np.mean([begun == 0 for _, begun, _ in long]) < 0.7
    inside = [(lost - begun) / length for length, begun, lost in long]
    assert 0.05 < np.mean(inside) < 0.15  # half of LOST


def test_gaps_move_together_and_each_and_nothing_else_moves(monkeypatch):
    monkeypatch.setattr(alterations, "LOST", 0)
    monkeypatch.setattr(alterations, "SKIPPED", 0)
    x = flows(behind=True, lengths=np.full(FLOWS, K))
    found = altered(x, np.random.default_rng(1), behind=True)
    np.testing.assert_array_equal(found[..., 1:], x[..., 1:])
    assert not found[:, 0, 0].any()
    # A gap twice as long is 2 of 64 steps of the sensor's channel, and four times that here.
    bits = (found - x)[:, 1:, 0] / (4 * 2 / 64)
    assert bits.mean(axis=1).std() == pytest.approx(alterations.SHIFT_BITS, rel=0.15)
    apart = bits - bits.mean(axis=1, keepdims=True)
    assert apart.std() == pytest.approx(alterations.JITTER_BITS, rel=0.05)


def test_a_gap_is_never_negative():
    x = np.full((FLOWS, K, 3), 0.01, np.float32)
    found = altered(x, np.random.default_rng(1), behind=True)
    assert found[..., 0].min() == 0
    assert found[..., 0].max() > 0.01
