"""AfterImage against rows that the authors published: 999 packets each of two of their captures.

Of 115 statistics, 85 can be recomputed: all but the mean and variance of gaps (10), which in the
published rows hold the absolute time of the capture, and covariance and correlation (20). Largest
relative difference of the 85: 2e-9, from times in whole nanoseconds.

Covariances differ from ours on purpose: the authors' products count twice, and each second packet
of a pair damps what was before twice and the next one damps it by that gap again. By that rule,
from our weights and means, theirs and their correlations come out as well: largest differences
4e-9 of the largest covariance, and 1e-10 in correlations.
"""

import numpy as np
import pytest
from kitsune_rows import DECAYS, columns, packets_behind, published

from trainer.baselines.afterimage import AfterImage

LAST = {"MI": 3, "H": 3, "HH": 5, "HH_jit": 1, "HpHp": 5}
"""Statistics of each window that are recomputed: the first so many."""


@pytest.fixture(scope="module", params=["SSDP_Flood", "SYN_DoS"])
def rows(request, shared_archive):
    path = shared_archive("sequences").glob(f"**/kitsune-features/{request.param}_random.csv")
    theirs = published(next(path))
    headers = packets_behind(theirs)
    assert (np.diff(headers.timestamp_ns) >= 0).all()
    return request.param, theirs, AfterImage().add(headers)[1:], headers


def test_equals_the_published_rows(rows):
    _, theirs, ours, _ = rows
    assert len(theirs) == 999
    for family, count in LAST.items():
        a, b = (columns(each, family)[:, :, :count] for each in (ours, theirs))
        # below it, a variance of sizes is rounding: its mean square is up to 2e6
        told = np.abs(b) > 1e-3
        assert np.abs(a - b)[~told].max(initial=0) < 1e-3
        np.testing.assert_allclose(a[told], b[told], rtol=1e-8)


def test_covariances_are_zero_where_the_published_are(rows):
    """And the first that is not is twice ours, for the authors count each product twice."""
    name, theirs, ours, _ = rows
    for family in ("HH", "HpHp"):
        a, b = (columns(each, family)[:, 0, 5] for each in (ours, theirs))
        some = np.flatnonzero(np.abs(b) > 1e-6)
        assert (some.size > 0) == ((name, family) == ("SSDP_Flood", "HH"))
        first = some[0] if some.size else len(b)
        assert np.abs(a[:first]).max() < 1e-6
        if some.size:
            for statistic in (5, 6):
                a, b = (columns(each, family)[first, :, statistic] for each in (ours, theirs))
                np.testing.assert_allclose(2 * a, b, rtol=1e-6)


def test_covariances_follow_from_ours_by_the_authors_rule(rows):
    name, theirs, ours, headers = rows
    ends = zip(headers.source_low.tolist(), headers.destination_low.tolist(), strict=True)
    ends, times = list(ends)[1:], (headers.timestamp_ns[1:] - headers.timestamp_ns[0]) / 1e9
    ours, theirs = columns(ours, "HH"), columns(theirs, "HH")
    pairs, rule, spread = {}, *np.zeros((2, len(ends), len(DECAYS)))
    for row, (here, there) in enumerate(ends):
        # packets so far, sum of products, time to which it was damped, last row of either side
        pair = pairs.setdefault(frozenset((here, there)), [0, 0.0, times[row], {}])
        packets, products, damped_to, last = pair
        weight, residual = ours[row, :, 0], headers.ip_length[row + 1] - ours[row, :, 1]
        left = 2.0 ** (-DECAYS * (times[row] - damped_to))
        products = products * left**2 if packets % 2 == 0 else products * left
        if there in last:
            other = last[there]
            left = 2.0 ** (-DECAYS * (times[row] - times[other]))
            before = headers.ip_length[other + 1] - ours[other, :, 1]
            products = products + 2 * residual * before * left
            weight = weight + ours[other, :, 0] * left
            spread[row] = ours[row, :, 2] * ours[other, :, 2]
        rule[row] = products / weight
        last[here] = row
        pair[:] = [packets + 1, products, times[row] if packets % 2 else damped_to, last]
    largest = np.abs(theirs[:, :, 5]).max()
    assert (largest > 100) == (name == "SSDP_Flood")
    assert np.abs(rule - theirs[:, :, 5]).max() < 1e-8 * max(largest, 1)
    vary = spread > 1
    np.testing.assert_allclose(rule[vary] / spread[vary], theirs[:, :, 6][vary], atol=1e-8)
