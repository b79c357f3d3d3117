"""Draws attacks, and claims the flows that will be theirs: the labels of the recording."""

import ipaddress
import random
from collections.abc import Mapping
from typing import Any

from sensor.errors import ScenarioError
from trainer.lab.catalogue import SERVICES, TCP_PORTS
from trainer.lab.plan import SSDP_GROUP, SSDP_PORT, Attack, Claim, Host
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
    floods = sum(rule.task != "ssl_renegotiation" for rule in rules)
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
    if settings.get("mode") == "multicast" and attacker.side == "wan":
        settings["mode"] = "reflection"  # the group is not routed
    if settings.get("source") == "lan" and attacker.side == "wan":
        settings["source"] = "internet"
    reflectors: tuple[Host, ...] = ()
    answers = 2.0
    if settings.get("mode") in {"reflection", "multicast"}:
        reflectors = tuple(
            host
            for host in hosts
            if "upnp" in host.services and host.side == "lan" and host not in {attacker, victim}
        )
        if not reflectors:
            raise ScenarioError(
                f"{scenario.name}: attack {index + 1} ({settings['mode']}) has no device left to "
                "reflect it; raise the count of a group with the service 'upnp'"
            )
        each = sum(host.replies for host in reflectors)
        answers = 1 + each / (1 if settings["mode"] == "multicast" else len(reflectors))
        settings["rate"] = min(settings["rate"], _PACKETS_PER_SECOND / answers)
    seconds = min(rule.seconds.draw(rng), duration_s - LEAD_S - TAIL_S)
    packets = int(settings["rate"] * seconds) + 1
    if rule.task != "ssl_renegotiation":
        packets = min(packets, max(1, int(budget / answers)))
        seconds = min(seconds, max(0.2, packets / settings["rate"]))
    latest = duration_s - TAIL_S - seconds
    start_s = min(max(LEAD_S, rule.start.draw(rng) * duration_s), latest)
    sources = _sources(rng, rule.task, settings, attacker, victim, spoofable)
    port = _port(rng, rule.task, settings, victim)
    claims = _claims(rule.task, settings, victim, port, sources, reflectors)
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
    if settings.get("mode") in {"reflection", "multicast"}:
        return (f"{victim.address}/32",)
    source = "own" if task == "ssl_renegotiation" else settings["source"]
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


def _port(rng: random.Random, task: str, settings: dict[str, Any], victim: Host) -> int:
    if task == "ssdp_flood":
        return SSDP_PORT
    if task == "ssl_renegotiation":
        return SERVICES["stunnel"][0][0]
    # The renegotiation server's port is left alone: one flow has one attack.
    names = [name for name in ("mqtt", "web") if name in victim.services]
    ports = [port for name in names for port in TCP_PORTS[name]]
    if settings["port"] == "closed" or not ports:
        settings["port"] = "closed"
        return rng.choice((22, 23, 554, 8080, 7547, rng.randint(10_000, 30_000)))
    return rng.choice(ports)


def _claims(
    task: str,
    settings: dict[str, Any],
    victim: Host,
    port: int,
    sources: tuple[str, ...],
    reflectors: tuple[Host, ...],
) -> tuple[Claim, ...]:
    address = f"{victim.address}/32"
    if task != "ssdp_flood":
        return tuple(Claim(source, "*", address, str(port), "tcp", "1") for source in sources)
    # Closed ports answer datagrams with ICMP: neither the attack nor everyday traffic.
    if reflectors:
        claims = []
        if settings["mode"] == "multicast":
            claims.append(Claim(address, "*", f"{SSDP_GROUP}/32", str(SSDP_PORT), "udp", "1"))
        for host in reflectors:
            claims.append(Claim(address, "*", f"{host.address}/32", str(SSDP_PORT), "udp", "1"))
            if host.replies_from == "ephemeral":
                claims.append(Claim(f"{host.address}/32", "*", address, "*", "udp", "1"))
            claims.append(Claim(address, "*", f"{host.address}/32", "*", "icmp", "unknown"))
        return tuple(claims)
    claims = []
    for source in sources:
        claims.append(Claim(source, "*", address, str(SSDP_PORT), "udp", "1"))
        if settings["mode"] == "search" and victim.replies_from == "ephemeral":
            claims.append(Claim(address, "*", source, "*", "udp", "1"))
        claims.append(Claim(address, "*", source, "*", "icmp", "unknown"))
    return tuple(claims)
