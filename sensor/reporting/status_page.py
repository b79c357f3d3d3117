"""The status of a sensor as a page for people: its state first, then why, then all the rest.

A status file is foreign: an entry that is missing or of another shape is left out, and what a
terminal would obey is escaped.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from sensor.cli import visible
from sensor.quantities import duration, number
from sensor.reporting.calibration import Calibration
from sensor.reporting.status_file import Status

COLOURS = {"healthy": "green", "degraded": "yellow", "starting": "yellow", "down": "red"}

_LISTED = 100
"""Most entries that are read of a list."""

_INTERVALS = _ALERTS = 5
"""Shown of a list; `--json` has all."""

_NUMBER_WIDTH = 15


def page(status: Status, calibration: Sequence[Calibration] = ()) -> list[str]:
    """All lines.

    Args:
        status: to show.
        calibration: what labels say of scores, if there are any.
    """
    document = status.document
    lines = [*head(status), *(f"  · {visible(reason)}" for reason in status.reasons)]
    if status.state == "down" and "statistics" in document:
        lines += ["", "What follows is how it was then."]
    sections = {
        "Interfaces": interfaces(document),
        "Blind": _intervals(document),
        "Coverage": funnel(document),
        "Models": _models(document),
        "Annotations": annotations(entries(document.get("statistics"))),
        "Labels": [_calibration(each) for each in calibration],
        "Allow rules": _rules(document),
        "Last alerts": alerts(document)[-_ALERTS:],
    }
    for title, content in sections.items():
        if shown := list(content):
            lines += ["", click.style(title, bold=True), *(f"  {line}" for line in shown)]
    return lines


def head(status: Status) -> list[str]:
    """State, since when, and how old that is."""
    document = status.document
    mark = click.style(status.state.upper(), fg=COLOURS[status.state], bold=True)
    about = []
    if document:
        about.append(f"process {_text(document.get('pid'))}")
        about.append(f"started {_time(document.get('started'))}")
        age = "before the machine started" if status.age_s is None else _age(status.age_s)
        about.append(f"written {age}")
    return ["  ".join([mark, click.style(", ".join(about), dim=True)]) if about else mark]


def interfaces(document: Mapping[str, Any]) -> list[str]:
    """Which are seen, and for how long none was."""
    blind_s = entries(_coverage(document, "time").get("blind_seconds"))
    lines = []
    for name, each in list(entries(document.get("interfaces")).items())[:_LISTED]:
        why = entries(each).get("blind")
        seen = f"blind: {_text(why)}" if why else "seen"
        total = _real(blind_s.get(name))
        was = f", blind for {duration(total)} since the start" if total else ""
        lines.append(f"{_text(name):<15} {click.style(seen, fg='red' if why else 'green')}{was}")
    silent_s = _real(document.get("silent_s"))
    if lines and silent_s >= 1:
        lines.append(f"the last frame came {duration(silent_s)} ago")
    return lines


def funnel(document: Mapping[str, Any]) -> list[str]:
    """From frames to rows; a number is one of those above it, less what stands between them."""
    frames, flows, rows = (_coverage(document, name) for name in ("frames", "flows", "rows"))
    if not frames:
        return []
    refused = {str(k): whole(v) for k, v in entries(frames.get("refused")).items()}
    reasons = ", ".join(f"{_text(k)} {v:,}" for k, v in sorted(refused.items())[:_LISTED] if v)
    share = _real(frames.get("lost_share"))
    behind = "not looked at, as detection fell behind"
    return [
        _number(frames.get("received"), "frames came"),
        _loss(
            frames.get("lost"), f"lost by the kernel, as they were not read in time ({share:.2%})"
        ),
        *_less(frames.get("bypassed"), "besides, forwarded past the capture by hardware"),
        *_less(frames.get("cut"), "besides, left out by the cut-off"),
        *_less(sum(refused.values()), f"not decoded: {reasons}"),
        _number(frames.get("decoded"), "became packets"),
        _number(flows.get("began"), "flows began"),
        *_less(flows.get("undecided"), "too young to be looked at yet"),
        *_less(flows.get("waiting"), "wait for detection"),
        _loss(flows.get("shed"), behind),
        _number(flows.get("looked_at"), "were looked at"),
        _number(rows.get("decided"), "rows of them were decided (a long flow has several)"),
        *_less(rows.get("skipped"), "besides, sequences of long flows that are passed over"),
        *_less(rows.get("ambiguous"), "besides, answers that may be to one of several packets"),
        *_less(rows.get("unknown"), "besides, packets to unknown peers that got no answer"),
        *_less(rows.get("waiting"), "wait for detection"),
        _loss(rows.get("shed"), behind),
        _number(rows.get("looked_at"), "were looked at"),
    ]


def _models(document: Mapping[str, Any]) -> Iterator[str]:
    counted = _coverage(document, "models")
    drift, statistics = entries(document.get("drift")), entries(document.get("statistics"))
    alerts, incidents = (entries(statistics.get(name)) for name in ("alerts", "incidents"))
    for each in _list(document.get("models")):
        entry = entries(each)
        shadow = entry.get("shadow") is True
        name = f"{entry.get('name')} (shadow)" if shadow else str(entry.get("name"))
        model = entries(counted.get(name))
        manifest = f", manifest {_text(entry.get('manifest_sha256'))[:12]}"
        yield click.style(
            f"{_text(name)} {_text(entry.get('version'))}"
            f"{manifest if entry.get('manifest_sha256') else ''}: "
            f"{whole(model.get('looked_at')):,} rows",
            bold=True,
        )
        tasks = entries(model.get("tasks"))
        width = max((len(_text(task)) for task in tasks), default=0)
        for task, rows in list(tasks.items())[:_LISTED]:
            key = f"{name}/{task}"
            began, told = whole(incidents.get(key)), whole(alerts.get(key))
            found = f"{number(began, 'incident')}, {number(told, 'alert')}"
            scored = f"{whole(entries(rows).get('scored')):,} scored"
            yield (
                f"  {_text(task):<{width}}  {scored:>18}  {'' if shadow else found:<28}  "
                f"{_drift(drift, key)}"
            ).rstrip()


def _drift(drift: Mapping[str, Any], key: str) -> str:
    if key not in drift:
        return ""
    value = drift[key]
    if not isinstance(value, float | int):
        return "drift: too few rows to tell"
    if value > 0.25:
        return click.style(f"drift {value:.2f}: unlike harmless traffic in training", fg="yellow")
    return f"drift {value:.2f}" + (": somewhat unlike training" if value >= 0.1 else "")


def annotations(statistics: Mapping[str, Any]) -> Iterator[str]:
    """What models have said of flows, and how right it was."""
    for name, found in list(entries(statistics.get("annotations")).items())[:_LISTED]:
        model = entries(found)
        rest = [
            f"{whole(model.get(key)):,} {text}"
            for key, text in (("open", "go on"), ("forgotten", "forgotten"))
            if whole(model.get(key))
        ]
        said = f"{_text(name)}: something said of {number(whole(model.get('predicted')), 'flow')}"
        yield click.style(said + (f", {', '.join(rest)}" if rest else ""), bold=True)
        tasks = list(entries(model.get("tasks")).items())[:_LISTED]
        width = max((len(_text(task)) for task, _ in tasks), default=0)
        for task, each in tasks:
            yield from _annotation(f"  {_text(task):<{width}}  ", entries(each))


def _annotation(begin: str, task: Mapping[str, Any]) -> Iterator[str]:
    told = {_text(name): whole(flows) for name, flows in entries(task.get("told")).items()}
    named = ", ".join(f"{name}: {flows:,}" for name, flows in list(told.items())[:_LISTED] if flows)
    yield f"{begin}{named or 'none named'}; abstained from {whole(task.get('abstained')):,}"
    if whole(task.get("judged")):
        judged = number(whole(task.get("judged")), "flow")
        line = f"right for {_real(task.get('accuracy')):.1%} of {judged} whose truth is known "
        line += f"(always naming the commonest: {_real(task.get('majority')):.1%})"
        lately, test = entries(task.get("lately")), task.get("test")
        line += f"; lately {_real(lately.get('accuracy')):.1%}" if lately else ""
        line += f"; in its test {_real(test):.1%}" if isinstance(test, float | int) else ""
        yield " " * len(begin) + line
    if drift := entries(task.get("drift")):
        psi = _real(drift.get("psi"))
        unlike = ": another mix than in its test" if psi > 0.25 else ""
        yield f"{' ' * len(begin)}drift {psi:.2f}{unlike}"


def _calibration(each: Calibration) -> str:
    return visible(
        f"{each.task}: {each.true} of {each.labelled} labelled alerts were right "
        f"({each.share:.0%}); their scores claimed {each.claimed:.0%}"
    )


def _intervals(document: Mapping[str, Any]) -> Iterator[str]:
    intervals = [entries(each) for each in _list(document.get("blind"))]
    for each in intervals[-_INTERVALS:]:
        name = each.get("interface")
        until = _time(each.get("to")) if each.get("to") else "now"
        yield (
            f"{_text(name) if name else 'all':<15} {_time(each.get('from'))} to {until}, "
            f"{duration(_real(each.get('seconds')))}: {_text(each.get('why'))}"
        )
    if len(intervals) > _INTERVALS:
        yield f"and {len(intervals) - _INTERVALS} before that (--json)"


def _rules(document: Mapping[str, Any]) -> Iterator[str]:
    for each in map(entries, _list(document.get("allow"))):
        until = f"until {_time(each.get('expires'))}" if each.get("expires") else "for ever"
        yield f"{_text(each.get('comment'))}: {until}, allowed {whole(each.get('matched')):,} rows"


def alerts(document: Mapping[str, Any]) -> list[str]:
    """The last ones, the oldest first."""
    return [
        f"{_time(each.get('timestamp'))}  {_text(each.get('event')):<6}  "
        f"{_text(each.get('task'))} {_whom(each)}, score {_real(each.get('score')):.3f}  "
        f"{click.style(_text(each.get('alert_id')), dim=True)}"
        for each in map(entries, _list(document.get("recent")))
    ]


def _whom(each: Mapping[str, Any]) -> str:
    """Whom a recent alert is about, and how many flows or measurements."""
    role, address = _text(each.get("role")), _text(each.get("address"))
    if "kind" in each:
        role = "peer" if role == "victim" else role
        return f"{role} {address}  {number(whole(each.get('rows')), 'measurement')}"
    return f"{role} {address}  {number(whole(each.get('flows')), 'flow')}"


def _number(value: Any, text: str) -> str:
    return f"{whole(value):>{_NUMBER_WIDTH},}  {text}"


def _less(value: Any, text: str) -> list[str]:
    """What is not among the next number, if anything."""
    return [f"{'−' + format(whole(value), ','):>{_NUMBER_WIDTH}}    {text}"] if whole(value) else []


def _loss(value: Any, text: str) -> str:
    """The same of what should have been; that nothing is missing is worth saying."""
    lines = _less(value, text)
    return click.style(lines[0], fg="yellow") if lines else f"{0:>{_NUMBER_WIDTH}}    {text}"


def _age(seconds: float) -> str:
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def _time(value: Any) -> str:
    """EVE's form of a time, to the second, in UTC."""
    text = _text(value)
    return f"{text[:10]} {text[11:19]} UTC" if len(text) >= 19 else "?"


def _coverage(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return entries(entries(document.get("coverage")).get(name))


def _text(value: Any) -> str:
    return visible(str(value)).replace("\n", " ")[:200]


def whole(value: Any) -> int:
    """A whole number of a foreign document; 0 for anything else."""
    return value if isinstance(value, int) else 0


def _real(value: Any) -> float:
    return float(value) if isinstance(value, float | int) and abs(value) < 1e15 else 0.0


def entries(value: Any) -> dict[str, Any]:
    """An object of a foreign document; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value[:_LISTED] if isinstance(value, list) else []
