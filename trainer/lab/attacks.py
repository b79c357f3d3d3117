"""The attacks, behind one door that opens only inside the lab and towards its own hosts.

They are bounded in packets and in time, and say afterwards what they have done.
"""

from sensor.errors import HostError
from trainer.lab.attack_report import AttackReport
from trainer.lab.floods import ssdp_flood, syn_dos
from trainer.lab.network import require_lab_namespace
from trainer.lab.plan import Attack, Host, Plan
from trainer.lab.renegotiations import ssl_renegotiation


def run_attack(plan: Plan, host: Host, attack: Attack, report: AttackReport) -> None:
    """Runs an attack from `host`, at once, to its end.

    Raises:
        HostError: outside the lab, or towards an address that is not the lab's; nothing is sent.
    """
    require_lab_namespace()
    for address in (attack.victim, *attack.reflectors):
        if plan.host(address) is None:
            raise HostError(f"{address} is no host of the lab; nothing was sent")
    if attack.task == "syn_dos":
        syn_dos(plan, host, attack, report)
    elif attack.task == "ssdp_flood":
        ssdp_flood(plan, host, attack, report)
    else:
        ssl_renegotiation(attack, report)
