"""Draws attacks: who, whom, when, how fast, and from which addresses."""

import ipaddress
import random
from collections.abc import Mapping
from typing import Any

from sensor.errors import ScenarioError
from trainer.lab.attack_claims import (
    adapt,
    answers_of,
    claims_of,
    port_of,
    reflecting_service,
)
from trainer.lab.attack_kinds import ATTACKS
from trainer.lab.plan import Attack, Host
from trainer.lab.scenario import AttackRule, Scenario, Setting

LEAD_S = 0.3
"""An attack starts no earlier than this after the recording."""
TAIL_S = 0.7
"""An attack ends no later than this before the recording does."""

_SPOOFED_INTERNET = ("32.0.0.0/3", "64.0.0.0/3", "128.0.0.0/3")
_TRIES = 200
_APART_S = 6.0
"""Attacks whose flows could be mistaken for each other keep this distance."""
_PACKETS_PER_SECOND = 5000
"""What all answers to a reflected search may add up to."""


def draw_settings(rng: random.Random, settings: Mapping[str, Setting]) -> dict[str, Any]:
    """A value for every setting."""
    return {key: setting.draw(rng) for key, setting in settings.items()}


def draw_attacks(
    rng: random.Random, scenario: Scenario, hosts: list[Host], spoofable: str, duration_s: float
) -> list[Attack]:
    """Draws the attacks of a scenario on these hosts; `spoofable` is the LAN's unused half.

    Raises:
        ScenarioError: the hosts or the time do not allow them.
    """
    rules = [rule for rule in scenario.attacks for _ in range(int(rule.times.draw(rng)))]
    floods = sum(ATTACKS[rule.task].flood for rule in rules)
    budget = int(scenario.network["flood_packets"].draw(rng)) // max(1, floods)
    found: list[Attack] = []
    for index, rule in enumerate(rules):
        for _ in range(_TRIES):
            attack = _attack(rng, scenario, rule, index, hosts, spoofable, duration_s, budget)
            if not any(_overlap(attack, other) for other in found):
                found.append(attack)
                break
        else:
            raise ScenarioError(
                f"{scenario.name}: {rule.task} from {', '.join(rule.sources)} always meets another "
                "attack on the same victim at the same time, so that labels could not tell them "
                "apart; add hosts, or narrow start and seconds"
            )
    return found


def _overlap(one: Attack, other: Attack) -> bool:
    """Whether a flow could be taken for either attack's."""
    first, second = sorted((one, other), key=lambda attack: attack.start_s)
    if second.start_s > first.start_s + first.seconds + _APART_S:
        return False
    return any(a.meets(b) for a in one.claims for b in other.claims)


def _attack(
    rng: random.Random,
    scenario: Scenario,
    rule: AttackRule,
    index: int,
    hosts: list[Host],
    spoofable: str,
    duration_s: float,
    budget: int,
) -> Attack:
    settings = draw_settings(rng, rule.settings)
    attacker, victim = _pair(rng, scenario, rule, hosts)
    adapt(rule.task, settings, attacker, victim)
    reflectors = _reflectors(scenario, index, rule.task, settings, (attacker, victim), hosts)
    answers = answers_of(rule.task, settings, reflectors)
    if reflectors:
        settings["rate"] = min(settings["rate"], _PACKETS_PER_SECOND / answers)
    seconds = min(rule.seconds.draw(rng), duration_s - LEAD_S - TAIL_S)
    packets = int(settings["rate"] * seconds) + 1
    if ATTACKS[rule.task].flood:
        packets = min(packets, max(1, int(budget / answers)))
        seconds = min(seconds, max(0.2, packets / settings["rate"]))
    latest = duration_s - TAIL_S - seconds
    start_s = min(max(LEAD_S, rule.start.draw(rng) * duration_s), latest)
    sources = _sources(rng, rule.task, settings, attacker, victim, spoofable)
    port = port_of(rng, rule.task, settings, victim)
    targets = _targets(rule, settings, attacker, victim, hosts)
    claims = claims_of(rule.task, settings, victim, port, sources, reflectors, targets)
    return Attack(
        index=index,
        task=rule.task,
        host=attacker.name,
        victim=victim.address,
        port=port,
        start_s=round(start_s, 3),
        seconds=round(seconds, 3),
        packets=packets,
        sources=sources,
        reflectors=tuple(host.address for host in reflectors),
        settings=settings,
        claims=claims,
        seed=rng.getrandbits(32),
        targets=targets,
    )


def _pair(
    rng: random.Random, scenario: Scenario, rule: AttackRule, hosts: list[Host]
) -> tuple[Host, Host]:
    pairs = [
        (attacker, victim)
        for attacker in hosts
        for victim in hosts
        if attacker.group in rule.sources
        and victim.group in rule.targets
        and attacker is not victim
        and "lan" in {attacker.side, victim.side}
    ]
    if not pairs:
        raise ScenarioError(
            f"{scenario.name}: {rule.task} from {', '.join(rule.sources)} to "
            f"{', '.join(rule.targets)} has no two hosts of which one is on the LAN; add hosts"
        )
    return rng.choice(pairs)


def _sources(
    rng: random.Random,
    task: str,
    settings: dict[str, Any],
    attacker: Host,
    victim: Host,
    spoofable: str,
) -> tuple[str, ...]:
    if reflecting_service(task, settings) is not None:
        return (f"{victim.address}/32",)
    source = settings.get("source", "own")
    if source == "own":
        return (f"{attacker.address}/32",)
    if source == "lan":
        return (spoofable,)
    found = []
    for wide in rng.sample(_SPOOFED_INTERNET, rng.randint(1, 3)):
        network = ipaddress.IPv4Network(wide)
        length = rng.choice((network.prefixlen, 8, 12, 16))
        part = rng.getrandbits(length - network.prefixlen) << (32 - length)
        found.append(str(ipaddress.IPv4Network((int(network.network_address) + part, length))))
    return tuple(found)


def _reflectors(
    scenario: Scenario,
    index: int,
    task: str,
    settings: dict[str, Any],
    pair: tuple[Host, Host],
    hosts: list[Host],
) -> tuple[Host, ...]:
    """The hosts that a reflected attack goes through; SSDP is asked on the LAN only."""
    service = reflecting_service(task, settings)
    if service is None:
        return ()
    found = [host for host in hosts if service in host.services and host not in pair]
    wanted = settings.get("through", "lan")
    near = [host for host in found if (host.side == "wan") == (wanted == "wan")]
    found = (
        [host for host in found if host.side == "lan"] if task == "ssdp_flood" else near or found
    )
    if not found:
        words = settings.get("mode") or settings["protocol"]
        raise ScenarioError(
            f"{scenario.name}: attack {index + 1} ({words}) has no device left to "
            f"reflect it; raise the count of a group with the service {service!r}"
        )
    return tuple(found)


def _targets(
    rule: AttackRule, settings: dict[str, Any], attacker: Host, victim: Host, hosts: list[Host]
) -> tuple[str, ...]:
    """Where a scan goes: to the victim, or to all hosts of the groups behind the gateway."""
    if rule.task != "scan":
        return ()
    others = [
        host.address
        for host in hosts
        if settings["spread"] == "hosts"
        and host.group in rule.targets
        and host not in {attacker, victim}
        and "lan" in {host.side, attacker.side}
    ]
    return (victim.address, *others)
