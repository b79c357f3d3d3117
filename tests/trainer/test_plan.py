"""Claims: which flows an attack's tuples fit, worked out by hand."""

import dataclasses
import ipaddress

import pytest

from trainer.lab.plan import Claim
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario

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


def test_no_claim_is_of_ipv6() -> None:
    assert not FLOOD.fits("fd00::1", 5000, "10.0.0.5", 80, "tcp")
    assert not FLOOD.fits("fd00::1", 5000, "fd00::2", 80, "tcp")


def test_addresses_of_ipv6_are_local_unique_and_the_lan_s_in_one_prefix() -> None:
    """RFC 4193: fc00::/7 with the bit for locally assigned, 64 bits for the LAN."""
    plan = make_plan(read_scenario("people"), 3, 60)
    assert plan.ipv6
    assert not make_plan(read_scenario("mixed"), 3, 60).ipv6
    found = {host.name: ipaddress.ip_address(plan.address6(host)) for host in plan.hosts}
    assert len(set(found.values())) == len(plan.hosts)
    assert all(address in ipaddress.ip_network("fd00::/8") for address in found.values())
    lan = ipaddress.ip_network(f"{plan.prefix6}:1::/64")
    assert all((found[host.name] in lan) is (host.side != "wan") for host in plan.hosts)


def test_small_links_carry_no_ipv6() -> None:
    """RFC 8200 section 5: at least 1,280 bytes."""
    host = make_plan(read_scenario("people"), 3, 60).hosts[1]
    assert dataclasses.replace(host, stack_name="bsd").ipv6  # 1,492
    assert not dataclasses.replace(host, stack_name="rtos").ipv6  # 576
