"""Claims: which flows an attack's tuples fit, worked out by hand."""

import pytest

from trainer.lab.plan import Claim

FLOOD = Claim("32.0.0.0/3", "*", "10.0.0.5/32", "80", "tcp", "1")


@pytest.mark.parametrize(
    ("flow", "fits"),
    [
        (("40.1.2.3", 5000, "10.0.0.5", 80, "tcp"), True),
        (("10.0.0.5", 80, "63.255.255.255", 5000, "tcp"), True),
        (("64.0.0.0", 5000, "10.0.0.5", 80, "tcp"), False),
        (("40.1.2.3", 5000, "10.0.0.5", 81, "tcp"), False),
        (("40.1.2.3", 80, "10.0.0.5", 5000, "tcp"), False),
        (("40.1.2.3", 5000, "10.0.0.6", 80, "tcp"), False),
        (("40.1.2.3", 5000, "10.0.0.5", 80, "udp"), False),
    ],
)
def test_a_flow_fits_in_either_direction(
    flow: tuple[str, int, str, int, str], fits: object
) -> None:
    assert FLOOD.fits(*flow) is fits


@pytest.mark.parametrize(
    ("other", "meet"),
    [
        (Claim("33.0.0.0/8", "*", "10.0.0.5/32", "80", "tcp", "1"), True),
        (Claim("10.0.0.5/32", "80", "33.0.0.0/8", "7", "tcp", "1"), True),
        (Claim("10.0.0.5/32", "*", "33.0.0.0/8", "*", "tcp", "1"), True),
        (Claim("10.0.0.5/32", "81", "33.0.0.0/8", "*", "tcp", "1"), False),
        (Claim("65.0.0.0/8", "*", "10.0.0.5/32", "80", "tcp", "1"), False),
        (Claim("33.0.0.0/8", "*", "10.0.0.5/32", "81", "tcp", "1"), False),
        (Claim("33.0.0.0/8", "*", "10.0.0.5/32", "80", "udp", "1"), False),
    ],
)
def test_claims_meet_where_a_flow_could_fit_both(other: Claim, meet: object) -> None:
    assert FLOOD.meets(other) is meet
    assert other.meets(FLOOD) is meet
