"""Scans: nmap, SYNs and datagrams as stateless scanners send them, and plain sockets.

Only `trainer.lab.attacks` calls it, after it has made sure of where it runs.
"""

import contextlib
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from trainer.lab.attack_report import AttackReport
from trainer.lab.catalogue import SERVICES
from trainer.lab.floods import HIGH_PORT, LOW_PORT, next_hop, send_paced
from trainer.lab.frames import STYLES, ethernet, syn, udp
from trainer.lab.network import cables
from trainer.lab.observer import observed
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.programs import run_bounded

_HOSTS_SHARE = 20
"""Of several hosts, each is asked for a twentieth of the ports."""
_KNOWN = (21, 22, 23, 25, 53, 110, 135, 139, 143, 161, 445, 554, 631, 993, 3306, 3389, 5060, 7547)
_METHODS = {
    "syn": ("-sS",),
    "connect": ("-sT",),
    "udp": ("-sU",),
    "version": ("-sV", "--version-light"),
    "ping": ("-sn", "-PE"),
}
_PAYLOADS = {53: b"\0\0\x10\0" + bytes(8), 123: b"\xe3" + bytes(47), 161: b"\x30\x20" + bytes(32)}
_CONNECT_S = 1.0
_OPEN = 200


def ports_of(attack: Attack) -> list[int]:
    """The ports that a scan asks for, in its order: well-known ones, and any others."""
    rng = random.Random(attack.seed + 2)
    wanted = int(attack.settings["ports"])
    if len(attack.targets) > 1:
        wanted = max(1, wanted // _HOSTS_SHARE)
    served = [port for ports, _ in SERVICES.values() for port in ports]
    known = sorted({*_KNOWN, *served})
    chosen = rng.sample(known, min(wanted, len(known)))
    rest = max(0, wanted - len(chosen))
    others = [port for port in rng.sample(range(1, 65_535), rest + len(known)) if port not in known]
    ports = chosen + others[:rest]
    rng.shuffle(ports)
    return ports


def scan(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Scans until all has been asked for, or the time is over."""
    tool = attack.settings["tool"]
    if tool in {"masscan", "zmap"}:
        tuples: set[tuple[int, str, int]] = set()
        send_paced(plan, host, attack, report, _probes(plan, host, attack, tuples))
        report.flows = len(tuples)
        return
    with observed(plan, host, attack, report):
        if tool == "nmap":
            with tempfile.TemporaryDirectory() as folder:
                command = nmap_command(plan, host, attack)
                report.said = run_bounded(command, Path(folder), attack.seconds)
        else:
            _with_sockets(attack)


def nmap_command(plan: Plan, host: Host, attack: Attack) -> list[str]:
    """How nmap is called: no names, no guesses about which hosts are there, one repeat."""
    method = attack.settings["method"]
    command = ["nmap", "-n", "--disable-arp-ping", "--max-retries", "1", "-T4"]
    command += [*_METHODS[method], "--max-rate", f"{attack.settings['rate']:.2f}"]
    command += ["-e", cables(plan)[host.name].far, "--send-ip"]
    if method != "ping":
        command += ["-Pn", "-p", ",".join(map(str, sorted(ports_of(attack))))]
    return [*command, *attack.targets]


def _pairs(attack: Attack) -> list[tuple[str, int]]:
    """Every address and port to be asked; zmap and masscan mix them, as do these."""
    pairs = [(target, port) for port in ports_of(attack) for target in attack.targets]
    if attack.settings["tool"] != "sockets":
        random.Random(attack.seed + 3).shuffle(pairs)
    return pairs


def _probes(
    plan: Plan, host: Host, attack: Attack, tuples: set[tuple[int, str, int]]
) -> Iterator[bytes]:
    rng = random.Random(attack.seed + 1)
    links = {each: ethernet(host.mac, next_hop(plan, host, each)) for each in attack.targets}
    style = STYLES[attack.settings["tool"]]
    own_port = rng.randint(LOW_PORT, HIGH_PORT)
    for target, port in _pairs(attack):
        tuples.add((own_port, target, port))
        source = (host.address, own_port)
        if attack.settings["method"] == "udp":
            payload = _PAYLOADS.get(port, b"")
            packet = udp(rng, style.ttl - host.hops, source, (target, port), payload)
        else:
            packet = syn(rng, style, host.hops, source, (target, port))
        yield links[target] + packet


def _with_sockets(attack: Attack) -> None:
    """Connects (or sends a datagram) to one after the other, at the attack's rate."""
    rng = random.Random(attack.seed + 1)
    start = time.monotonic()
    opened: list[tuple[float, socket.socket]] = []
    kind = socket.SOCK_DGRAM if attack.settings["method"] == "udp" else socket.SOCK_STREAM
    try:
        for number, (target, port) in enumerate(_pairs(attack)):
            due = start + number / attack.settings["rate"] * rng.uniform(0.9, 1.0)
            if due > start + attack.seconds:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            attempt = socket.socket(socket.AF_INET, kind)
            attempt.settimeout(0)
            with contextlib.suppress(OSError):
                attempt.connect((target, port))
                if kind == socket.SOCK_DGRAM:
                    attempt.send(_PAYLOADS.get(port, b"\0"))
            opened.append((time.monotonic() + _CONNECT_S, attempt))
            while opened and (opened[0][0] < time.monotonic() or len(opened) > _OPEN):
                opened.pop(0)[1].close()
        time.sleep(_CONNECT_S)
    finally:
        for _, attempt in opened:
            attempt.close()
