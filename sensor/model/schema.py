"""The contract between trainer and sensor: what a sequence is and what a task is.

A leaf. The fingerprint is the SHA-256 of the canonical form (RFC 8785) of everything that
decides a feature's value; a sensor recomputes it from what it implements and refuses a bundle
whose fingerprint differs (`docs/semantics.md` 11). Tasks and thresholds are not part of it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from sensor.errors import BundleError


@dataclass(frozen=True)
class Field:
    """One per-packet field of a sequence and how its value is put on the grid.

    A value is ``code / scale`` where code is the rounded `transform` of the clipped raw value, an
    integer; so equal sequences are equal bytes on every machine.

    Attributes:
        revision: raised when the meaning of the field changes.
        unit: unit of the raw value.
        channels: names of the model inputs that the field becomes.
        transform: ``log2p1`` (code = round(steps · log2(1 + raw))), ``sign``, ``bits`` (one channel
            a bit), ``one_hot``, or ``one`` (1 wherever there is a packet).
        clip: largest raw value; larger ones count as this one.
        steps: codes an octave, for ``log2p1``.
        scale: divisor from code to value.
        values: bit masks (``bits``) or values (``one_hot``) of the channels.
        meaning, caveat: for the documentation (`docs/features.md` is made of them), and not part
            of the fingerprint. The caveat is what users of a dataset must know about the field.
    """

    revision: int
    unit: str
    channels: tuple[str, ...]
    transform: Literal["log2p1", "sign", "bits", "one_hot", "one"]
    clip: int
    steps: int
    scale: int
    meaning: str
    values: tuple[int, ...] = ()
    caveat: str = ""


FIELDS: dict[str, Field] = {
    "ip_length": Field(
        1,
        "bytes",
        ("ip_length",),
        "log2p1",
        65_535,
        8,
        128,
        "IP datagram length from the IP header; never the wire length, whose padding gives the "
        "capture away.",
        caveat="A snap length does not change it: the header says it, not what was captured. "
        "Offload does: where the capturing machine joins segments (GRO, LRO) or has not split "
        "them yet (TSO), one packet of up to 65,535 bytes stands for several on the wire, and the "
        "flow has fewer packets; switch offload off before you record (`ethtool -K`). A header "
        "that says 0 is read as the wire length less the link header, padding included. The path "
        "shows too: full packets have 1,500 bytes on Ethernet and 1,492 behind PPPoE.",
    ),
    "payload_length": Field(
        1,
        "bytes",
        ("payload_length",),
        "log2p1",
        65_535,
        8,
        128,
        "Bytes after the transport header.",
        caveat="Counted from the IP header, so it holds for payload that was not captured, and "
        "UDP's own length field is not believed. Retransmitted bytes count again: sequence numbers "
        "are not read. A fragment that is not the first has no transport header, so all its bytes "
        "count. Offload changes it as it does `ip_length`. It survives encryption, which is why "
        "it is worth having; a protocol that pads its records (TLS 1.3 may) blurs it.",
    ),
    "interarrival": Field(
        1,
        "µs",
        ("interarrival",),
        "log2p1",
        60_000_000,
        2,
        64,
        "Time since the flow's previous packet; 0 for its first, never negative.",
        caveat="It belongs to the capture as much as to the traffic: interrupt coalescing, virtual "
        "interfaces and offload move gaps below a millisecond, a capture that was replayed "
        "at another speed has other gaps throughout, and packets out of order have 0. Hence the "
        "coarse grid. It is cut to whole microseconds, so 0 also means less than one. The "
        "first packet of a repeated sequence has the gap to the sequence before, not 0.",
    ),
    "direction": Field(
        1,
        "sign",
        ("direction",),
        "sign",
        1,
        1,
        1,
        "+1 from the flow's owner, −1 to it; 0 is padding.",
        caveat="Under `five_tuple` the owner is who sent the first captured packet (of a SYN-ACK: "
        "who received it). Of a connection that was older than the capture that may be the server: "
        "such rows are marked `midstream`, where the protocol is TCP. A tap or mirror port that "
        "sees one side only never gives −1. As it is 0 for padding alone, it doubles as the mask.",
    ),
    "tcp_flags": Field(
        1,
        "bits",
        ("fin", "syn", "rst", "psh", "ack"),
        "bits",
        255,
        1,
        1,
        "TCP flags FIN, SYN, RST, PSH, ACK; 0 for other protocols.",
        (0x01, 0x02, 0x04, 0x08, 0x10),
        "URG, ECE and CWR are left out: they tell stacks apart, not what these do. No flag at all "
        "is also what UDP, ICMP and fragments after the first have, so read it with `protocol`. A "
        "packet that offload put together has the PSH or FIN of its last part.",
    ),
    "protocol": Field(
        1,
        "IANA number",
        ("tcp", "udp", "icmp"),
        "one_hot",
        255,
        1,
        1,
        "Transport; ICMP and ICMPv6 share a channel, other protocols have none.",
        (6, 17, 1),
        "One value for a flow, repeated at each packet: that of the first one, so it is not "
        "always the packet's own where the key is `host_pair`. GRE, ESP, SCTP and all others "
        "have zeros in all three channels and look alike. What IPv4-in-IP and IPv6-in-IP carry "
        "counts, not the tunnel.",
    ),
    "valid": Field(
        1,
        "bool",
        ("valid",),
        "one",
        1,
        1,
        1,
        "1 for a packet, 0 for padding.",
        caveat="It tells nothing about a packet. It is the bias of a network without bias: all "
        "inputs of padding are 0, so padding leaves the network's state at exactly 0 and a short "
        "row has the same score at each length that holds it. A model trained without it needs a "
        "mask.",
    ),
}
"""Every per-packet field that this version implements."""

CONTEXT_FIELDS: dict[str, Field] = {
    f"{scope}_{window}s": Field(
        1,
        "flows",
        (f"{scope}_{window}s",),
        "log2p1",
        65_535,
        4,
        64,
        f"Flows that began in the last {window} s {what}, this one excluded.",
        caveat=caveat,
    )
    for scope, what, caveat in (
        (
            "srv",
            "to the same responder address, port and protocol",
            (
                "It tells a flood of one service from a scan of many. Devices that all report to "
                "one server raise it without an attack. ICMP has the type's counterpart or the "
                "code for a port."
            ),
        ),
        (
            "src",
            "from the same originator",
            (
                "Behind address translation all devices are one originator. A flood with forged "
                "sources has 0 here, and so has an attack spread over many hosts."
            ),
        ),
        (
            "dst",
            "to the same responder",
            (
                "It counts all ports and protocols of the host, so a server of many services is "
                "never quiet. In a reflection attack it may count the reflector (responder of the "
                "forged requests) or, where only replies pass the sensor, the victim."
            ),
        ),
    )
    for window in (1, 10)
}
"""Context of a flow, taken when it begins (`docs/semantics.md` 9)."""

SENSOR_SIGNATURES = range(1_000, 1_100)
"""EVE signature ids of the sensor's own alerts, which no task of a bundle may take."""

KEYS = ("five_tuple", "service", "source", "host_pair")
POLICIES = ("first", "repeat")
DECODER_REVISION = 2
FLOW_REVISION = 2


@dataclass(frozen=True)
class FeatureSchema:
    """What a sequence is made of; see `docs/semantics.md` 3–8 for each rule.

    Attributes:
        lengths: sequence lengths that the model has a signature for, ascending; the last is n.
        fields: names in `FIELDS`, in channel order.
        context: names in `CONTEXT_FIELDS`, in channel order.
        key: flow key.
        policies: sequence policies that the tasks use between them.
        decide_after_ms: age at which a flow with fewer than n packets is scored as it is.
        idle_timeout_ms: silence after which a flow has ended.
        repeat_min_packets: a partial last repeated sequence is scored from this length.
        repeat_all: repeated sequences below this index are all scored, beyond it those whose
            index is a power of two.
    """

    lengths: tuple[int, ...] = (4, 8, 16)
    fields: tuple[str, ...] = tuple(FIELDS)
    context: tuple[str, ...] = tuple(CONTEXT_FIELDS)
    key: str = "five_tuple"
    policies: tuple[str, ...] = POLICIES
    decide_after_ms: int = 1_000
    idle_timeout_ms: int = 120_000
    repeat_min_packets: int = 4
    repeat_all: int = 64

    @property
    def n(self) -> int:
        """Packets of a full sequence."""
        return self.lengths[-1]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the model's per-packet inputs, in order."""
        return tuple(channel for name in self.fields for channel in FIELDS[name].channels)

    def canonical(self) -> bytes:
        """RFC 8785 form of everything that decides a feature's value (ASCII keys, integers)."""

        def definition(spec: Field) -> dict[str, Any]:
            return {k: v for k, v in asdict(spec).items() if k not in ("meaning", "caveat")}

        document = {
            "decoder_revision": DECODER_REVISION,
            "flow_revision": FLOW_REVISION,
            "padding": "left",
            "dedupe": "off",
            "lengths": self.lengths,
            "key": self.key,
            "policies": self.policies,
            "decide_after_ms": self.decide_after_ms,
            "idle_timeout_ms": self.idle_timeout_ms,
            "repeat_min_packets": self.repeat_min_packets,
            "repeat_all": self.repeat_all,
            "fields": [{"id": name, **definition(FIELDS[name])} for name in self.fields],
            "context": [{"id": name, **definition(CONTEXT_FIELDS[name])} for name in self.context],
        }
        return json.dumps(
            document, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        ).encode()

    def fingerprint(self) -> str:
        """SHA-256 of the canonical form, in hexadecimal."""
        return hashlib.sha256(self.canonical()).hexdigest()

    def to_manifest(self) -> dict[str, Any]:
        """The schema as the manifest stores it, with its fingerprint."""
        document: dict[str, Any] = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
        return {**document, "fingerprint": self.fingerprint()}

    @classmethod
    def from_manifest(cls, document: dict[str, Any], where: str) -> "FeatureSchema":
        """Rebuilds a schema and proves that this sensor implements exactly it.

        Raises:
            BundleError: an entry is missing, unknown or of another type, a field is not
                implemented, or the fingerprint does not come out the same. `where` names the file.
        """
        stated = document.get("fingerprint")
        known = {entry.name: entry for entry in fields(cls)}
        body = {key: value for key, value in document.items() if key != "fingerprint"}
        if unknown := sorted(set(body) ^ set(known)):
            raise BundleError(
                f"{where}: features: entry {unknown[0]!r} is missing or unknown to this version; "
                "use a bundle made by the same version of multa"
            )
        try:
            entries: dict[str, Any] = {
                key: tuple(v) if isinstance(v, list) else v for key, v in body.items()
            }
            schema = cls(**entries)
            foreign = [name for name in schema.fields if name not in FIELDS]
            foreign += [name for name in schema.context if name not in CONTEXT_FIELDS]
            foreign += [schema.key] if schema.key not in KEYS else []
            foreign += [name for name in schema.policies if name not in POLICIES]
            numbers = [*schema.lengths, schema.decide_after_ms, schema.idle_timeout_ms]
            numbers += [schema.repeat_min_packets, schema.repeat_all]
            sane = all(type(number) is int and 0 < number < 2**31 for number in numbers)
            sane = sane and list(schema.lengths) == sorted(set(schema.lengths)) and schema.n <= 255
        except (TypeError, LookupError) as error:
            raise BundleError(
                f"{where}: features are malformed ({error}); use a bundle made by this version"
            ) from None
        if foreign or not sane:
            what = repr(foreign[0]) if foreign else "impossible numbers"
            raise BundleError(
                f"{where}: features use {what}, which this version does not implement; "
                "upgrade multa or use an older bundle"
            )
        if schema.fingerprint() != stated:
            raise BundleError(
                f"{where}: the feature fingerprint is {str(stated)[:16]}…, this version computes "
                f"{schema.fingerprint()[:16]}…; use a bundle made for this version"
            )
        return schema


@dataclass(frozen=True)
class IncidentRule:
    """How a task's positive flows become one incident (`docs/semantics.md` 14).

    Attributes:
        role: whom the incident is about: ``responder``, ``originator``, or ``reflection_victim``
            (the side of the flow that does not own `service_port`: originator of the spoofed
            request, responder of the replies; the responder if neither or both own it).
        service_port: port of the reflecting service, for ``reflection_victim``.
        open_flows: positive flows that open an incident …
        open_seconds: … within this many seconds of packet time.
    """

    role: Literal["responder", "originator", "reflection_victim"]
    open_flows: int
    open_seconds: int
    service_port: int = 0


@dataclass(frozen=True)
class TaskSpec:
    """One task of a bundle. Only binary tasks raise alerts.

    Attributes:
        name: identifier, also the name of the model's output.
        kind: ``binary`` (sigmoid score against a threshold).
        policy: which rows count: ``first`` (sequence index 0 only) or ``repeat`` (all).
        threshold: on the calibrated score; a score at or above it is positive.
        calibration: ``(slope, offset)`` of the logit of the raw score.
        signature_id, signature, category, severity, mitre_technique_id: of the EVE alert.
        incident: how positives are gathered.
    """

    name: str
    policy: Literal["first", "repeat"]
    threshold: float
    signature_id: int
    signature: str
    category: str
    severity: int
    incident: IncidentRule
    mitre_technique_id: tuple[str, ...] = ()
    calibration: tuple[float, float] = (1.0, 0.0)
    kind: Literal["binary"] = "binary"
