"""Attacks: bounded, in time, and each with flows of its own."""

import ipaddress
import itertools
import random
from dataclasses import replace
from pathlib import Path

import pytest

from sensor.errors import ScenarioError
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.attack_planning import draw_settings
from trainer.lab.plan import Attack, Claim, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import Range, read_scenario

ATTACKING = (
    *("mixed", "mixed_other", "floods", "renegotiations", "demo"),
    *("assault", "trickle", "left_out"),
)

REFLECTION = """
[[hosts]]
name = "device"
count = 3
stacks = "linux"
services = "upnp"
[[hosts]]
name = "far"
side = "wan"
stacks = "linux"
[[attacks]]
task = "ssdp_flood"
from = "device"
to = "far"
mode = "MODE"
"""


def plans(name: str) -> list[Plan]:
    scenario = read_scenario(name)
    return [make_plan(scenario, seed, 60) for seed in range(30)]


def reflection(folder: Path, mode: str, seed: int = 1) -> tuple[Plan, Attack]:
    (folder / "r.toml").write_text(REFLECTION.replace("MODE", mode))
    plan = make_plan(read_scenario(str(folder / "r.toml")), seed, 30)
    return plan, plan.attacks[0]


@pytest.mark.parametrize("name", ATTACKING)
def test_attacks_end_before_the_recording_and_keep_to_the_flood_budget(name: str) -> None:
    setting = read_scenario(name).network["flood_packets"]
    assert isinstance(setting, Range)
    budget = setting.high
    for plan in plans(name):
        assert plan.attacks
        for attack in plan.attacks:
            assert attack.start_s >= 0.3
            assert attack.start_s + attack.seconds <= 60 - 0.69
        floods = [a for a in plan.attacks if ATTACKS[a.task].flood]
        assert sum(attack.packets for attack in floods) <= budget
        assert all(
            attack.packets <= attack.settings["rate"] * attack.seconds + 2 for attack in floods
        )


@pytest.mark.parametrize("name", ATTACKING)
def test_no_flow_could_be_of_two_attacks_at_once(name: str) -> None:
    for plan in plans(name):
        for one in plan.attacks:
            for other in plan.attacks:
                apart = other.start_s - one.start_s - one.seconds
                if one is other or one.start_s > other.start_s or apart > 6:
                    continue
                assert not any(a.meets(b) for a in one.claims for b in other.claims)


@pytest.mark.parametrize("name", ATTACKING)
def test_spoofed_sources_are_nobody(name: str) -> None:
    for plan in plans(name):
        for attack in plan.attacks:
            owners = {
                host.address
                for host in plan.hosts
                for prefix in attack.sources
                if ipaddress.ip_address(host.address) in ipaddress.ip_network(prefix)
            }
            attacker = next(host.address for host in plan.hosts if host.name == attack.host)
            expected = {attacker} if attack.settings.get("source", "own") == "own" else set()
            assert owners == ({attack.victim} if attack.reflectors else expected)


def test_claims_of_a_reflection(tmp_path: Path) -> None:
    for seed in range(20):
        plan, attack = reflection(tmp_path, "reflection", seed)
        victim = f"{attack.victim}/32"
        expected = set()
        for address in attack.reflectors:
            host = plan.host(address)
            assert host is not None
            expected.add(Claim(victim, "*", f"{address}/32", "1900", "udp", "1"))
            expected.add(Claim(victim, "*", f"{address}/32", "*", "icmp", "unknown"))
            if host.replies_from == "ephemeral":
                expected.add(Claim(f"{address}/32", "*", victim, "*", "udp", "1"))
        assert set(attack.claims) == expected
        assert len(attack.reflectors) == 2
        assert attack.host not in {
            host.name for host in plan.hosts if host.address in attack.reflectors
        }


def test_a_multicast_reflection_also_claims_the_group(tmp_path: Path) -> None:
    _, attack = reflection(tmp_path, "multicast")
    claim = Claim(f"{attack.victim}/32", "*", "239.255.255.250/32", "1900", "udp", "1")
    assert claim in attack.claims


def test_an_attack_without_anybody_to_reflect_it(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        REFLECTION.replace("MODE", "reflection").replace("count = 3", "count = 1")
    )
    with pytest.raises(ScenarioError, match="has no device left to reflect it; raise the count"):
        make_plan(read_scenario(str(tmp_path / "r.toml")), 1, 30)


def test_attacks_that_can_not_be_told_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        REFLECTION.replace("MODE", "reflection") + "times = 2\nstart = 0.2\n"
    )
    with pytest.raises(ScenarioError, match="always meets another attack"):
        make_plan(read_scenario(str(tmp_path / "r.toml")), 1, 30)


def test_attacks_between_wan_hosts_are_refused() -> None:
    scenario = read_scenario("mixed")
    rule = replace(scenario.attacks[0], sources=("stranger",), targets=("cloud",))
    with pytest.raises(ScenarioError, match="no two hosts of which one is on the LAN"):
        make_plan(replace(scenario, attacks=(rule,)), 1, 30)


def test_settings_are_drawn_by_name() -> None:
    settings = {"rate": Range(3, 3, logarithmic=True, whole=False)}
    assert draw_settings(random.Random(1), settings) == {"rate": pytest.approx(3)}


@pytest.mark.parametrize("name", ["assault", "trickle", "left_out"])
def test_attacks_overlap_and_attackers_are_ordinary_hosts_too(name: str) -> None:
    for plan in plans(name):
        busy = {activity.host for activity in plan.activities}
        asked = {address for activity in plan.activities for address in activity.targets}
        for attack in plan.attacks:
            address = next(host.address for host in plan.hosts if host.name == attack.host)
            assert attack.host in busy or address in asked
        assert any(
            one.start_s < other.start_s + other.seconds
            and other.start_s < one.start_s + one.seconds
            for one, other in itertools.combinations(plan.attacks, 2)
        )


def test_rates_reach_from_a_trickle_to_thousands_and_sources_differ() -> None:
    attacks = [
        attack for name in ("assault", "trickle") for p in plans(name) for attack in p.attacks
    ]
    rates = [attack.settings["rate"] for attack in attacks]
    assert min(rates) < 1
    assert max(rates) > 1500
    sources = {attack.settings.get("source", "own") for attack in attacks}
    assert sources == {"own", "lan", "internet"}
