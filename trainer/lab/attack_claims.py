"""What an attack needs of the hosts, and the flows that are its own: the labels of a recording."""

import random
from typing import Any

from trainer.lab.catalogue import SERVICES, TCP_PORTS
from trainer.lab.plan import SSDP_GROUP, SSDP_PORT, Claim, Host
from trainer.lab.reflection_protocols import PROTOCOLS

GUESSED = {"ssh": "ssh", "http": "web", "mqtt": "guarded_mqtt"}
"""The service behind each word of brute_force's option `service`."""

_PORTS = {"ssh": 22, "http": 80, "mqtt": 1883}
_METHODS = {"masscan": ("syn", "udp"), "zmap": ("syn", "udp"), "sockets": ("connect", "udp")}
_GUESSERS = {"ssh": ("hydra", "ncrack"), "http": ("hydra", "ncrack", "script"), "mqtt": ("script",)}


def adapt(task: str, settings: dict[str, Any], attacker: Host, victim: Host) -> None:
    """Replaces what these two hosts, or one choice beside another, do not allow."""
    if settings.get("mode") == "multicast" and attacker.side == "wan":
        settings["mode"] = "reflection"  # the group is not routed
    if settings.get("source") == "lan" and attacker.side == "wan":
        settings["source"] = "internet"
    if task == "scan":
        if settings["method"] not in _METHODS.get(settings["tool"], (settings["method"],)):
            settings["tool"] = "nmap"
        if settings["method"] == "ping":
            settings["spread"] = "hosts"
    if task == "brute_force":
        runs = [word for word, service in GUESSED.items() if service in victim.services]
        if settings["service"] not in runs:
            settings["service"] = runs[0]
        if settings["tool"] not in _GUESSERS[settings["service"]]:
            settings["tool"] = _GUESSERS[settings["service"]][0]


def reflecting_service(task: str, settings: dict[str, Any]) -> str | None:
    """The service whose hosts reflect the attack, if it is reflected."""
    if settings.get("mode") in {"reflection", "multicast"}:
        return "upnp"
    return PROTOCOLS[settings["protocol"]].service if task == "udp_reflection" else None


def answers_of(task: str, settings: dict[str, Any], reflectors: tuple[Host, ...]) -> float:
    """Datagrams on the wire for each one that the attacker sends."""
    if task == "udp_reflection":
        return 1 + PROTOCOLS[settings["protocol"]].answers
    if not reflectors:
        return 2.0
    each = sum(host.replies for host in reflectors)
    return 1 + each / (1 if settings["mode"] == "multicast" else len(reflectors))


def port_of(rng: random.Random, task: str, settings: dict[str, Any], victim: Host) -> int:
    """The port that the attack goes to; 0 where there is not one."""
    if task == "ssdp_flood":
        return SSDP_PORT
    if task == "udp_reflection":
        return PROTOCOLS[settings["protocol"]].port
    if task == "ssl_renegotiation":
        return SERVICES["stunnel"][0][0]
    if task in {"scan", "slow_http"}:
        return 80 if task == "slow_http" else 0
    if task == "brute_force":
        return _PORTS[settings["service"]]
    # The renegotiation server's port is left alone: one flow has one attack.
    names = [name for name in ("mqtt", "web") if name in victim.services]
    ports = [port for name in names for port in TCP_PORTS[name]]
    if settings["port"] == "closed" or not ports:
        settings["port"] = "closed"
        return rng.choice((22, 23, 554, 8080, 7547, rng.randint(10_000, 30_000)))
    return rng.choice(ports)


def claims_of(
    task: str,
    settings: dict[str, Any],
    victim: Host,
    port: int,
    sources: tuple[str, ...],
    reflectors: tuple[Host, ...],
    targets: tuple[str, ...],
) -> tuple[Claim, ...]:
    """The tuples of the attack's flows; ``unknown`` for what is neither its nor everyday's."""
    address = f"{victim.address}/32"
    if task == "ssdp_flood":
        return _of_ssdp(settings, victim, sources, reflectors)
    if task == "udp_reflection":
        # Closed ports answer datagrams with ICMP: neither the attack nor everyday traffic.
        return tuple(
            claim
            for host in reflectors
            for claim in (
                Claim(address, "*", f"{host.address}/32", str(port), "udp", "1"),
                Claim(address, "*", f"{host.address}/32", "*", "icmp", "unknown"),
            )
        )
    if task == "scan":
        proto = {"udp": "udp", "ping": "icmp"}.get(settings["method"], "tcp")
        claims = [Claim(sources[0], "*", f"{each}/32", "*", proto, "1") for each in targets]
        if proto == "udp":
            claims += [
                Claim(sources[0], "*", f"{each}/32", "*", "icmp", "unknown") for each in targets
            ]
        return tuple(claims)
    return tuple(Claim(source, "*", address, str(port), "tcp", "1") for source in sources)


def _of_ssdp(
    settings: dict[str, Any], victim: Host, sources: tuple[str, ...], reflectors: tuple[Host, ...]
) -> tuple[Claim, ...]:
    address = f"{victim.address}/32"
    claims = []
    if reflectors:
        if settings["mode"] == "multicast":
            claims.append(Claim(address, "*", f"{SSDP_GROUP}/32", str(SSDP_PORT), "udp", "1"))
        for host in reflectors:
            claims.append(Claim(address, "*", f"{host.address}/32", str(SSDP_PORT), "udp", "1"))
            if host.replies_from == "ephemeral":
                claims.append(Claim(f"{host.address}/32", "*", address, "*", "udp", "1"))
            claims.append(Claim(address, "*", f"{host.address}/32", "*", "icmp", "unknown"))
        return tuple(claims)
    for source in sources:
        claims.append(Claim(source, "*", address, str(SSDP_PORT), "udp", "1"))
        if settings["mode"] == "search" and victim.replies_from == "ephemeral":
            claims.append(Claim(address, "*", source, "*", "udp", "1"))
        claims.append(Claim(address, "*", source, "*", "icmp", "unknown"))
    return tuple(claims)
