"""What a manifest says about tasks: entries in, specifications out, or what is wrong with one."""

import re
from dataclasses import fields
from typing import Any

from sensor.errors import BundleError
from sensor.model.schema import (
    MEASURED,
    PEER_LATENCY,
    POLICIES,
    SENSOR_SIGNATURES,
    AnnotationSpec,
    FeatureSchema,
    IncidentRule,
    TaskSpec,
)

MOST_CLASSES = 64

_TASK_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CLASS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+<>=-]{0,63}")
_ROLES = ("responder", "originator", "reflection_victim")


def read_tasks(
    documents: Any, schema: FeatureSchema, place: str, remedy: str
) -> tuple[tuple[TaskSpec, ...], tuple[AnnotationSpec, ...]]:
    """Binary and categorical tasks of a manifest, in this order there too.

    Args:
        documents: the manifest's entry.
        schema: of the same manifest.
        place: the manifest's file, for errors.
        remedy: what to do about an error.

    Raises:
        BundleError: an entry is malformed, or does not fit the schema.
    """
    if not isinstance(documents, list) or not documents:
        raise BundleError(f"{place}: tasks is not a list of tasks; {remedy}")
    tasks: list[TaskSpec] = []
    annotations: list[AnnotationSpec] = []
    for number, document in enumerate(documents):
        where = f"{place}: tasks[{number}]"
        if isinstance(document, dict) and document.get("kind") == "categorical":
            annotations.append(_annotation(document, where, remedy))
        elif annotations:
            raise BundleError(f"{where}: stands behind a categorical task; {remedy}")
        else:
            tasks.append(_task(document, where, remedy))
    specs: list[TaskSpec | AnnotationSpec] = [*tasks, *annotations]
    if len({spec.name for spec in specs}) != len(specs):
        raise BundleError(f"{place}: two tasks have the same name; {remedy}")
    for spec in specs:
        if spec.policy not in schema.policies:
            raise BundleError(
                f"{place}: task {spec.name} wants policy {spec.policy!r}, which the features do "
                f"not have; {remedy}"
            )
    if schema.key == PEER_LATENCY and any(
        spec.kind == "categorical" or spec.policy == "first" for spec in specs
    ):
        raise BundleError(
            f"{place}: windows of round-trip times take binary tasks of policy 'repeat' alone; "
            f"{remedy}"
        )
    for annotation in annotations:
        if annotation.least_packets > schema.n:
            raise BundleError(
                f"{place}: task {annotation.name} wants {annotation.least_packets} packets, more "
                f"than a sequence has; {remedy}"
            )
    return tuple(tasks), tuple(annotations)


def _task(document: Any, where: str, remedy: str) -> TaskSpec:
    try:
        rule = IncidentRule(
            **_exact(document["incident"], IncidentRule, f"{where}.incident", remedy)
        )
        body = _exact(document, TaskSpec, where, remedy)
        task = TaskSpec(
            **{
                **body,
                "incident": rule,
                "mitre_technique_id": tuple(body["mitre_technique_id"]),
                "calibration": tuple(body["calibration"]),
            }
        )
        texts = [task.signature, task.category, *task.mitre_technique_id]
        numbers = (rule.open_flows, rule.open_rows, rule.open_seconds)
        whole = [task.signature_id, task.severity, *numbers]
        good = {
            "name": bool(_TASK_NAME.fullmatch(task.name)),
            "kind": task.kind == "binary",
            "policy": task.policy in POLICIES,
            "threshold": _real(task.threshold) and 0 <= task.threshold <= 1,
            "calibration": len(task.calibration) == 2 and all(map(_real, task.calibration)),
            "signature, category and mitre_technique_id": all(type(t) is str for t in texts),
            "mitre_technique_id": type(document["mitre_technique_id"]) is list,
            "numbers": all(type(v) is int and 0 < v < 2**31 for v in whole),
            "signature_id": task.signature_id not in SENSOR_SIGNATURES,
            "incident": rule.role in _ROLES
            and type(rule.service_port) is int
            and 0 <= rule.service_port < 65_536,
        }
    except (TypeError, KeyError) as error:
        raise BundleError(f"{where}: is malformed ({error}); {remedy}") from None
    if bad := [name for name, fine in good.items() if not fine]:
        raise BundleError(f"{where}: {bad[0]} can't be what it says; {remedy}")
    return task


def _annotation(document: dict[str, Any], where: str, remedy: str) -> AnnotationSpec:
    body = _exact(document, AnnotationSpec, where, remedy)
    try:
        spec = AnnotationSpec(
            **{**body, "classes": tuple(body["classes"]), "edges": tuple(body["edges"])}
        )
        classes, edges = spec.classes, spec.edges
        good = {
            "name": bool(_TASK_NAME.fullmatch(spec.name)),
            "classes": type(body["classes"]) is list
            and 2 <= len(classes) <= MOST_CLASSES
            and len(set(classes)) == len(classes)
            and all(type(each) is str and _CLASS_NAME.fullmatch(each) for each in classes),
            "least_packets": type(spec.least_packets) is int and 0 < spec.least_packets < 2**31,
            "abstain_below": _real(spec.abstain_below) and 0 <= spec.abstain_below <= 1,
            "measured": spec.measured in ("", *MEASURED),
            "edges": type(body["edges"]) is list
            and all(map(_real, edges))
            and list(edges) == sorted(set(edges))
            and len(edges) == (len(classes) - 1 if spec.measured else 0),
            "policy": spec.policy == "first",
        }
    except TypeError as error:
        raise BundleError(f"{where}: is malformed ({error}); {remedy}") from None
    if bad := [name for name, fine in good.items() if not fine]:
        raise BundleError(f"{where}: {bad[0]} can't be what it says; {remedy}")
    return spec


def _real(value: Any) -> bool:
    # not a bool; what is not finite has no hash
    return type(value) in (int, float)


def _exact(document: dict[str, Any], kind: type[Any], where: str, remedy: str) -> dict[str, Any]:
    """The document, if it has exactly the entries of the dataclass `kind`."""
    if wrong := sorted(set(document) ^ {entry.name for entry in fields(kind)}):
        raise BundleError(f"{where}: entry {wrong[0]!r} is missing or unknown; {remedy}")
    return document
