"""``multa-sensor alerts``: what the alert log tells, and what is added to it."""

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import click

from sensor.cli import places, say
from sensor.errors import UsageError
from sensor.reporting.alert_choice import Choice, events, networks, point_in_time
from sensor.reporting.alert_follow import POLL_S, Follower
from sensor.reporting.alert_log import STDIN, Alert, Unread, parse, read, rotated
from sensor.reporting.alert_text import WIDE, day, line

SHOWN_BEFORE = 10
"""Alerts that are shown before those that come, where nobody says how many."""


@click.command()
@click.argument("file", required=False, metavar="[FILE|-]")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is added, until Ctrl-C.")
@click.option("--since", metavar="2h|TIME", help="From this age or time on; rotated logs too.")
@click.option("--until", metavar="2h|TIME", help="Up to this age or time.")
@click.option("--task", "tasks", multiple=True, metavar="TASK,...", help="Only of these tasks.")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="CIDR,...",
    help="Only about these addresses, or with flows of theirs.",
)
@click.option(
    "--event", "kinds", multiple=True, metavar="start,end", help="Only of these kinds of events."
)
@click.option(
    "--severity",
    type=click.IntRange(1, 255),
    metavar="1|2|3",
    help="This severe or more; 1 is the most severe.",
)
@click.option("--model", "models", multiple=True, metavar="NAME,...", help="Only found by these.")
@click.option("--json", "as_json", is_flag=True, help="The lines of the log, unchanged.")
@click.option(
    "-n", "last", type=click.IntRange(0), metavar="N", help="Only the last N; rotated logs too."
)
@places.config
def alerts(
    file: str | None,
    *,
    follow: bool,
    since: str | None,
    until: str | None,
    tasks: tuple[str, ...],
    addresses: tuple[str, ...],
    kinds: tuple[str, ...],
    severity: int | None,
    models: tuple[str, ...],
    as_json: bool,
    last: int | None,
    config: Path | None,
) -> None:
    """Show the alerts of a log, one a line; by default of the installed sensor's.

    A line holds the time of this machine's zone, the severity (!!! is the most severe), whether
    the incident starts, grows or ends, its task, whom it is about (on a victim, by a source), its
    flows, its highest score, and its alert_id, by which `explain` and `label` know it. Terminals
    of less than 120 columns show a little less.

    \b
    Examples:
      multa-sensor alerts --since 2h
      multa-sensor alerts -f --severity 1
      multa-sensor alerts --address 192.168.1.0/24 --event start --json | jq .alert.signature
      multa-sensor replay capture.pcap -o - | multa-sensor alerts -
    """  # noqa: D301 -- click's mark for lines to leave alone
    if follow and until:
        raise UsageError("--follow and --until exclude each other: what is to come has no end yet")
    now = datetime.now(timezone.utc)
    choice = Choice(
        since=point_in_time("--since", since, now) if since else None,
        until=point_in_time("--until", until, now) if until else None,
        tasks=_words(tasks),
        networks=networks(addresses),
        events=events(kinds),
        severity=severity,
        models=_words(models),
    )
    path, unread = places.Places(config).alert_log(file), Unread()
    show = _Show(as_json=as_json, flushes=follow)
    try:
        if follow and path != STDIN:
            _follow(path, choice, last, unread, show)
        else:
            for alert in _chosen(path, choice, last, unread):
                show(alert)
    finally:
        if str(unread):
            say(f"{path}: {unread}")


class _Show:
    """Writes alerts to standard output."""

    def __init__(self, *, as_json: bool, flushes: bool) -> None:
        terminal = sys.stdout.isatty()
        self._as_json, self._flushes = as_json, flushes or terminal
        self._wide = not terminal or shutil.get_terminal_size().columns >= WIDE
        self._day = ""

    def __call__(self, alert: Alert) -> None:
        if self._as_json:
            sys.stdout.buffer.write(alert.line + b"\n")
            if self._flushes:
                sys.stdout.buffer.flush()
            return
        if not self._wide and day(alert) != self._day:
            self._day = day(alert)
            click.secho(f"{self._day}", dim=True)
        click.echo(line(alert, wide=self._wide))


def _chosen(path: str, choice: Choice, last: int | None, unread: Unread) -> Iterable[Alert]:
    """The alerts of a log that are to be shown, in order."""
    before: list[Path] = []
    if path != STDIN and (last is not None or choice.since is not None):
        before = rotated(path, choice.since)
    logs: list[str | Path] = [*before, path]
    if before and not Path(path).exists():
        logs.pop()  # it was rotated, and nothing was written since
    if last is None:
        return filter(choice.takes, read(logs, unread))
    return _last(logs, choice, last, unread)


def _last(
    logs: Sequence[str | Path], choice: Choice, count: int, unread: Unread
) -> Iterable[Alert]:
    """The last alerts of logs, of which no more are read than is necessary."""
    found: deque[Alert] = deque()
    for log in reversed(logs):
        missing = count - len(found)
        if missing > 0:
            found.extendleft(
                reversed(deque(filter(choice.takes, read([log], unread)), maxlen=missing))
            )
    return found


def _follow(
    path: str, choice: Choice, last: int | None, unread: Unread, show: Callable[[Alert], None]
) -> None:
    """Shows what there is, then what comes, until somebody ends it."""
    follower = Follower(path, unread)
    if follower.waiting:
        say(f"waiting for {path}")

    def come() -> Iterator[Alert]:
        for text in follower.lines():
            alert = parse(text)
            unread.lines += alert is None
            if alert is not None and choice.takes(alert):
                yield alert

    before: list[Path] = []
    if last is not None or choice.since is not None:
        wanted = rotated(path, choice.since)
        before = [each for each in follower.rotated if each in wanted]
    if last is None and choice.since is None:
        last = SHOWN_BEFORE
    try:
        if last is None:
            for alert in filter(choice.takes, read(before, unread)):
                show(alert)
        else:
            there = deque(come(), maxlen=last)
            for alert in (*_last(before, choice, last - len(there), unread), *there):
                show(alert)
        while True:
            for alert in come():
                show(alert)
            time.sleep(POLL_S)
    finally:
        follower.close()


def _words(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(","))
