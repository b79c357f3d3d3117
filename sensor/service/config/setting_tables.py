"""The tables of the configuration: one class each, one field for each key.

A field says its kind, default and meaning, and whether a reload takes it up. From these come the
reader (`sensor.service.config.configuration`), ``multa-sensor config``, the example file and
`docs/configuration.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sensor.service.config.value_tables import Devices, Severities
from sensor.service.config.values import (
    LONGEST_SOCKET_PATH,
    Choice,
    FilePath,
    Flag,
    InterfaceName,
    Kind,
    ListOf,
    Matching,
    ModelChoice,
    Network,
    OutputPath,
    Whole,
)

RELOAD = "reload"
"""SIGHUP takes a change up."""

RESTART = "restart"
"""A change takes a restart."""

FORWARD = "restart of multa-forward"
"""The sensor itself does not look at it."""

SOURCES = ("native", "tshark")
INTERFACES = 64
WORKERS = 64
BUFFER_MIB = (2, 2_048)
LIMIT_MIB = 65_536


def _about(kind: Kind, text: str, takes: str = RELOAD) -> dict[str, Any]:
    return {"kind": kind, "help": text, "takes": takes}


def no_table() -> Mapping[str, Any]:
    """A table without keys."""
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Capture:
    """What is captured."""

    interfaces: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            ListOf(InterfaceName(), INTERFACES),
            "Where to capture: the interfaces of the devices, not of the uplink; `multa-sensor "
            "interfaces` lists them. A run needs one. Several are one stream, in which a packet "
            "that passes two of them (a bridge and its port) counts twice.",
            RESTART,
        ),
    )
    source: str = field(
        default=SOURCES[0],
        metadata=_about(
            Choice(SOURCES),
            "What reads packets; tshark knows more kinds of interfaces (extra `pyshark`).",
            RESTART,
        ),
    )
    buffer_mib: int = field(
        default=0,
        metadata=_about(
            Whole(*BUFFER_MIB, unit="MiB", also=0),
            "Memory for frames that wait to be read. 0 is as much as is usual: 16 MiB, and as much "
            "for each worker.",
            RESTART,
        ),
    )
    workers: int = field(
        default=1,
        metadata=_about(
            Whole(1, WORKERS),
            "Processes that share the frames and decode them, beside the one that detects; 1 is "
            "none beside it. Alerts are the same.",
            RESTART,
        ),
    )
    promiscuous: bool = field(
        default=True,
        metadata=_about(
            Flag(), "Whether frames that are for other stations are looked at too.", RESTART
        ),
    )
    cut_off: bool = field(
        default=False,
        metadata=_about(
            Flag(),
            "Let the kernel drop what comes late in connections (eBPF; takes CAP_BPF, else every "
            "packet is read); only for models that look at first packets alone, which the shipped "
            "one and the counting rule do not.",
            RESTART,
        ),
    )
    tap: Path | None = field(
        default=None,
        metadata=_about(
            FilePath(optional=True, what="path of a socket", most_bytes=LONGEST_SOCKET_PATH),
            "Where a tap hands over the packet sockets that it has opened, so that the sensor "
            "itself needs no capability. Without it the sensor opens them.",
            RESTART,
        ),
    )


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """What is known about the network."""

    home: tuple[IPv4Network | IPv6Network, ...] = field(
        default=(),
        metadata=_about(
            ListOf(Network(), 256),
            "Networks of yours. Alerts then tell whether victims and sources are inside, and which "
            "way an attack goes. Nothing is inside unless it is said here.",
        ),
    )
    leases: tuple[Path, ...] = field(
        default=(),
        metadata=_about(
            ListOf(FilePath(what="path of a file", example='"/var/lib/misc/dnsmasq.leases"'), 16),
            "Files in which a DHCP server keeps its leases (dnsmasq, ISC dhcpd, Kea's CSV); alerts "
            "then name devices as these name themselves.",
        ),
    )
    neighbours: bool = field(
        default=True,
        metadata=_about(
            Flag(),
            "Whether the kernel's list of neighbours (/proc/net/arp) is read, for the MAC "
            "addresses of devices.",
        ),
    )
    devices: Mapping[str, str] = field(
        default_factory=no_table,
        metadata=_about(
            Devices(1_024), "Names of devices by MAC or IP address; they go before those of leases."
        ),
    )


@dataclass(frozen=True, slots=True)
class Models:
    """What detects."""

    active: tuple[str, ...] = field(
        default=("iot-gateway",),
        metadata=_about(
            ListOf(ModelChoice(), 16),
            "Bundles that raise alerts: names of the store or of those that came with the sensor, "
            "or paths of folders.",
        ),
    )
    shadow: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            ListOf(ModelChoice(), 16),
            "Bundles that only score: what they would have raised is compared with the active "
            "ones.",
        ),
    )
    shadow_log: Path | None = field(
        default=Path("/var/lib/multa/shadow.json"),
        metadata=_about(
            FilePath(optional=True, what="path of a file"),
            "The log of what shadow bundles would have raised, as JSON lines like those of alerts; "
            "`multa-sensor models compare` reads it.",
            RESTART,
        ),
    )
    rule: bool = field(
        default=True, metadata=_about(Flag(), "Whether the counting rule runs beside the bundles.")
    )
    store: Path = field(
        default=Path("/var/lib/multa/models"),
        metadata=_about(
            FilePath(what="path of a folder"),
            "The folder into which `multa-sensor models install` puts bundles.",
        ),
    )
    keys: tuple[Path, ...] = field(
        default=(),
        metadata=_about(
            ListOf(FilePath(what="path of a file", example='"/etc/multa/trusted.pem"'), 16),
            "Files of ed25519 public keys (PEM). If there are any, a bundle must be signed by one.",
        ),
    )
    permitted: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            ListOf(
                Matching(
                    "SHA-256 of a manifest (64 hexadecimal digits)",
                    f'"{"0123456789abcdef" * 4}"',
                    re.compile(r"[0-9a-f]{64}"),
                ),
                256,
            ),
            "SHA-256 of manifests. If there are any, no other bundle is used.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Alerts:
    """Where alerts go."""

    output: str = field(
        default="/var/log/multa/alerts.json",
        metadata=_about(OutputPath(), "The log of alerts, as JSON lines.", RESTART),
    )
    limit_mib: int = field(
        default=64,
        metadata=_about(
            Whole(1, LIMIT_MIB, "MiB"),
            "Greatest length of the log; before it would grow longer it becomes FILE.old.",
            RESTART,
        ),
    )
    severity: Mapping[str, int] = field(
        default_factory=no_table,
        metadata=_about(
            Severities(256), "Severities of tasks, 1 (highest) to 3, in place of the bundle's."
        ),
    )


@dataclass(frozen=True, slots=True)
class Flows:
    """Where goes what bundles with categorical tasks say of flows."""

    log: Path | None = field(
        default=Path("/var/log/multa/flows.json"),
        metadata=_about(
            FilePath(optional=True, what="path of a file"),
            "The flow log, as JSON lines; it is made when there is something to say. Without it "
            "such bundles measure themselves all the same.",
            RESTART,
        ),
    )
    limit_mib: int = field(
        default=64,
        metadata=_about(
            Whole(1, LIMIT_MIB, "MiB"),
            "Greatest length of the log; before it would grow longer it becomes FILE.old.",
            RESTART,
        ),
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is kept of the packets behind an alert."""

    directory: Path | None = field(
        default=Path("/var/lib/multa/evidence"),
        metadata=_about(
            FilePath(optional=True, what="path of a folder"),
            "Where the rows of incidents are kept, for `multa-sensor explain`.",
            RESTART,
        ),
    )
    limit_mib: int = field(
        default=64,
        metadata=_about(
            Whole(1, LIMIT_MIB, "MiB"), "Most that they may take; the oldest go first.", RESTART
        ),
    )


@dataclass(frozen=True, slots=True)
class Health:
    """What the sensor tells about itself."""

    status: Path | None = field(
        default=Path("/run/multa/status.json"),
        metadata=_about(
            FilePath(optional=True, what="path of a file"),
            "What `multa-sensor status` and `top` read.",
            RESTART,
        ),
    )
    metrics: Path | None = field(
        default=Path("/run/multa/metrics.prom"),
        metadata=_about(
            FilePath(optional=True, what="path of a file"),
            "Metrics for Prometheus, as a text file of node_exporter.",
            RESTART,
        ),
    )
    interval_s: int = field(
        default=2,
        metadata=_about(
            Whole(1, 3_600, "seconds"),
            "How often the status is written anew; metrics every 10 s.",
            RESTART,
        ),
    )
    silence_s: int = field(
        default=300,
        metadata=_about(
            Whole(1, 604_800, "seconds"),
            "After so long without a packet the sensor is no longer healthy.",
            RESTART,
        ),
    )


_HOST = r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|[A-Za-z0-9_][A-Za-z0-9._-]{0,252})"
_PORT = r"(?P<port>[0-9]{1,5})"


@dataclass(frozen=True, slots=True)
class Forward:
    """Where `multa-sensor forward` sends alerts; the sensor itself opens no network socket."""

    syslog: str = field(
        default="",
        metadata=_about(
            Matching(
                'address of a syslog server (udp://, tcp:// or unix:), or "" for none',
                '"udp://192.168.1.2:514"',
                re.compile(rf"(?:udp|tcp)://{_HOST}(?::{_PORT})?|unix:/[^/?#][^?#]{{0,105}}"),
                optional=True,
            ),
            "A syslog server: `udp://host:514`, `tcp://host:601` or `unix:/dev/log`.",
            FORWARD,
        ),
    )
    mqtt: str = field(
        default="",
        metadata=_about(
            Matching(
                'address of an MQTT broker with a topic (mqtt:// or mqtts://), or "" for none',
                '"mqtts://gateway@broker.example:8883/home/alerts"',
                re.compile(
                    rf"mqtts?://(?:[A-Za-z0-9._~%-]{{1,64}}@)?{_HOST}(?::{_PORT})?/[^\s#+?]{{1,256}}"
                ),
                optional=True,
            ),
            "An MQTT broker and the topic: `mqtt://user@host:1883/topic` or `mqtts://…`. A "
            "password is the variable MULTA_MQTT_PASSWORD or systemd's credential mqtt-password.",
            FORWARD,
        ),
    )
    http: str = field(
        default="",
        metadata=_about(
            Matching(
                'address on this machine with a port, or "" for none',
                '"127.0.0.1:9775"',
                re.compile(rf"(?:127\.0\.0\.1|localhost|\[::1\]):{_PORT}"),
                optional=True,
            ),
            "Where the file of metrics is served at /metrics; on this machine only.",
            FORWARD,
        ),
    )
    state: Path = field(
        default=Path("/var/lib/multa/forward.json"),
        metadata=_about(
            FilePath(what="path of a file"), "Where the forwarder remembers how far it is.", FORWARD
        ),
    )
