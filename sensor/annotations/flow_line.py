"""Flow events as lines of Suricata's EVE JSON.

`flow.schema.json` beside this module describes every key; the tables of `docs/annotations.md` are
made from it. EVE's ``flow`` is closed, so what it has no key for lies in ``metadata.flowvars``, as
pairs of key and value.

As of alerts (`sensor.alerts.eve`), a line is a function of the event and the options.
"""

import json
from typing import Any

from sensor.alerts.eve import Options, emitted_at, flow_identity, head, timestamp
from sensor.annotations.annotator import WHYS
from sensor.annotations.flow_event import END, FlowEvent, Said
from sensor.annotations.predictions import ABSTAINED, NOT_COUNTED
from sensor.annotations.tally import UNKNOWN
from sensor.flows.ends import LEAST_NS
from sensor.flows.sequences import END_REASONS
from sensor.hops import hop
from sensor.model.schema import AnnotationSpec

_REASONS = {"closed": "timeout", "idle": "timeout", "evicted": "forced"}
"""As Suricata spells them (output-json-flow.c): what closed or fell silent has timed out, what had
to make room was forced."""

_ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@hop("annotate")
def flow_line(said: Said, event: FlowEvent, options: Options) -> bytes:
    """The event as one line of ASCII JSON with its newline."""
    return _ENCODE(flow_document(said, event, options)).encode("ascii") + b"\n"


def flow_document(said: Said, event: FlowEvent, options: Options) -> dict[str, Any]:
    """The event as `flow.schema.json` describes it.

    Args:
        said: the detector that says it.
        event: what it says.
        options: what lines say beside that.
    """
    values = {
        "multa.event": "end" if event.kind == END else "prediction",
        "multa.model": said.name,
        "multa.version": said.version,
        "multa.packets": str(event.used),
    }
    for place, annotation in enumerate(said.annotations):
        if event.told[place] != NOT_COUNTED:
            values |= _task(annotation, event, place)
    if emitted := emitted_at(options):
        values["multa.emitted_at"] = emitted
    return {
        **head(event.time_ns, "flow", options),
        **flow_identity(event),
        "flow": _flow(event),
        "metadata": {
            "flowvars": [{"key": key, "value": value} for key, value in values.items()],
        },
    }


def _flow(event: FlowEvent) -> dict[str, Any]:
    reason = END_REASONS[event.end_reason]
    state = "established" if all(event.packets) else "new"
    counts = {
        "pkts_toserver": event.packets[0],
        "pkts_toclient": event.packets[1],
        "bytes_toserver": event.octets[0],
        "bytes_toclient": event.octets[1],
        "start": timestamp(event.flow_start_ns),
    }
    if event.kind != END:
        return {**counts, "state": state}
    return {
        **counts,
        "end": timestamp(event.last_ns),
        "age": event.duration_ns // 10**9,
        "state": "closed" if reason == "closed" else state,
        "reason": _REASONS[reason],
    }


def _task(annotation: AnnotationSpec, event: FlowEvent, place: int) -> dict[str, str]:
    name, told = annotation.name, event.told[place]
    said = {f"{name}.confidence": f"{event.confidence[place]:.4f}"}
    if told == ABSTAINED:
        said = {f"{name}.abstained": "true", **said}
    else:
        said = {f"{name}.class": annotation.classes[told], **said}
    if event.kind != END or not annotation.measured:
        return said
    true = event.true[place]
    if true == UNKNOWN:
        return {**said, f"{name}.unknown": WHYS[event.why]}
    return {
        **said,
        f"{name}.true": annotation.classes[true],
        f"{name}.measured": _measured(annotation, event),
    }


def _measured(annotation: AnnotationSpec, event: FlowEvent) -> str:
    """Bits a second with 3 decimals, or seconds with 9."""
    if annotation.measured == "bandwidth":
        return f"{8e9 * sum(event.octets) / max(event.duration_ns, LEAST_NS):.3f}"
    return f"{event.duration_ns / 1e9:.9f}"
