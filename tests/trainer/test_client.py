"""Benign activities keep clear of attacks."""

import dataclasses
import ipaddress

import pytest

from trainer.lab.client import Client, Paused, claims_at
from trainer.lab.plan import Activity, Attack, Claim, Host, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def scene() -> tuple[Plan, Attack, Host, Host]:
    """A plan with one SYN flood from a host's own address, its attacker and its victim."""
    plan = make_plan(read_scenario("demo"), 7, 30)
    attack = next(attack for attack in plan.attacks if attack.task == "syn_dos")
    attacker = next(host for host in plan.hosts if host.name == attack.host)
    victim = plan.host(attack.victim)
    assert victim is not None
    claim = Claim(f"{attacker.address}/32", "*", f"{victim.address}/32", "80", "tcp", "1")
    attack = dataclasses.replace(attack, start_s=10, seconds=5, claims=(claim,))
    return dataclasses.replace(plan, attacks=(attack,)), attack, attacker, victim


@pytest.mark.parametrize(
    ("now_s", "stands"), [(8.4, False), (8.6, True), (15, True), (18.9, True), (19.1, False)]
)
def test_a_claim_stands_from_before_the_attack_until_its_echoes_are_gone(
    now_s: float, stands: object
) -> None:
    plan, attack, _, _ = scene()
    assert claims_at(plan, now_s) == (list(attack.claims) if stands else [])


@pytest.mark.parametrize(
    ("now_s", "port", "proto", "paused"),
    [(12, 80, "tcp", True), (12, 443, "tcp", False), (12, 80, "udp", False), (5, 80, "tcp", False)],
)
def test_the_attacker_may_not_open_what_would_be_labelled(
    now_s: float, port: int, proto: str, paused: object
) -> None:
    plan, _, attacker, victim = scene()
    activity = Activity(attacker.name, "web", (victim.address,), 0, {"every_s": 1}, 1)
    client = Client(plan, attacker, activity, lambda: now_s)
    if not paused:
        client.check(victim.address, port, proto)
        return
    with pytest.raises(Paused):
        client.check(victim.address, port, proto)


def test_other_hosts_go_on() -> None:
    plan, _, attacker, victim = scene()
    other = next(host for host in plan.hosts if host not in (attacker, victim))
    activity = Activity(other.name, "web", (victim.address,), 0, {"every_s": 1}, 1)
    Client(plan, other, activity, lambda: 12.0).check(victim.address, 80, "tcp")


def test_rounds_are_counted_with_what_became_of_them() -> None:
    plan, _, attacker, victim = scene()
    plan = dataclasses.replace(plan, duration_s=4)
    settings = {"every_s": 1e-9}
    activity = Activity(attacker.name, "web", (victim.address,), 0, settings, 1)
    now = iter([0.0, 0, 1, 2, 3, 4])
    client = Client(plan, attacker, activity, lambda: next(now))
    outcomes = iter([None, Paused(), ConnectionRefusedError(), TimeoutError()])

    def perform(_: Client) -> None:
        if (outcome := next(outcomes)) is not None:
            raise outcome

    client.run(perform)
    assert client.counts == {"rounds": 4, "pauses": 1, "failures": 2}


def test_ipv6_is_spoken_where_both_hosts_have_it() -> None:
    plan, _, attacker, victim = scene()
    for stack, version in (("linux", 6), ("rtos", 4)):
        host = dataclasses.replace(attacker, stack_name=stack)
        target = dataclasses.replace(victim, stack_name="linux")
        hosts = tuple({attacker: host, victim: target}.get(each, each) for each in plan.hosts)
        settings = {"ip": "6"}
        activity = Activity(host.name, "web", (victim.address,), 0, settings, 1)
        client = Client(dataclasses.replace(plan, hosts=hosts), host, activity, lambda: 1.0)
        assert ipaddress.ip_address(client.address(victim.address)).version == version


def test_echoes_keep_clear_of_ping_scans_at_any_time() -> None:
    """An echo of minutes ago is of the same flow as the scan's."""
    plan, attack, attacker, victim = scene()
    claim = Claim(f"{attacker.address}/32", "*", f"{victim.address}/32", "*", "icmp", "1")
    attack = dataclasses.replace(attack, start_s=1000, claims=(claim,))
    activity = Activity(attacker.name, "ping", (victim.address,), 0, {"every_s": 1}, 1)
    plan = dataclasses.replace(plan, attacks=(attack,))
    with pytest.raises(Paused):
        Client(plan, attacker, activity, lambda: 2.0).check(victim.address, 0, "icmp")
