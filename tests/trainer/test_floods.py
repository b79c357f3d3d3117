"""Floods: their pace, their tuples and what their frames say."""

import dataclasses
import ipaddress
import itertools
import random

import dpkt
import pytest

from trainer.lab.floods import (
    _datagrams,
    _requests,
    _syns,
    hping3_command,
    next_hop,
    pace,
)
from trainer.lab.network import ISP_MAC
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def scene(task: str, **settings: object) -> tuple[Plan, Host, Attack]:
    plan = make_plan(read_scenario("demo"), 7, 30)
    attack = next(attack for attack in plan.attacks if attack.task == task)
    host = next(host for host in plan.hosts if host.name == attack.host)
    return plan, host, dataclasses.replace(attack, settings=attack.settings | settings)


@pytest.mark.parametrize("kind", ["even", "random", "bursts"])
def test_every_pace_keeps_its_rate_and_its_order(kind: str) -> None:
    times = list(itertools.islice(pace(kind, 100, random.Random(5)), 20_000))
    assert times[0] == 0
    assert times == sorted(times)
    assert 20_000 / times[-1] == pytest.approx(100, rel=0.05)


def test_paces_differ_in_their_gaps() -> None:
    gaps = {}
    for kind in ("even", "random", "bursts"):
        times = list(itertools.islice(pace(kind, 100, random.Random(5)), 1000))
        gaps[kind] = [b - a for a, b in itertools.pairwise(times)]
    assert max(gaps["even"]) == pytest.approx(min(gaps["even"]))
    assert max(gaps["random"]) > 3 * min(gaps["random"]) > 0
    assert gaps["bursts"].count(0) > 900


@pytest.mark.parametrize("style", ["bare", "linux"])
def test_syns_come_from_the_claimed_prefixes_and_low_ports(style: str) -> None:
    plan, host, attack = scene("syn_dos", style=style)
    attack = dataclasses.replace(attack, sources=("40.0.0.0/8", "130.1.0.0/16"))
    tuples: set[tuple[str, int]] = set()
    ports = []
    for frame in itertools.islice(_syns(plan, host, attack, tuples), 500):
        packet = dpkt.ethernet.Ethernet(frame).data
        source = ipaddress.ip_address(packet.src)
        assert any(source in ipaddress.ip_network(prefix) for prefix in attack.sources)
        assert str(ipaddress.ip_address(packet.dst)) == attack.victim
        assert packet.data.dport == attack.port
        assert 1024 <= packet.data.sport < 32_768
        assert (str(source), packet.data.sport) in tuples
        ports.append(packet.data.sport)
    steps = {(b - a) % 31_744 for a, b in itertools.pairwise(ports)}
    assert (steps == {1}) is (style == "bare")  # hping3 counts up


def test_how_hping3_is_called() -> None:
    plan, host, attack = scene("syn_dos", rate=250)
    attack = dataclasses.replace(attack, sources=("40.0.0.0/8",), packets=77)
    command = hping3_command(plan, host, attack)
    assert command[0] == "hping3"
    assert command[-1] == attack.victim
    after = dict(itertools.pairwise(command))
    assert (after["-i"], after["-c"], after["-p"]) == ("u4000", "77", str(attack.port))
    assert ipaddress.ip_address(after["-a"]) in ipaddress.ip_network("40.0.0.0/8")
    assert int(after["-s"]) + 77 < 32_768
    assert after["-t"] == str(host.ttl)


def test_reflected_searches_go_to_devices_in_the_victim_s_name() -> None:
    plan, host, attack = scene("ssdp_flood", mode="reflection", ports="many")
    tuples: set[tuple[str, int, str]] = set()
    seen = set()
    for frame in itertools.islice(_datagrams(plan, host, attack, tuples), 300):
        ethernet = dpkt.ethernet.Ethernet(frame)
        packet = ethernet.data
        target = str(ipaddress.ip_address(packet.dst))
        assert str(ipaddress.ip_address(packet.src)) == attack.victim
        assert packet.data.data.startswith(b"M-SEARCH")
        assert ethernet.dst.hex(":") == plan.host(target).mac  # type: ignore[union-attr]
        seen.add(target)
    assert seen == set(attack.reflectors)


def test_a_multicast_search_has_the_group_s_ethernet_address() -> None:
    plan, host, attack = scene("ssdp_flood", mode="multicast", ports="one")
    frame = next(_datagrams(plan, host, attack, set()))
    # 01-00-5E and the low 23 bits of 239.255.255.250.
    assert frame[:6].hex(":") == "01:00:5e:7f:ff:fa"


@pytest.mark.parametrize(
    ("mode", "first"),
    [("search", b"M-SEARCH"), ("notify", b"NOTIFY"), ("response", b"HTTP/1.1 200")],
)
def test_direct_floods(mode: str, first: bytes) -> None:
    plan, host, attack = scene("ssdp_flood", mode=mode, ports="one")
    frames = list(itertools.islice(_datagrams(plan, host, attack, set()), 50))
    packets = [dpkt.ethernet.Ethernet(frame).data for frame in frames]
    assert {str(ipaddress.ip_address(packet.dst)) for packet in packets} == {attack.victim}
    assert len({packet.data.sport for packet in packets}) == 1
    assert all(packet.data.data.startswith(first) for packet in packets)


def test_reflected_requests_go_to_the_servers_in_the_victim_s_name() -> None:
    plan = make_plan(read_scenario("assault"), 1, 60)
    attack = next(attack for attack in plan.attacks if attack.task == "udp_reflection")
    host = next(host for host in plan.hosts if host.name == attack.host)
    tuples: set[tuple[int, str]] = set()
    for frame in itertools.islice(_requests(plan, host, attack, tuples), 100):
        packet = dpkt.ethernet.Ethernet(frame).data
        assert str(ipaddress.ip_address(packet.src)) == attack.victim
        assert packet.data.dport == attack.port
        assert (packet.data.sport, str(ipaddress.ip_address(packet.dst))) in tuples
    assert {target for _, target in tuples} == set(attack.reflectors)
    assert host.address not in attack.reflectors


def test_the_next_hop() -> None:
    plan, _, _ = scene("syn_dos")
    lan = [host for host in plan.hosts if host.side == "lan"]
    wan = next(host for host in plan.hosts if host.side == "wan")
    assert next_hop(plan, lan[0], lan[1].address) == lan[1].mac
    assert next_hop(plan, lan[0], wan.address) == plan.gateway.mac
    assert next_hop(plan, wan, lan[0].address) == ISP_MAC
