"""Which flows are an attack's, worked out by hand."""

from pathlib import Path

import pytest

from trainer.lab.attack_claims import adapt
from trainer.lab.plan import Attack, Claim, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario

HOSTS = """
[network]
gateway_services = "dns"
[[hosts]]
name = "box"
stacks = "linux"
services = ["web", "ssh", "snmp"]
[[hosts]]
name = "other"
count = 2
stacks = "linux"
services = ["guarded_mqtt", "snmp"]
[[hosts]]
name = "thief"
side = "SIDE"
stacks = "linux"
[[hosts]]
name = "far"
side = "wan"
count = 2
stacks = "linux"
services = "snmp"
[[attacks]]
from = "thief"
"""


def drawn(folder: Path, more: str, side: str = "lan") -> tuple[Plan, Attack, str]:
    (folder / "x.toml").write_text(HOSTS.replace("SIDE", side) + more)
    plan = make_plan(read_scenario(str(folder / "x.toml")), 4, 30)
    thief = next(host.address for host in plan.hosts if host.name == "thief-0")
    return plan, plan.attacks[0], f"{thief}/32"


@pytest.mark.parametrize(
    ("method", "proto"),
    [("syn", "tcp"), ("connect", "tcp"), ("version", "tcp"), ("udp", "udp"), ("ping", "icmp")],
)
def test_a_scan_owns_what_passes_between_scanner_and_scanned(
    method: str, proto: str, tmp_path: Path
) -> None:
    text = f'task = "scan"\nto = ["box", "other"]\nspread = "hosts"\nmethod = "{method}"\n'
    plan, attack, thief = drawn(tmp_path, text)
    scanned = {host.address for host in plan.hosts if host.group in {"box", "other"}}
    assert set(attack.targets) == scanned
    assert attack.targets[0] == attack.victim
    expected = {Claim(thief, "*", f"{each}/32", "*", proto, "1") for each in scanned}
    if method == "udp":
        expected |= {Claim(thief, "*", f"{each}/32", "*", "icmp", "unknown") for each in scanned}
    assert set(attack.claims) == expected


def test_a_scan_from_outside_reaches_only_what_the_gateway_sees(tmp_path: Path) -> None:
    text = 'task = "scan"\nto = ["box", "other", "far"]\nspread = "hosts"\nmethod = "syn"\n'
    plan, attack, _ = drawn(tmp_path, text, "wan")
    sides = {host.side for host in plan.hosts if host.address in attack.targets}
    assert sides == {"lan"}
    assert len(attack.targets) == 3


@pytest.mark.parametrize(
    ("service", "victim", "port"),
    [("ssh", "box", "22"), ("http", "box", "80"), ("mqtt", "other", "1883")],
)
def test_guesses_and_slow_requests_own_connections_to_one_port(
    service: str, victim: str, port: str, tmp_path: Path
) -> None:
    text = f'task = "brute_force"\nservice = "{service}"\nto = "{victim}"\n'
    _, attack, thief = drawn(tmp_path, text)
    assert attack.claims == (Claim(thief, "*", f"{attack.victim}/32", port, "tcp", "1"),)


def test_what_the_victim_does_not_run_is_replaced(tmp_path: Path) -> None:
    text = 'task = "brute_force"\nservice = "ssh"\ntool = "ncrack"\nto = "other"\n'
    _, attack, _ = drawn(tmp_path, text)
    assert (attack.settings["service"], attack.settings["tool"]) == ("mqtt", "script")


def test_tools_that_can_not_do_it_are_replaced(tmp_path: Path) -> None:
    plan, _, _ = drawn(tmp_path, 'task = "scan"\nto = "box"\n')
    for tool, method, expected in (
        ("zmap", "connect", "nmap"),
        ("masscan", "udp", "masscan"),
        ("sockets", "ping", "nmap"),
        ("nmap", "version", "nmap"),
    ):
        settings = {"tool": tool, "method": method, "spread": "ports"}
        adapt("scan", settings, plan.hosts[1], plan.hosts[2])
        assert settings["tool"] == expected
        assert settings["spread"] == ("hosts" if method == "ping" else "ports")


@pytest.mark.parametrize(("through", "sides"), [("lan", {"lan"}), ("wan", {"wan"})])
def test_a_reflection_owns_requests_in_the_victim_s_name(
    through: str, sides: set[str], tmp_path: Path
) -> None:
    text = f'task = "udp_reflection"\nprotocol = "snmp"\nthrough = "{through}"\nto = "box"\n'
    plan, attack, _ = drawn(tmp_path, text)
    victim = f"{attack.victim}/32"
    hosts = [plan.host(address) for address in attack.reflectors]
    assert {host.side for host in hosts if host} == sides
    assert attack.sources == (victim,)
    assert set(attack.claims) == {
        claim
        for address in attack.reflectors
        for claim in (
            Claim(victim, "*", f"{address}/32", "161", "udp", "1"),
            Claim(victim, "*", f"{address}/32", "*", "icmp", "unknown"),
        )
    }


def test_what_is_reflected_keeps_to_the_packets_that_a_second_may_have(tmp_path: Path) -> None:
    """Up to 10 answers for each question to an old time server."""
    text = 'task = "udp_reflection"\nprotocol = "monlist"\nrate = 5000\nto = "box"\n'
    (tmp_path / "x.toml").write_text(
        HOSTS.replace("SIDE", "lan").replace('"guarded_mqtt"', '"monlist"') + text
    )
    attack = make_plan(read_scenario(str(tmp_path / "x.toml")), 4, 30).attacks[0]
    assert attack.settings["rate"] == pytest.approx(5000 / 11)
