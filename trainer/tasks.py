"""The three tasks of MULTA, section IV, and further ones.

All are known to label files, and networks may be trained and evaluated for them. Which the shipped
bundle has, its recipe says (`trainer/recipes/iot-gateway.toml`).

Thresholds and calibration here are those of an untrained network; `multa-trainer train` chooses
them. The MITRE ATT&CK techniques are those whose descriptions name the attack; categories are those
of Suricata's ``classification.config``.
"""

from collections.abc import Sequence

from sensor.errors import UsageError
from sensor.model.schema import IncidentRule, TaskSpec

_CATEGORY = "Attempted Denial of Service"

TASKS = (
    TaskSpec(
        name="syn_dos",
        policy="first",
        threshold=0.5,
        signature_id=1,
        signature="MULTA syn_dos: TCP SYN flood",
        category=_CATEGORY,
        severity=2,
        incident=IncidentRule("responder", open_flows=20, open_seconds=10),
        mitre_technique_id=("T1499.001",),
    ),
    TaskSpec(
        name="ssdp_flood",
        policy="first",
        threshold=0.5,
        signature_id=2,
        signature="MULTA ssdp_flood: SSDP reflection or flood",
        category=_CATEGORY,
        severity=2,
        incident=IncidentRule(
            "reflection_victim", open_flows=20, open_seconds=10, service_port=1900
        ),
        mitre_technique_id=("T1498.002",),
    ),
    TaskSpec(
        name="ssl_renegotiation",
        policy="repeat",
        threshold=0.5,
        signature_id=3,
        signature="MULTA ssl_renegotiation: TLS renegotiation flood",
        category=_CATEGORY,
        severity=2,
        # Benign clients renegotiate once or twice, which is a window or two of their packets.
        incident=IncidentRule("responder", open_flows=1, open_seconds=10, open_rows=3),
        mitre_technique_id=("T1499.002",),
    ),
)

FURTHER = (
    TaskSpec(
        name="udp_reflection",
        policy="first",
        threshold=0.5,
        signature_id=4,
        signature="MULTA udp_reflection: replies of UDP services that nobody asked for",
        category=_CATEGORY,
        severity=2,
        # Of replies the victim is the responder, whatever protocol reflects them.
        incident=IncidentRule("responder", open_flows=20, open_seconds=10),
        mitre_technique_id=("T1498.002",),
    ),
    TaskSpec(
        name="scan",
        policy="first",
        threshold=0.5,
        signature_id=5,
        signature="MULTA scan: scan of ports or hosts",
        category="Detection of a Network Scan",
        severity=3,
        incident=IncidentRule("originator", open_flows=20, open_seconds=10),
        mitre_technique_id=("T1046",),
    ),
    TaskSpec(
        name="brute_force",
        policy="first",
        threshold=0.5,
        signature_id=6,
        signature="MULTA brute_force: passwords are being guessed",
        category="Attempted User Privilege Gain",
        severity=2,
        incident=IncidentRule("responder", open_flows=10, open_seconds=60),
        mitre_technique_id=("T1110",),
    ),
    TaskSpec(
        name="slow_http",
        policy="repeat",
        threshold=0.5,
        signature_id=7,
        signature="MULTA slow_http: connections held open by slow requests",
        category=_CATEGORY,
        severity=2,
        incident=IncidentRule("responder", open_flows=10, open_seconds=60),
        mitre_technique_id=("T1499.002",),
    ),
    TaskSpec(
        name="malware_cc",
        policy="repeat",
        threshold=0.5,
        signature_id=8,
        signature="MULTA malware_cc: malware talks to those who command it",
        category="Malware Command and Control Activity Detected",
        severity=1,
        # The originator is the infected host. One that calls home does so again and again.
        incident=IncidentRule("originator", open_flows=5, open_seconds=600),
        mitre_technique_id=("T1071",),
    ),
    TaskSpec(
        name="dns_tunnel",
        policy="repeat",
        threshold=0.5,
        signature_id=9,
        signature="MULTA dns_tunnel: data in DNS queries, over HTTPS or plain",
        category="Potentially Bad Traffic",
        severity=2,
        # A tunnel is one connection with many windows.
        incident=IncidentRule("originator", open_flows=1, open_seconds=60, open_rows=3),
        mitre_technique_id=("T1071.004", "T1572"),
    ),
)

NAMES = tuple(task.name for task in TASKS)
"""The three of MULTA."""

KNOWN = tuple(task.name for task in (*TASKS, *FURTHER))
"""All names that a label file may use."""

PLAYED = KNOWN[:7]
"""Those that the lab plays and labels; of others, its recordings hold none."""


def chosen(names: Sequence[str]) -> tuple[TaskSpec, ...]:
    """The named tasks, in the given order.

    Raises:
        UsageError: there is no such task.
    """
    known = dict(zip(KNOWN, (*TASKS, *FURTHER), strict=True))
    for name in names:
        if name not in known:
            raise UsageError(f"unknown task {name!r}; known are {', '.join(KNOWN)}")
    return tuple(known[name] for name in names)
