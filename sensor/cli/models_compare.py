"""``multa-sensor models compare``: whether one model can take the place of another."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from sensor.alerts.agreement import CLOSE
from sensor.alerts.sinks import STDOUT
from sensor.capture.files import CaptureFiles
from sensor.cli import models_trust, options, say, visible
from sensor.errors import MissingInputError, UsageError
from sensor.extract import raise_if_truncated
from sensor.model.verification import read_proved
from sensor.quantities import duration, number
from sensor.reporting.alert_choice import point_in_time
from sensor.reporting.alert_log import Unread, read, rotated
from sensor.reporting.comparison import (
    INCIDENTS,
    Incident,
    Matched,
    Told,
    match,
    told,
    verdict,
)
from sensor.reporting.score_comparison import ScoreComparison
from sensor.service.config.settings import Settings
from sensor.service.progress import with_progress

SHOWN = 8
"""Incidents that are listed of each side."""


@click.command()
@click.argument("models", nargs=-1, metavar="[A B FILE...]")
@click.option(
    "--alerts",
    "active",
    type=options.folder,
    metavar="FILE",
    help="Alert log of the models in use.  [default: the configured one]",
)
@click.option(
    "--shadow",
    type=options.folder,
    metavar="FILE",
    help="Log of the shadow models.  [default: the configured one]",
)
@click.option(
    "--since",
    metavar="2h|TIME",
    help="Of the logs only what was told from this age or time on.",
)
@models_trust.trusting
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def compare(
    models: tuple[str, ...],
    *,
    active: Path | None,
    shadow: Path | None,
    since: str | None,
    config: Path | None,
    store: Path | None,
    keys: tuple[Path, ...],
    permitted: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tell in what two models differ.

    With A, B (names or folders of bundles) and capture files, both score the same packets. Without
    them, the alert log is compared with the log of the shadow models, which a sensor tries beside
    those in use (`shadow` under [models] in the configuration). The last line says what follows.

    \b
    Examples:
      multa-sensor models compare iot-gateway build/iot-gateway monday.pcap attacks.pcap
      multa-sensor models compare --since 7d
      multa-sensor models compare --alerts alerts.json --shadow shadow.json --json
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings, trust = models_trust.settings(config, store, keys, permitted)
    if not models:
        document, lines = _logs(active, shadow, since, settings)
        _show(document, lines, as_json=as_json)
        return
    if active or shadow or since:
        raise UsageError(
            "--alerts, --shadow and --since are for logs; give either these, or two models and "
            "capture files"
        )
    if len(models) < 3:
        raise UsageError(
            "two models and at least one capture file are needed; without any of them, logs are "
            "compared"
        )
    a, b = (models_trust.folder_of(each, settings.models.store) for each in models[:2])
    files = models[2:]
    options.keep_apart(files)
    captures = CaptureFiles(files)
    try:
        comparison = ScoreComparison(read_proved(a, trust)[0], read_proved(b, trust)[0])
        comparison.over(with_progress(captures, hidden=options.shares_terminal(STDOUT)))
    finally:
        captures.close()
    document, lines = _scores(comparison, (a, b), files)
    _show(document, lines, as_json=as_json)
    raise_if_truncated(captures.truncated)


def _show(document: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    click.echo(json.dumps(document) if as_json else "\n".join(lines))


def _logs(
    active: Path | None, shadow: Path | None, since: str | None, settings: Settings
) -> tuple[dict[str, Any], list[str]]:
    start = point_in_time("--since", since, datetime.now(timezone.utc)) if since else None
    if active is None and str(settings.alerts.output) == STDOUT:
        raise UsageError(
            "the configured alert log is standard output; name a file of it with --alerts"
        )
    tried = shadow or settings.models.shadow_log
    if tried is None or (shadow is None and not tried.exists()):
        raise MissingInputError(
            f"{tried or 'shadow_log'}: no shadow model has been tried; name one as `shadow` under "
            "[models] in the configuration, or give two models and capture files"
        )
    paths = (active or Path(settings.alerts.output), tried)
    sides = (_told(paths[0], start), _told(paths[1], start))
    matched = _matched(sides)
    called = ("the model in use", "the shadow")
    lines = []
    for name, path, side in zip(("in use", "shadow"), paths, sides, strict=True):
        span = f"  {_clock(side.begins)} to {_clock(side.ends)} UTC"
        of = f"  {', '.join(side.models)}" if side.models else ""
        lines.append(f"  {name:<8}{visible(str(path) + of)}{span if side.begins else '  no alert'}")
    lines += ["", *_incident_table(matched, matched.tasks, ("in use", "shadow"))]
    lines += _lists(matched, ("the model in use", "the shadow"))
    if earlier := _before_the_shadow(matched, sides[1]):
        ended = f"{number(earlier, 'incident')} of the model in use ended"
        lines += [
            f"  {ended} before the shadow's first alert.",
            "  If the shadow did not run then, leave them out with --since.",
            "",
        ]
    said = verdict(matched, *called)
    lines += [*_limits(sides, called), visible(said[0].upper() + said[1:])]
    documents = [
        {
            "path": str(path),
            "models": list(side.models),
            "first_alert": side.begins.isoformat() if side.begins else None,
            "last_alert": side.ends.isoformat() if side.ends else None,
            "withheld": side.withheld,
        }
        for path, side in zip(paths, sides, strict=True)
    ]
    tasks = [{"task": task, "incidents": matched.of(task).document()} for task in matched.tasks]
    return _document(documents, tasks, matched, lines[-1]), lines


def _told(path: Path, since: datetime | None) -> Told:
    unread = Unread()
    found = told(read([*rotated(path, since), path], unread), since)
    if str(unread):
        say(f"{path}: {unread}")
    return found


def _before_the_shadow(matched: Matched, shadow: Told) -> int:
    if shadow.begins is None:
        return 0
    return sum(incident.until < shadow.begins for incident in matched.only_a)


def _scores(
    comparison: ScoreComparison, folders: Sequence[Path], files: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    matched = _matched(comparison.told)
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    lines = [
        visible(f"  {side}  {bundle.name} {bundle.version}  {folder}")
        for side, bundle, folder in zip("AB", comparison.bundles, folders, strict=True)
    ]
    looked_at = (
        f"{number(comparison.packets, 'packet')} in {number(comparison.flows, 'flow')} of "
        f"{Path(files[0]).name}{more}"
    )
    lines += [f"  {visible(looked_at)}", "", *_row_table(comparison), ""]
    if not comparison.same_rows:
        lines += [
            "  Their features differ, so they look at other rows: only incidents can be compared.",
            "",
        ]
    lines += _incident_table(matched, list(comparison.tasks), ("A", "B"))
    lines += _lists(matched, ("A", "B"))
    lines += [*_limits(comparison.told, ("A", "B")), _sentence(comparison, matched)]
    documents = [
        {**models_trust.identity(bundle), "path": str(folder)}
        for bundle, folder in zip(comparison.bundles, folders, strict=True)
    ]
    tasks = [
        {"task": task, **rows.document(), "incidents": matched.of(task).document()}
        for task, rows in comparison.tasks.items()
    ]
    document = _document(documents, tasks, matched, lines[-1])
    counts = {"files": list(files), "packets": comparison.packets, "flows": comparison.flows}
    return {**counts, "same_rows": comparison.same_rows, **document}, lines


def _sentence(comparison: ScoreComparison, matched: Matched) -> str:
    """The verdict, after what is no matter of incidents."""
    a, b = comparison.bundles
    if a.manifest_sha256 == b.manifest_sha256:
        return "A and B are the same bundle."
    lost = sorted({task.name for task in a.tasks} - {task.name for task in b.tasks})
    first = f"B does not look for {', '.join(lost)}. " if lost else ""
    return first + verdict(matched, "A", "B")


def _matched(sides: Sequence[Told]) -> Matched:
    a, b = (list(side.incidents.values()) for side in sides)
    return match(a, b)


def _document(
    sides: Sequence[dict[str, Any]], tasks: list[dict[str, Any]], matched: Matched, said: str
) -> dict[str, Any]:
    return {
        "a": sides[0],
        "b": sides[1],
        "tasks": tasks,
        "incidents": matched.document(),
        "only_a": [incident.document() for incident in matched.only_a],
        "only_b": [incident.document() for incident in matched.only_b],
        "verdict": said,
    }


def _row_table(comparison: ScoreComparison) -> Iterator[str]:
    titles = ["task", "rows", "positive A", "positive B", "both", "only A", "only B", "close"]
    table = [[*titles, "mean diff", "largest"]]
    for task, rows in comparison.tasks.items():
        count = f"{rows.rows[0]:,}"
        if not comparison.same_rows:
            count += f" / {rows.rows[1]:,}"
        line = [task, count, *(f"{each:,}" for each in rows.positive)]
        if rows.compared:
            line += [f"{each:,}" for each in (rows.both, rows.only_a, rows.only_b, rows.close)]
            line += [f"{rows.mean:.4f}", f"{rows.largest:.4f}"]
        else:
            line += ["–"] * 6
        table.append(line)
    yield from _table(table)
    yield ""
    yield "  A row is a scored sequence of packets. close: rows that only one found positive, and"
    yield f"  that both scored within {CLOSE} of its threshold; any training moves some of these."


def _incident_table(matched: Matched, tasks: Sequence[str], sides: Sequence[str]) -> list[str]:
    titles = ["incidents", *sides, "both", f"only {sides[0]}", f"only {sides[1]}"]
    table = [titles]
    for task in tasks:
        counts = matched.of(task).document()
        table.append([task, *(f"{count:,}" for count in counts.values())])
    return [*_table(table), ""]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns below each other, numbers to the right, titles in bold."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for place, row in enumerate(rows):
        name = visible(f"{row[0]:<{widths[0]}}")
        cells = [f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)]
        line = "  ".join([name, *cells])
        lines.append("  " + (click.style(line, bold=True) if place == 0 else line))
    return lines


def _lists(matched: Matched, sides: Sequence[str]) -> Iterator[str]:
    for name, incidents in zip(sides, (matched.only_a, matched.only_b), strict=True):
        if not incidents:
            continue
        yield f"  {click.style(f'only {name} found', bold=True)} (times in UTC)"
        shown = sorted(incidents, key=lambda each: (-each.flows, each.first))[:SHOWN]
        shown.sort(key=lambda each: each.first)
        width = max(len(_whom(each)) for each in shown)
        for each in shown:
            lasted = duration((each.last - each.first).total_seconds())
            yield visible(
                f"    {_clock(each.first)}  {_whom(each):<{width}}  for {lasted:<8}  "
                f"{number(each.flows, 'flow')}, highest score {each.score:.3f}"
            )
        if len(incidents) > len(shown):
            yield f"    … and {len(incidents) - len(shown):,} smaller ones (--json lists all)"
        yield ""


def _whom(incident: Incident) -> str:
    return f"{incident.task}: {incident.role} {incident.address}"


def _limits(sides: Sequence[Told], names: Sequence[str]) -> Iterator[str]:
    """What is missing in the comparison."""
    for name, side in zip(names, sides, strict=True):
        if side.left_out:
            yield f"  Of {name} only the first {INCIDENTS:,} incidents are compared."
        if side.withheld:
            yield f"  Of {name} {number(side.withheld, 'alert')} had been withheld from the log."


def _clock(time: datetime | None) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}" if time else ""
