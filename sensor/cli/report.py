"""``multa-sensor report``: what alert logs tell, as one HTML page."""

import contextlib
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import click

from sensor.cli import options, places, say
from sensor.errors import MultaError
from sensor.reporting.alert_choice import Choice, point_in_time
from sensor.reporting.alert_log import STDIN, Unread, read, rotated
from sensor.reporting.labels import ALERT_ID, Label, current
from sensor.reporting.report import Material, page
from sensor.reporting.report_facts import Facts, Incident
from sensor.reporting.report_status import Health
from sensor.reporting.status_file import read_object, read_status

PICTURES = 6
"""Incidents that are drawn, of different tasks."""


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE|-]...")
@click.option("-o", "--output", required=True, metavar="FILE|-", help="The page to write.")
@click.option("--since", metavar="2h|TIME", help="From this age or time on; rotated logs too.")
@click.option("--until", metavar="2h|TIME", help="Up to this age or time.")
@places.evidence
@places.labels
@click.option(
    "--status",
    type=options.folder,
    metavar="FILE",
    help="Status of the sensor, or what --stats of a run has written: scores, losses, coverage, "
    "blind intervals.",
)
@click.option("--title", default="MULTA report", show_default=True, help="Of the page.")
@places.config
def report(
    files: tuple[str, ...],
    output: str,
    *,
    since: str | None,
    until: str | None,
    evidence: Path | None,
    labels: Path,
    status: Path | None,
    title: str,
    config: Path | None,
) -> None:
    """Write one HTML page about alert logs; without a FILE, about the installed sensor's.

    The page holds a timeline, who attacked whom, all incidents, scores, losses, and the sensor's
    health; where there is evidence also why the worst incident of each task was told. It is one
    file that loads nothing, so it can be mailed, printed and kept.

    \b
    Examples:
      multa-sensor report --since 24h -o report.html
      multa-sensor report alerts.json --status status.json -o report.html
    """  # noqa: D301 -- click's mark for lines to leave alone
    now, installed = datetime.now(timezone.utc), places.Places(config)
    choice = Choice(
        since=point_in_time("--since", since, now) if since else None,
        until=point_in_time("--until", until, now) if until else None,
    )
    own = None  # the installed sensor's status
    if not files:
        evidence, own = installed.evidence(evidence), None if status else installed.status(None)
    logs = files or (installed.alert_log(None),)
    read_from = dict.fromkeys(map(str, _with_rotated(logs, choice.since)))
    for inputs in (list(read_from), [str(labels)], [str(each) for each in (status, own) if each]):
        options.keep_apart(inputs, output)
    unread = Unread()
    facts = Facts.of(filter(choice.takes, read(read_from, unread)))
    if str(unread):
        say(f"{', '.join(logs)}: {unread}")
    said = _said(labels)
    material = Material(
        facts,
        title,
        now,
        ["standard input" if each == STDIN else each for each in logs],
        choice.since,
        choice.until,
        _health(status, own),
        (lambda alert_id: _is_kept(evidence, alert_id)) if evidence else None,
        lambda alert_id: _verdict(said.get(alert_id)),
        str(unread),
        list(_pictures(facts, evidence, installed)) if evidence else (),
    )
    options.write_result(output, page(material).encode(), "the report")


def _with_rotated(logs: tuple[str, ...], since: datetime | None) -> list[str | Path]:
    """The logs with what they were rotated to, where alerts since some time are wanted."""
    found: list[str | Path] = []
    for log in logs:
        before = rotated(log, since) if since and log != STDIN else []
        missing = before and not Path(log).exists()
        found += [*before, *([] if missing else [log])]
    return list(dict.fromkeys(found))


def _health(named: Path | None, own: Path | None) -> Health:
    """As a file that was named says it, or as it is now: a sensor that is gone may have been well.

    Args:
        named: a status file of any sensor, or one of ``--stats``.
        own: the installed sensor's status file, which need not be there.
    """
    if named:
        return Health.of(read_object(named))
    if not own or not own.exists():
        return Health()
    status = read_status(own)
    return Health.of({**status.document, "state": status.state, "reasons": [*status.reasons]})


def _said(path: Path) -> dict[str, Label]:
    """What operators have said; nothing where that can't be read, as a report stands without."""
    try:
        return current(path, Unread())
    except MultaError:
        return {}


def _verdict(label: Label | None) -> str:
    if label is None:
        return ""
    comment = f": {label.comment}" if label.comment else ""
    return f"{'true' if label.value else 'false'} ({label.author}){comment}"


def _is_kept(folder: Path, alert_id: str) -> bool:
    return bool(ALERT_ID.fullmatch(alert_id)) and (folder / f"{alert_id}.json").is_file()


def _pictures(
    facts: Facts, evidence: Path, installed: places.Places
) -> Iterator[tuple[Incident, str]]:
    """Drawings of why, for the worst incident of each task; what can't be explained has none."""
    # Others would load the runtime of models, which a report of no evidence has no use for.
    from sensor.cli.explain import explained_file  # noqa: PLC0415
    from sensor.reporting.drawing import picture  # noqa: PLC0415

    worst: dict[str, Incident] = {}
    for each in sorted(facts.incidents.values(), key=Incident.rank):
        if each.task not in worst and _is_kept(evidence, each.alert_id):
            worst[each.task] = each
    for each in list(worst.values())[:PICTURES]:
        with contextlib.suppress(MultaError):
            store = installed.settings.models.store
            explanation = explained_file(evidence / f"{each.alert_id}.json", [store])
            if explanation.agrees is not False:
                yield each, picture(explanation)
