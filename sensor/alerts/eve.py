"""Events as lines of Suricata's EVE JSON.

`alert.schema.json` beside this module describes every key; `docs/alerts.md` is made from it. EVE
has a closed top level, so what it has no key for lies under ``alert.metadata.multa``.

A line is a function of the event and the options, with keys in a fixed order. Only `Options.host`
and `Options.wall_clock_ns` bring in anything but the packets; a replay leaves both out, so it
writes the same bytes again.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from sensor.alerts.community_id import address_bytes, community_id
from sensor.alerts.event import (
    DIRECTIONS,
    KINDS,
    ROW_FLAGS,
    FlowEvidence,
    IncidentEvent,
    SeriesEvidence,
    Withheld,
)
from sensor.flows.columns import address_text
from sensor.flows.sequences import CONTEXT_COLUMNS, END_REASONS
from sensor.hops import hop
from sensor.packets.headers import ICMP, ICMPV6, SCTP, TCP, TWO_WAY_TYPES, UDP

GENERATOR_ID = 4200
"""EVE's ``gid``: sets our signature ids apart from those of other sensors."""

WITHHELD_ID = 1001
"""EVE's ``signature_id`` of events that tell of withheld ones; the counting rule has 1000."""

REVISION = 1
"""EVE's ``rev``: raised when the meaning of an alert's keys changes."""

_PROTOCOLS = {ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPV6: "IPv6-ICMP", SCTP: "SCTP"}
"""As Suricata spells them; it writes others as a number of three digits."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- UTC, whose offset EVE writes without a colon


class NamedFlow(Protocol):
    """Who a flow is: a scored row of it, or whatever else has these columns of `SequenceBatch`."""

    @property
    def version(self) -> int:
        """Of IP, 4 or 6."""
        ...

    @property
    def protocol(self) -> int:
        """IANA number of the transport."""
        ...

    @property
    def source_high(self) -> int:
        """High word of the originator's address."""
        ...

    @property
    def source_low(self) -> int:
        """Its low word."""
        ...

    @property
    def source_port(self) -> int:
        """Its port, or type of ICMP."""
        ...

    @property
    def destination_high(self) -> int:
        """High word of the responder's address."""
        ...

    @property
    def destination_low(self) -> int:
        """Its low word."""
        ...

    @property
    def destination_port(self) -> int:
        """Its port, or code of ICMP or counterpart's type."""
        ...

    @property
    def flow_start_ns(self) -> int:
        """Time of the flow's first packet."""
        ...


@dataclass(frozen=True)
class Options:
    """What lines say beside the event.

    Attributes:
        interface: where the packets were captured; empty for a file.
        host: name of this machine; empty in a replay.
        wall_clock_ns: gives the time since 1970, for ``emitted_at``; None in a replay.
        capture: name of the file that they were read from, where lines tell it.
        severity: what the operator says of a task instead of its bundle.
        device: what is known of the device that has an address, ``name`` and ``mac``; None in a
            replay, which may be of another network and another time.
    """

    interface: str = ""
    host: str = ""
    wall_clock_ns: Callable[[], int] | None = None
    capture: str = ""
    severity: Mapping[str, int] = field(default_factory=dict)
    device: Callable[[str], Mapping[str, str]] | None = None


@hop("alerts")
def line(event: IncidentEvent | Withheld, options: Options) -> bytes:
    """The event as one line of ASCII JSON with its newline."""
    text = json.dumps(document(event, options), separators=(",", ":"), allow_nan=False)
    return text.encode("ascii") + b"\n"


def document(event: IncidentEvent | Withheld, options: Options) -> dict[str, Any]:
    """The event as `alert.schema.json` describes it."""
    if isinstance(event, Withheld):
        return _withheld(event, options)
    return _incident(event, options)


def _incident(event: IncidentEvent, options: Options) -> dict[str, Any]:
    task, flow = event.task, event.worst
    address = address_text(*event.address)
    techniques = list(task.mitre_technique_id)
    return {
        **head(event.time_ns, "alert", options),
        **flow_identity(flow),
        "flow": {"start": timestamp(flow.flow_start_ns), **_packets(flow)},
        "alert": {
            "action": "allowed",
            "gid": GENERATOR_ID,
            "signature_id": task.signature_id,
            "rev": REVISION,
            "signature": task.signature,
            "category": task.category,
            "severity": options.severity.get(task.name, task.severity),
            ("source" if event.role == "source" else "target"): {"ip": address},
            "metadata": {
                **({"mitre_technique_id": techniques} if techniques else {}),
                "multa": _multa(event, options, address),
            },
        },
    }


def _packets(flow: FlowEvidence) -> dict[str, int]:
    if isinstance(flow, SeriesEvidence):
        return {}
    return {
        "pkts_toserver": flow.packets_from_originator,
        "pkts_toclient": flow.packets_to_originator,
        "bytes_toserver": flow.bytes_from_originator,
        "bytes_toclient": flow.bytes_to_originator,
    }


def _multa(event: IncidentEvent, options: Options, address: str) -> dict[str, Any]:
    task, flow = event.task, event.worst
    return {
        "alert_id": alert_id(event),
        "event": event.kind,
        **({"reason": event.reason} if event.reason else {}),
        "task": task.name,
        "role": event.role,
        "address": address,
        **_device(options, address),
        **_home(event),
        "score": _score(flow),
        "threshold": task.threshold,
        "flows": event.flows,
        "rows": event.rows,
        "flagged": dict(zip(ROW_FLAGS, event.flagged, strict=True)),
        "first_packet": timestamp(event.first_packet_ns),
        "last_packet": timestamp(event.last_packet_ns),
        **_based_on(flow),
        "sequence_index": flow.sequence_index,
        "end_reason": END_REASONS[flow.end_reason],
        **_context(flow),
        "quality": dict(zip(ROW_FLAGS, flow.flags, strict=True)),
        "sample": [
            {
                "flow_id": flow_id(each),
                **flow_tuple(each),
                "start": timestamp(each.flow_start_ns),
                **_used(each),
                "score": _score(each),
            }
            for each in event.sample
        ],
        "model": {
            "name": event.detector,
            "version": event.version,
            **({"sha256": event.model_sha256} if event.model_sha256 else {}),
        },
        "features": {"fingerprint": event.fingerprint},
        **_emitted(options),
    }


def _used(flow: FlowEvidence) -> dict[str, Any]:
    """What a score is based on, in short."""
    if isinstance(flow, SeriesEvidence):
        return {"kind": flow.kind, "measurements": flow.length}
    return {"packets_used": flow.length}


def _based_on(flow: FlowEvidence) -> dict[str, Any]:
    """The same of the flow shown."""
    if not isinstance(flow, SeriesEvidence):
        return _used(flow)
    return {
        "latency": {
            "peer": address_text(flow.version, flow.destination_high, flow.destination_low),
            **_used(flow),
            "failed": flow.failed,
            "median_ms": flow.median_us / 1_000 if flow.failed < flow.length else None,
            "usual_ms": flow.usual_us / 1_000 if flow.usual_us else None,
            "last_ms": [None if each is None else each / 1_000 for each in flow.last_us],
        }
    }


def _context(flow: FlowEvidence) -> dict[str, Any]:
    if isinstance(flow, SeriesEvidence):
        return {}
    return {"context": dict(zip(CONTEXT_COLUMNS, flow.context, strict=True))}


def _device(options: Options, address: str) -> dict[str, Any]:
    device = options.device(address) if options.device else {}
    return {"device": dict(device)} if device else {}


def _home(event: IncidentEvent) -> dict[str, Any]:
    home = event.home
    if home is None:
        return {}
    return {
        "home": {
            "roles": event.home_roles,
            "peers": [address_text(*peer) for peer in home.peers],
            "flows": dict(zip(DIRECTIONS, home.flows, strict=True)),
        },
        "network": {"direction": home.direction},
    }


def _withheld(event: Withheld, options: Options) -> dict[str, Any]:
    counts = [(each.starts, each.updates, each.ends) for each in event.tasks]
    return {
        **head(event.time_ns, "alert", options),
        "alert": {
            "action": "allowed",
            "gid": GENERATOR_ID,
            "signature_id": WITHHELD_ID,
            "rev": REVISION,
            "signature": "MULTA: alerts withheld, too many at once",
            "category": "Attempted Denial of Service",
            "severity": 2,
            "metadata": {
                "multa": {
                    "event": "withheld",
                    "alerts": sum(map(sum, counts)),
                    "first": timestamp(event.first_ns),
                    "last": timestamp(event.last_ns),
                    "tasks": [
                        {"model": each.detector, "task": each.task}
                        | dict(zip(KINDS, count, strict=True))
                        for each, count in zip(event.tasks, counts, strict=True)
                    ],
                    **_emitted(options),
                }
            },
        },
    }


def head(time_ns: int, event_type: str, options: Options) -> dict[str, Any]:
    """What the line of every event begins with."""
    return {
        "timestamp": timestamp(time_ns),
        "event_type": event_type,
        **({"host": options.host} if options.host else {}),
        **({"in_iface": options.interface} if options.interface else {}),
        **({"pcap_filename": options.capture} if options.capture else {}),
    }


def _emitted(options: Options) -> dict[str, Any]:
    emitted = emitted_at(options)
    return {"emitted_at": emitted} if emitted else {}


def emitted_at(options: Options) -> str:
    """The time by the clock of this machine; empty in a replay."""
    return timestamp(options.wall_clock_ns()) if options.wall_clock_ns else ""


def timestamp(time_ns: int) -> str:
    """EVE's form of a time: UTC in microseconds, rounded down."""
    time = _EPOCH + timedelta(microseconds=time_ns // 1000)
    return f"{time.isoformat(timespec='microseconds')}+0000"  # strftime takes five times as long


def alert_id(event: IncidentEvent) -> str:
    """Name of an incident (`docs/semantics.md` 15); its events share it.

    The counting rule has no network whose SHA-256 enters; its fingerprint covers the rule.
    """
    parts = (
        event.detector,
        event.model_sha256,
        event.task.name,
        address_text(*event.address),
        str(event.first_packet_ns),
        str(event.opened_ns),
        event.fingerprint,
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def flow_id(flow: NamedFlow) -> int:
    """A number for a flow, from its key and start; 53 bits, as JSON readers round longer ones."""
    ends = sorted(
        address_bytes(flow.version, high, low) + port.to_bytes(2, "big")
        for high, low, port in _endpoints(flow)
    )
    start = flow.flow_start_ns.to_bytes(8, "big", signed=True)
    digest = hashlib.sha256(bytes([flow.version, flow.protocol]) + b"".join(ends) + start).digest()
    return int.from_bytes(digest[:8], "big") >> 11


def _endpoints(flow: NamedFlow) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    return (
        (flow.source_high, flow.source_low, flow.source_port),
        (flow.destination_high, flow.destination_low, flow.destination_port),
    )


def flow_identity(flow: NamedFlow) -> dict[str, Any]:
    """What every line about a flow calls it by."""
    return {
        "flow_id": flow_id(flow),
        **flow_tuple(flow),
        "community_id": community_id(flow.version, flow.protocol, *_endpoints(flow)),
    }


def flow_tuple(flow: NamedFlow) -> dict[str, Any]:
    """Ends and transport of a flow by EVE's keys: ports, or type and code of ICMP."""
    source = address_text(flow.version, flow.source_high, flow.source_low)
    destination = address_text(flow.version, flow.destination_high, flow.destination_low)
    protocol = _PROTOCOLS.get(flow.protocol, f"{flow.protocol:03d}")
    if two_way := TWO_WAY_TYPES.get(flow.protocol):
        # The port of the other side is the counterpart's type then; such messages have code 0.
        code = 0 if flow.source_port in two_way else flow.destination_port
        return {
            "src_ip": source,
            "dest_ip": destination,
            "proto": protocol,
            "icmp_type": flow.source_port,
            "icmp_code": code,
        }
    if flow.protocol in (TCP, UDP, SCTP):
        return {
            "src_ip": source,
            "src_port": flow.source_port,
            "dest_ip": destination,
            "dest_port": flow.destination_port,
            "proto": protocol,
        }
    return {"src_ip": source, "dest_ip": destination, "proto": protocol}


def _score(flow: FlowEvidence) -> float:
    return round(flow.score, 4)
