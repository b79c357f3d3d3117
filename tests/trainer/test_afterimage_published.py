"""AfterImage against rows that the authors published: 999 packets each of two of their captures.

Of 115 statistics, 85 can be recomputed: all but the mean and variance of gaps (10), which in the
published rows hold the absolute time of the capture, and covariance and correlation (20), whose
products the authors count twice and damp unevenly; there, zeros are zeros and the first that is
not 0 is twice ours. Largest relative difference of the 85: 2e-9, from times in whole nanoseconds.
"""

import numpy as np
import pytest
from kitsune_rows import columns, packets_behind, published

from trainer.baselines.afterimage import AfterImage

LAST = {"MI": 3, "H": 3, "HH": 5, "HH_jit": 1, "HpHp": 5}
"""Statistics of each window that are recomputed: the first so many."""


@pytest.fixture(scope="module", params=["SSDP_Flood", "SYN_DoS"])
def rows(request, shared_archive):
    path = shared_archive("sequences").glob(f"**/kitsune-features/{request.param}_random.csv")
    theirs = published(next(path))
    headers = packets_behind(theirs)
    assert (np.diff(headers.timestamp_ns) >= 0).all()
    return request.param, theirs, AfterImage().add(headers)[1:]


def test_equals_the_published_rows(rows):
    _, theirs, ours = rows
    assert len(theirs) == 999
    for family, count in LAST.items():
        a, b = (columns(each, family)[:, :, :count] for each in (ours, theirs))
        # below it, a variance of sizes is rounding: its mean square is up to 2e6
        told = np.abs(b) > 1e-3
        assert np.abs(a - b)[~told].max(initial=0) < 1e-3
        np.testing.assert_allclose(a[told], b[told], rtol=1e-8)


def test_covariances_are_zero_where_the_published_are(rows):
    """And the first that is not is twice ours, for the authors count each product twice."""
    name, theirs, ours = rows
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
