"""Makes a plan out of a scenario: the seed makes every choice that the scenario leaves open.

Pure: the same scenario, seed and duration give the same plan on every machine, without a network.
Addresses, subnets, MACs, stacks, delays, rates and timings are all drawn here.

Addresses are laid out so that labels by tuple can be right. Hosts of the LAN live in the lower
half of its prefix; spoofed LAN sources come from the upper half, which nobody owns. WAN hosts live
in 16.0.0.0/4; spoofed internet sources come from prefixes outside it. None of these packets leaves
the namespaces.
"""

import ipaddress
import random

from sensor.errors import ScenarioError
from trainer.lab.attack_planning import draw_attacks, draw_settings
from trainer.lab.catalogue import ACTIVITIES
from trainer.lab.plan import Activity, Host, Plan
from trainer.lab.scenario import HostGroup, Scenario

MIN_DURATION_S = 3
MAX_DURATION_S = 3600


def make_plan(scenario: Scenario, seed: int, duration_s: float) -> Plan:
    """Draws a plan.

    Raises:
        ScenarioError: the scenario can't be played with these hosts or in this time.
    """
    if not MIN_DURATION_S <= duration_s <= MAX_DURATION_S:
        raise ScenarioError(
            f"duration: a recording takes from {MIN_DURATION_S} to {MAX_DURATION_S} seconds, "
            f"not {duration_s:g}"
        )
    rng = random.Random(seed)
    lan = _lan(rng)
    lower, upper = lan.subnets(new_prefix=lan.prefixlen + 1)
    free = [str(address) for address in lower.hosts()]
    router = free.pop(0)
    rng.shuffle(free)
    uplink = f"100.{rng.randint(64, 127)}.{rng.randint(0, 255)}"
    hosts = [_gateway(rng, scenario, router)]
    taken: set[str] = set()
    for group in scenario.groups:
        for number in range(int(group.count.draw(rng))):
            address = free.pop() if group.side == "lan" else _internet(rng, taken)
            hosts.append(_host(rng, scenario, group, number, address))
    activities = tuple(_activities(rng, scenario, hosts, duration_s))
    attacks = tuple(draw_attacks(rng, scenario, hosts, str(upper), duration_s))
    return Plan(
        scenario=scenario.name,
        seed=seed,
        duration_s=duration_s,
        lan=str(lan),
        spoofable=str(upper),
        nowhere=_internet(rng, taken),
        isp=f"{uplink}.1",
        uplink=f"{uplink}.2",
        hosts=tuple(hosts),
        activities=activities,
        attacks=attacks,
    )


def _lan(rng: random.Random) -> ipaddress.IPv4Network:
    kind = rng.randrange(3)
    if kind == 0:
        return ipaddress.IPv4Network(f"192.168.{rng.randint(0, 255)}.0/24")
    if kind == 1:
        return ipaddress.IPv4Network(f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.0/24")
    return ipaddress.IPv4Network(f"172.{rng.randint(16, 31)}.{rng.randint(0, 255)}.0/24")


def _internet(rng: random.Random, taken: set[str]) -> str:
    while True:
        address = str(ipaddress.IPv4Address((1 << 28) + rng.getrandbits(28)))
        if address not in taken and not address.endswith((".0", ".255")):
            taken.add(address)
            return address


def _mac(rng: random.Random) -> str:
    """A locally administered unicast address (IEEE 802: bit 1 of the first byte set, bit 0 not)."""
    return ":".join(f"{byte:02x}" for byte in (2, *rng.randbytes(5)))


def _gateway(rng: random.Random, scenario: Scenario, address: str) -> Host:
    services = scenario.gateway_services
    return Host(
        "gateway", "gateway", "gateway", address, _mac(rng), "linux", 0, 0, 0, 0, services, "ec",
        0, "service",
    )  # fmt: skip


def _host(
    rng: random.Random, scenario: Scenario, group: HostGroup, number: int, address: str
) -> Host:
    delay_ms = float(scenario.network[f"{group.side}_delay_ms"].draw(rng))
    return Host(
        name=f"{group.name}-{number}",
        group=group.name,
        side=group.side,
        address=address,
        mac=_mac(rng),
        stack_name=group.stacks.draw(rng),
        hops=rng.randint(4, 14) if group.side == "wan" else 0,
        delay_ms=round(delay_ms, 3),
        jitter_ms=round(delay_ms * rng.uniform(0.05, 0.5), 3),
        loss=round(float(scenario.network["loss"].draw(rng)), 5),
        services=group.services,
        key=rng.choice(("rsa", "rsa", "ec")),
        replies=rng.randint(4, 10),
        replies_from=rng.choice(("service", "service", "ephemeral")),
        rate_kbit=round(float(scenario.network[f"{group.side}_rate_kbit"].draw(rng)), 1),
        loss_burst=round(float(scenario.network["loss_burst"].draw(rng)), 2),
    )


def _activities(
    rng: random.Random, scenario: Scenario, hosts: list[Host], duration_s: float
) -> list[Activity]:
    found = []
    for rule in scenario.benign:
        service = ACTIVITIES[rule.activity].service
        for host in hosts:
            if host.group not in rule.sources:
                continue
            targets = tuple(
                other.address
                for other in hosts
                if other is not host
                and (service is None or service in other.services)
                and (not rule.targets or other.group in rule.targets)
                # Traffic between WAN hosts does not pass the gateway.
                and (host.side == "lan" or other.side != "wan")
            )
            settings = draw_settings(rng, rule.settings)
            first_s = rng.uniform(0, min(settings["every_s"], duration_s / 2))
            if targets:
                seed = rng.getrandbits(32)
                found.append(Activity(host.name, rule.activity, targets, first_s, settings, seed))
    return found
