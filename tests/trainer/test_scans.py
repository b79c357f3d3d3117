"""Scans: what is asked for, in which order, and how the tools are called."""

import dataclasses
import ipaddress
import itertools
import socket

import dpkt
import pytest

from trainer.lab import scans
from trainer.lab.frames import STYLES
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def scene(**settings: object) -> tuple[Plan, Host, Attack]:
    plan = make_plan(read_scenario("assault"), 3, 60)
    attack = next(attack for attack in plan.attacks if attack.task == "scan")
    attack = dataclasses.replace(
        attack, settings=attack.settings | settings, targets=(attack.victim,)
    )
    return plan, next(host for host in plan.hosts if host.name == attack.host), attack


@pytest.mark.parametrize("count", [1, 20, 500, 2000])
def test_as_many_ports_as_are_wanted_each_once(count: int) -> None:
    _, _, attack = scene(ports=count)
    ports = scans.ports_of(attack)
    assert len(set(ports)) == len(ports) == count
    assert 0 < min(ports) <= max(ports) < 65_536
    assert ports == scans.ports_of(attack)


def test_of_several_hosts_each_is_asked_for_a_twentieth() -> None:
    _, _, attack = scene(ports=100)
    attack = dataclasses.replace(attack, targets=("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    assert len(scans.ports_of(attack)) == 5
    pairs = scans._pairs(attack)
    assert sorted(pairs) == sorted(itertools.product(attack.targets, scans.ports_of(attack)))


@pytest.mark.parametrize("tool", ["masscan", "zmap"])
@pytest.mark.parametrize("method", ["syn", "udp"])
def test_probes_of_stateless_scanners(tool: str, method: str) -> None:
    plan, host, attack = scene(tool=tool, method=method, ports=50)
    tuples: set[tuple[int, str, int]] = set()
    packets = [
        dpkt.ethernet.Ethernet(frame).data for frame in scans._probes(plan, host, attack, tuples)
    ]
    assert len(packets) == len(tuples) == 50
    assert {packet.p for packet in packets} == {6 if method == "syn" else 17}
    assert {str(ipaddress.ip_address(packet.src)) for packet in packets} == {host.address}
    assert {packet.data.dport for packet in packets} == set(scans.ports_of(attack))
    assert {packet.ttl for packet in packets} == {STYLES[tool].ttl - host.hops}
    assert len({packet.data.sport for packet in packets}) == 1


@pytest.mark.parametrize(
    ("method", "flag"),
    [("syn", "-sS"), ("connect", "-sT"), ("udp", "-sU"), ("version", "-sV"), ("ping", "-sn")],
)
def test_how_nmap_is_called(method: str, flag: str) -> None:
    plan, host, attack = scene(tool="nmap", method=method, ports=3, rate=12.5)
    command = scans.nmap_command(plan, host, attack)
    assert command[0] == "nmap"
    assert flag in command
    assert command[command.index("--max-rate") + 1] == "12.50"
    assert command[-1] == attack.victim
    assert ("-p" in command) is (method != "ping")


def test_sockets_connect_to_every_port() -> None:
    """Real sockets on the loopback: one port listens, one does not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        _, _, attack = scene(tool="sockets", method="connect", rate=1000)
        attack = dataclasses.replace(attack, targets=("127.0.0.1",), seconds=5)
        pairs = [("127.0.0.1", port), ("127.0.0.1", 9)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scans, "_pairs", lambda _: pairs)
            patch.setattr(scans, "_CONNECT_S", 0.01)
            scans._with_sockets(attack)
        server.settimeout(5)
        server.accept()[0].close()
