"""Why an alert was raised: its rows scored once more, whole and with something left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.rule import NEW_FLOWS, CountingRule, can_count
from sensor.errors import EvidenceError
from sensor.flows.sequences import CONTEXT_COLUMNS, SequenceBatch
from sensor.model.bundle import Bundle
from sensor.model.gates import Gates
from sensor.model.golden import TOLERANCE
from sensor.reporting import explanation_words as words
from sensor.reporting.evidence_files import Evidence, Row
from sensor.reporting.explanation_occlusion import Occlusion

_COUNTED = CONTEXT_COLUMNS.index("dst_1s")


@dataclass(frozen=True, slots=True)
class PartScore:
    """What a score becomes when a part of the row is neutralised.

    Attributes:
        name: of the part or field, for people.
        fields: of the schema.
        after: the score then; None where no benign row can give its values.
        members: its fields by themselves, where it has several.
    """

    name: str
    fields: tuple[str, ...]
    after: float | None
    members: tuple["PartScore", ...] = ()


@dataclass(frozen=True, slots=True)
class RowExplanation:
    """A row, explained.

    Attributes:
        place: of the row in the evidence.
        row: as it was found.
        again: its score now; None without the detector.
        without_packets: the score without each packet; empty for a row of one packet.
        parts: the score without each part, in order of the parts.
        gates: weights of the experts; empty where there are none.
    """

    place: int
    row: Row
    again: float | None = None
    without_packets: tuple[float, ...] = ()
    parts: tuple[PartScore, ...] = ()
    gates: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """An alert, explained.

    Attributes:
        evidence: that it rests on.
        title, incident: what it is about and what happened, in words.
        verdict: what counted most, in words; empty without the detector.
        check: whether the scores come out again, in words.
        bundle: folder of the bundle; None for the counting rule, and where there is none.
        agrees: whether all scores come out as they were found, within the tolerance between
            runtimes; None without the detector.
        before: mean score of the rows that stand for all of the incident's (the sampled ones).
        instead: what the scores of `parts` suppose, in words.
        parts, gates: as of a row, their means over these.
        rows: chosen ones: the highest, then by turns sampled and first ones.
    """

    evidence: Evidence
    title: str
    incident: str
    verdict: str
    check: str
    bundle: Path | None
    agrees: bool | None
    before: float
    instead: str
    parts: tuple[PartScore, ...]
    gates: tuple[float, ...]
    rows: tuple[RowExplanation, ...]


def explain(evidence: Evidence, bundle: Bundle | None, shown: int) -> Explanation:
    """Explains an alert.

    Args:
        evidence: of it.
        bundle: the one that scored it, if it is here.
        shown: how many rows are explained one by one.

    Raises:
        HostError, BundleError: the bundle can't be run here.
        EvidenceError: the bundle can't have scored these rows.
    """
    task, places = evidence.alert.task, choose(evidence, shown)
    if evidence.alert.model == CountingRule.name and can_count(evidence.schema):
        return _by_the_rule(evidence, places)
    if bundle is None or task not in {each.name for each in bundle.tasks}:
        return _as_found(evidence, places)
    if bundle.schema != evidence.schema:
        raise EvidenceError(
            f"{evidence.path}: its rows have other features than {bundle.path}, which is said to "
            "have scored them; one of the two is not what it was"
        )
    occlusion, gates = Occlusion(bundle, task), Gates(bundle)
    again = occlusion.scores(evidence.batch)
    if np.isnan(again).any():
        raise EvidenceError(
            f"{evidence.path}: holds rows that the task {task} does not look at; it is not what it "
            "was"
        )
    stand_in = words.sampled(evidence)

    def explained(place: int, *, packets: bool) -> RowExplanation:
        row = evidence.batch.take(slice(place, place + 1))
        weights = gates.weights(row, task)
        return RowExplanation(
            place=place,
            row=evidence.rows[place],
            again=_short(again[place]),
            without_packets=occlusion.without_packets(row) if packets else (),
            parts=tuple(_part(occlusion, row, part.name, part.fields) for part in occlusion.parts),
            gates=() if weights is None else tuple(weights[0].tolist()),
        )

    all_of_them = [explained(place, packets=False) for place in stand_in]
    parts = _mean_parts([each.parts for each in all_of_them])
    weights = [each.gates for each in all_of_them if each.gates]
    before = float(again[stand_in].mean(dtype=np.float64))
    difference = float(np.abs(again.astype(np.float64) - evidence.scores).max())
    return Explanation(
        evidence=evidence,
        title=_title(evidence),
        incident=words.incident(evidence),
        verdict=_verdict(before, words.threshold(evidence.alert), parts, occlusion.given),
        check=_check(len(again), difference, occlusion.runtime),
        bundle=bundle.path,
        agrees=difference <= TOLERANCE,
        before=before,
        instead=f"with {occlusion.given} in place of each",
        parts=parts,
        gates=tuple(np.mean(weights, axis=0).tolist()) if weights else (),
        rows=tuple(explained(place, packets=True) for place in places),
    )


def choose(evidence: Evidence, count: int) -> list[int]:
    """Places of rows that are worth a look: the highest one, then sampled and first ones by turns.

    Rows of other flows come before further ones of the same.
    """
    highest = int(evidence.scores.argmax())
    kinds = [
        [place for place, row in enumerate(evidence.rows) if why in row.why]
        for why in ("sampled", "first")
    ]
    turns = [place for turn in zip(*kinds, strict=False) for place in turn]
    order = list(dict.fromkeys([highest, *turns, *range(len(evidence.rows))]))
    flows: dict[tuple[str, str], int] = {}
    rank = {}
    for place in order:
        flow = words.ends(evidence.rows[place])
        rank[place] = flows[flow] = flows.get(flow, -1) + 1
    return sorted(order, key=lambda place: rank[place])[:count]


def _short(score: np.float32) -> float:
    """The shortest digits that give the score again, as in the evidence."""
    return float(str(score))


def _part(occlusion: Occlusion, row: SequenceBatch, name: str, fields: Sequence[str]) -> PartScore:
    members = (
        PartScore(words.FIELDS[field], (field,), occlusion.without(row, (field,)))
        for field in fields
    )
    after = occlusion.without(row, fields)
    return PartScore(name, tuple(fields), after, tuple(members) if len(fields) > 1 else ())


def _mean_parts(parts: Sequence[tuple[PartScore, ...]]) -> tuple[PartScore, ...]:
    """Each part with the mean of its scores."""

    def mean(same: tuple[PartScore, ...]) -> PartScore:
        scores = [part.after for part in same if part.after is not None]
        after = float(np.mean(scores)) if scores else None
        members = tuple(map(mean, zip(*(part.members for part in same), strict=True)))
        return PartScore(same[0].name, same[0].fields, after, members)

    return tuple(map(mean, zip(*parts, strict=True)))


def _by_the_rule(evidence: Evidence, places: Sequence[int]) -> Explanation:
    """The counting rule looks at one count; its score is worked out by its own code."""
    rule = CountingRule(evidence.schema)
    again = rule.score(evidence.batch)[:, 0]
    alone = evidence.batch.take(np.zeros(1, np.intp))  # a copy
    alone.context[:, _COUNTED] = 0
    after = float(rule.score(alone)[0, 0])
    parts = (PartScore("flow counts", ("dst_1s",), after),)
    stand_in = words.sampled(evidence)
    before = float(again[stand_in].mean(dtype=np.float64))
    typical = int(np.median(evidence.batch.context[stand_in, _COUNTED])) + 1
    return Explanation(
        evidence=evidence,
        title=_title(evidence),
        incident=words.incident(evidence),
        verdict=(
            f"The counting rule looks at nothing but how many flows began to the same host within "
            f"a second: {typical:,} for a typical one, itself included; from {NEW_FLOWS} on it is "
            f"an alarm. Its score is count / (count + {NEW_FLOWS})."
        ),
        check=_check(len(again), float(np.abs(again - evidence.scores).max()), "the counting rule"),
        bundle=None,
        agrees=bool(np.array_equal(again, evidence.scores)),
        before=before,
        instead="if none had begun before it",
        parts=parts,
        gates=(),
        rows=tuple(
            RowExplanation(place, evidence.rows[place], _short(again[place]), parts=parts)
            for place in places
        ),
    )


def _as_found(evidence: Evidence, places: Sequence[int]) -> Explanation:
    """What can be said without the bundle."""
    model = evidence.alert.multa["model"]
    name = f"{model.get('name')} {model.get('version', '')}".strip()
    return Explanation(
        evidence=evidence,
        title=_title(evidence),
        incident=words.incident(evidence),
        verdict="",
        check=(
            f"The bundle that scored this, {name} with the network "
            f"{str(model.get('sha256'))[:16]}…, is not here, so nothing can be said of what "
            "counted; name its folder with --models."
        ),
        bundle=None,
        agrees=None,
        before=float(evidence.scores[words.sampled(evidence)].mean(dtype=np.float64)),
        instead="",
        parts=(),
        gates=(),
        rows=tuple(RowExplanation(place, evidence.rows[place]) for place in places),
    )


def _title(evidence: Evidence) -> str:
    alert = evidence.alert
    name = f" ({alert.device})" if alert.device else ""
    threat = words.threat(alert)
    return f"{threat[:1].upper()}{threat[1:]}: {alert.role} {alert.address}{name}"


def _check(rows: int, difference: float, runtime: str) -> str:
    if difference == 0:
        return f"All {rows} scores come out again as they were found ({runtime})."
    if difference <= TOLERANCE:
        return (
            f"All {rows} scores come out again to {difference:.0e}, as far as other runtimes or "
            f"machines may differ ({runtime})."
        )
    return (
        f"The scores do NOT come out again: they differ by up to {difference:.3f} ({runtime}). "
        "The evidence or the bundle is not what it was; believe neither."
    )


def _verdict(before: float, threshold: float, parts: Sequence[PartScore], given: str) -> str:
    """What counted most; `given` is what was put in the place of parts."""
    told = sorted(
        (part.after, part.name) for part in parts if part.after is not None and part.after < before
    )
    if not told:
        return "Nothing that was left out by itself lowers the score."
    strong = [(after, name) for after, name in told if after < threshold]
    least, name = told[0]
    instead = (
        f"with {given} in that place the mean score would be "
        f"{words.score(least)}, not {words.score(before)}"
    )
    if not strong:
        return (
            f"No part carries the score alone: what counts most is {words.PARTS[name]}, but "
            f"{instead}, which still is an alarm (from {threshold:g} on); the others say the same."
        )
    text = f"What counted most: {words.PARTS[name]}; {instead} (an alarm from {threshold:g} on)."
    if others := strong[1:3]:
        listed = " and ".join(
            f"{words.PARTS[name]} ({words.score(after)})" for after, name in others
        )
        text += f" Then {listed}."
    return text


def document(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON."""
    evidence = explanation.evidence
    return {
        "alert_id": evidence.alert.alert_id,
        "task": evidence.alert.task,
        "title": explanation.title,
        "incident": explanation.incident,
        "verdict": explanation.verdict,
        "check": explanation.check,
        "agrees": explanation.agrees,
        "bundle": str(explanation.bundle) if explanation.bundle else None,
        "rows_kept": len(evidence.rows),
        "rows_seen": evidence.seen,
        "score": explanation.before,
        "parts": [_part_document(part) for part in explanation.parts],
        "gates": list(explanation.gates),
        "rows": [_row_document(evidence, row) for row in explanation.rows],
        "alert": evidence.alert.document,
    }


def _part_document(part: PartScore) -> dict[str, Any]:
    return {
        "name": part.name,
        "fields": list(part.fields),
        "score_without": part.after,
        **({"members": [_part_document(each) for each in part.members]} if part.members else {}),
    }


def _row_document(evidence: Evidence, explained: RowExplanation) -> dict[str, Any]:
    row = explained.row
    source, destination = words.ends(row)
    return {
        "why": list(row.why),
        "source": source,
        "destination": destination,
        "protocol": row.protocol,
        "first_packet": row.first_packet.isoformat(),
        "sequence_index": row.sequence_index,
        "end_reason": row.end_reason,
        "flags": list(row.flags),
        "score": row.score,
        "score_again": explained.again,
        **_steps(evidence, explained),
        "parts": [_part_document(part) for part in explained.parts],
        "gates": list(explained.gates),
    }


def _steps(evidence: Evidence, explained: RowExplanation) -> dict[str, Any]:
    """Packets or measurements of a row, and the score without each."""
    place, row, batch = explained.place, explained.row, evidence.batch
    without: Sequence[float | None] = explained.without_packets or [None] * len(row.time_us)
    if evidence.measured:
        rtts = [
            time if answered else None
            for time, answered in zip(batch.rtt[place].tolist(), batch.answered[place], strict=True)
        ]
        measurements = [
            {"time_us": time, "rtt_us": rtts[k], "score_without": without[k]}
            for k, time in enumerate(row.time_us)
        ]
        return {"kind": row.kind, "measurements": measurements}
    columns: tuple[NDArray[Any], ...] = (batch.direction, batch.ip_length, batch.payload_length)
    names = ("direction", "ip_length", "payload_length")
    packets = [
        {
            "time_us": time,
            **{name: int(column[place, k]) for name, column in zip(names, columns, strict=True)},
            "tcp_flags": words.flag_names(int(batch.tcp_flags[place, k])),
            "score_without": without[k],
        }
        for k, time in enumerate(row.time_us)
    ]
    context = dict(zip(CONTEXT_COLUMNS, batch.context[place].tolist(), strict=True))
    return {"context": context, "packets": packets}
