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
from sensor.model.fields import (
    CONTEXT_FIELDS,
    DEFAULT_FIELDS,
    FIELDS,
    LATENCY_FIELDS,
    MEASURED_FIELDS,
    OPTIONAL_FIELDS,
    SEQUENCE_FIELDS,
    Field,
)

SENSOR_SIGNATURES = range(1_000, 1_100)
"""EVE signature ids of the sensor's own alerts, which no task of a bundle may take."""

KEYS = ("five_tuple", "service", "source", "host_pair")
"""What the packets of a flow have in common."""

PEER_LATENCY = "peer_latency"
"""The key of sequences whose steps are no packets: windows of the round-trip times of a peer, of
`sensor.model.fields.LATENCY_FIELDS` and ``valid``, without context."""

POLICIES = ("first", "repeat")
DECODER_REVISION = 2
FLOW_REVISION = 2


@dataclass(frozen=True)
class FeatureSchema:
    """What a sequence is made of; see `docs/semantics.md` 3–8 for each rule.

    Attributes:
        lengths: sequence lengths that the model has a signature for, ascending; the last is n.
        fields: names in `FIELDS` or, for `PEER_LATENCY`, in `LATENCY_FIELDS`, in channel order.
        context: names in `CONTEXT_FIELDS`, in channel order.
        key: flow key, or `PEER_LATENCY`, for which policies, times and repeats mean nothing.
        policies: sequence policies that the tasks use between them.
        decide_after_ms: age at which a flow with fewer than n packets is scored as it is.
        idle_timeout_ms: silence after which a flow has ended.
        repeat_min_packets: a partial last repeated sequence is scored from this length.
        repeat_all: repeated sequences below this index are all scored, beyond it those whose
            index is a power of two.
    """

    lengths: tuple[int, ...] = (4, 8, 16)
    fields: tuple[str, ...] = DEFAULT_FIELDS
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
        return tuple(channel for name in self.fields for channel in SEQUENCE_FIELDS[name].channels)

    @property
    def optional(self) -> tuple[str, ...]:
        """Columns that rows have for what is named here alone."""
        if self.key == PEER_LATENCY:
            return MEASURED_FIELDS
        return tuple(name for name in OPTIONAL_FIELDS if name in self.fields)

    @property
    def decoded(self) -> tuple[str, ...]:
        """Columns of decoded packets (`Headers`) that are asked for to make these rows."""
        if self.key == PEER_LATENCY:
            return ("sequence_numbers", "tcp_timestamps")
        return self.optional

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
            "fields": [{"id": name, **definition(SEQUENCE_FIELDS[name])} for name in self.fields],
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
            measured = schema.key == PEER_LATENCY
            steps, context = (
                ({*LATENCY_FIELDS, "valid"}, ()) if measured else (FIELDS, CONTEXT_FIELDS)
            )
            foreign = [name for name in schema.fields if name not in steps]
            foreign += [name for name in schema.context if name not in context]
            foreign += [schema.key] if schema.key not in (*KEYS, PEER_LATENCY) else []
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
        open_seconds: … within this many seconds of packet time …
        open_rows: … if they have this many positive rows together. For what single rows of benign
            flows show too, and only an attack repeats.
    """

    role: Literal["responder", "originator", "reflection_victim"]
    open_flows: int
    open_seconds: int
    service_port: int = 0
    open_rows: int = 1


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


MEASURED = ("bandwidth", "duration")
"""What of a whole flow the sensor measures itself: bits of IP datagrams a second, and seconds."""


@dataclass(frozen=True)
class AnnotationSpec:
    """A categorical task of a bundle: it says of a flow which class it is, and raises no alert.

    Attributes:
        name: identifier, also the name of the model's output.
        classes: in the order of the output's columns, which are a softmax.
        least_packets: a row with fewer packets is not annotated.
        abstain_below: where the best class has less than this probability, none is named.
        measured: which quantity of the whole flow the classes are ranges of, one of `MEASURED`,
            so that the flow's end tells the true one; empty for what the sensor can't measure.
        edges: of these ranges, ascending; class i is below edge i, and not below edge i − 1.
        policy: which rows count.
        kind: ``categorical``.
    """

    name: str
    classes: tuple[str, ...]
    least_packets: int
    abstain_below: float = 0.0
    measured: str = ""
    edges: tuple[float, ...] = ()
    policy: Literal["first"] = "first"
    kind: Literal["categorical"] = "categorical"
