"""The attacks, behind one door that opens only inside the lab and towards its own hosts.

They are bounded in packets and in time, and say afterwards what they have done.
"""

from collections.abc import Callable
from typing import TypeAlias

from sensor.errors import HostError
from trainer.lab.attack_report import AttackReport
from trainer.lab.floods import ssdp_flood, syn_dos, udp_reflection
from trainer.lab.guesses import brute_force
from trainer.lab.network import require_lab_namespace
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.renegotiations import ssl_renegotiation
from trainer.lab.scans import scan
from trainer.lab.slow_http import slow_http


def round_trip_s(plan: Plan, host: Host, address: str) -> float:
    """The longest round trip between a host and an address, without queues."""
    ends = [host, *(other for other in plan.hosts if other.address == address)]
    return 2 * sum(end.delay_ms + end.jitter_ms for end in ends) / 1000


Performer: TypeAlias = Callable[[Plan, Host, Attack, AttackReport], None]

PERFORMERS: dict[str, Performer] = {
    "syn_dos": syn_dos,
    "ssdp_flood": ssdp_flood,
    "ssl_renegotiation": lambda plan, host, attack, report: ssl_renegotiation(
        attack, report, round_trip_s(plan, host, attack.victim)
    ),
    "scan": scan,
    "brute_force": brute_force,
    "slow_http": slow_http,
    "udp_reflection": udp_reflection,
}
"""The function of every attack."""

WATCHED = ("scan", "brute_force", "slow_http")
"""Attacks whose packets are counted by `trainer.lab.observer`."""


def run_attack(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Runs an attack from `host`, at once, to its end.

    Raises:
        HostError: outside the lab, or towards an address that is not the lab's; nothing is sent.
    """
    require_lab_namespace()
    for address in (attack.victim, *attack.reflectors, *attack.targets):
        if plan.host(address) is None:
            raise HostError(f"{address} is no host of the lab; nothing was sent")
    PERFORMERS[attack.task](plan, host, attack, report)
