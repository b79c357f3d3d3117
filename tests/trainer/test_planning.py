"""Plans: the seed decides everything, and addresses are laid out so that labels can be right."""

import hashlib
import ipaddress
import json
from dataclasses import asdict

import pytest

from sensor.errors import ScenarioError
from trainer.lab.catalogue import ACTIVITIES
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario, shipped_scenarios

SEEDS = range(12)


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    scenario = read_scenario("mixed")
    plan, again, other = (make_plan(scenario, seed, 60) for seed in (7, 7, 8))
    assert plan == again
    assert plan.lan != other.lan
    assert not {host.address for host in plan.hosts} & {host.address for host in other.hosts}
    assert not {host.mac for host in plan.hosts} & {host.mac for host in other.hosts}
    rates = [[attack.settings["rate"] for attack in p.attacks] for p in (plan, other)]
    assert rates[0] != rates[1]


@pytest.mark.parametrize("name", shipped_scenarios())
def test_addresses_are_unique_and_apart_from_those_that_are_spoofed(name: str) -> None:
    for seed in SEEDS:
        plan = make_plan(read_scenario(name), seed, 60)
        lan, upper = ipaddress.ip_network(plan.lan), ipaddress.ip_network(plan.spoofable)
        internet = ipaddress.ip_network("16.0.0.0/4")
        addresses = [ipaddress.ip_address(host.address) for host in plan.hosts]
        assert len({plan.nowhere, *map(str, addresses)}) == len(addresses) + 1
        assert lan.supernet_of(upper)
        for host, address in zip(plan.hosts, addresses, strict=True):
            if host.side == "wan":
                assert address in internet
            else:
                assert address in lan
                assert address not in upper
                assert lan.is_private
        for mac in (host.mac for host in plan.hosts):
            assert int(mac[:2], 16) & 3 == 2  # locally administered, unicast


@pytest.mark.parametrize("name", shipped_scenarios())
def test_activities_reach_servers_through_the_gateway(name: str) -> None:
    plan = make_plan(read_scenario(name), 3, 60)
    hosts = {host.name: host for host in plan.hosts}
    assert plan.activities
    for activity in plan.activities:
        source = hosts[activity.host]
        service = ACTIVITIES[activity.activity].service
        for address in activity.targets:
            target = plan.host(address)
            assert target is not None
            assert target is not source
            assert "lan" in {source.side, target.side} or target.side == "gateway"
            assert service is None or service in target.services
        assert 0 <= activity.first_s <= 30


@pytest.mark.parametrize("duration_s", [2, 3601])
def test_refuses_durations_out_of_bounds(duration_s: float) -> None:
    with pytest.raises(ScenarioError, match="from 3 to 3600 seconds"):
        make_plan(read_scenario("sparse"), 0, duration_s)


def test_wan_hosts_look_as_far_away_as_they_are() -> None:
    plan = make_plan(read_scenario("mixed"), 1, 60)
    for host in plan.hosts:
        if host.side == "wan":
            assert host.stack.ttl - 14 <= host.ttl <= host.stack.ttl - 4
        else:
            assert host.ttl == host.stack.ttl


SHA256 = {
    "benign": "32ee928ad3b071c9",
    "demo": "fd147cd4cb4ef5e6",
    "floods": "93d49da20c63c2ff",
    "mixed": "b3f53d3cf5603a64",
    "mixed_other": "b4b7a01ec2df98ee",
    "renegotiations": "803d63708134378e",
    "sparse": "c9b62651735b91c2",
}
"""Of five plans each, as the first edition of the lab made them, without what came later."""


@pytest.mark.parametrize("name", SHA256)
def test_recipes_of_shipped_bundles_still_mean_the_same(name: str) -> None:
    """A recipe names scenario and seed; plans that changed would make another bundle of it."""
    digest = hashlib.sha256()
    for seed in range(5):
        plan = asdict(make_plan(read_scenario(name), seed, 75))
        for host in plan["hosts"]:
            assert (host.pop("rate_kbit"), host.pop("loss_burst")) == (0, 1)
        for attack in plan["attacks"]:
            assert attack.pop("targets") == ()
            if attack["task"] == "syn_dos":
                assert attack["settings"].pop("tool") == "frames"
        for activity in plan["activities"]:
            assert activity["settings"].pop("ip", "4") == "4"
        digest.update(json.dumps(plan, sort_keys=True).encode())
    assert digest.hexdigest()[:16] == SHA256[name]
