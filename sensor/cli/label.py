"""``multa-sensor label``: what operators say of alerts."""

import json
import os
import pwd
import time
from pathlib import Path

import click

from sensor.alerts.eve import timestamp
from sensor.cli import completion, places, say, visible
from sensor.errors import (
    EvidenceError,
    MissingInputError,
    PermissionDeniedError,
    UsageError,
)
from sensor.reporting import evidence_files
from sensor.reporting.alert_find import last_event, require_beginning
from sensor.reporting.alert_log import Alert, Unread, read, rotated
from sensor.reporting.labels import AUTHOR, COMMENT, Label, append, current

_VALUES = {"true": True, "false": False}


@click.command()
@click.argument("alert_id", required=False, metavar="ALERT_ID", shell_complete=completion.alerts)
@click.argument("value", required=False, metavar="true|false")
@click.option("--author", metavar="NAME", help="Who says so.  [default: your login name]")
@click.option("--comment", default="", metavar="TEXT", help="Why.")
@click.option("--list", "lists", is_flag=True, help="Show what was said, the last word of each.")
@click.option("--json", "as_json", is_flag=True, help="With --list: one JSON object a line.")
@places.alerts
@places.evidence
@places.labels
@places.config
def label(
    alert_id: str | None,
    value: str | None,
    *,
    author: str | None,
    comment: str,
    lists: bool,
    as_json: bool,
    log: str | None,
    evidence: Path | None,
    labels: Path,
    config: Path | None,
) -> None:
    """Say whether an alert was right (true) or a false alarm (false).

    A label changes nothing by itself. It stays beside the evidence of its alert, from which
    `multa-trainer feedback` makes a dataset for the next training. What is said later of the same
    alert replaces what was said before; both stay in the file, with their authors. The first
    digits of an ALERT_ID will do.

    \b
    Examples:
      multa-sensor label b8cd1c436e9587d7 false --comment "our backup, every night"
      multa-sensor label --list
    """  # noqa: D301 -- click's mark for lines to leave alone
    if lists:
        if alert_id is not None:
            raise UsageError("--list shows all labels; leave the ALERT_ID out")
        _list(labels, as_json=as_json)
        return
    if alert_id is None or value is None:
        raise UsageError("say which alert and what it was, as in: label ALERT_ID true")
    require_beginning(alert_id)
    if value not in _VALUES:
        raise UsageError(f"{value}: is neither true (it was an attack) nor false (it was none)")
    if as_json:
        raise UsageError("--json goes with --list")
    alert = _alert(alert_id, places.Places(config), evidence, log)
    said = Label(
        alert.alert_id,
        _VALUES[value],
        alert.task,
        _checked("--author", author if author is not None else _login_name(), AUTHOR),
        timestamp(time.time_ns()),
        _checked("--comment", comment, COMMENT) if comment else "",
    )
    append(labels, said)
    what = "right" if said.value else "a false alarm"
    say(f"{alert.task} {alert.alert_id} was {what}, says {said.author} ({labels})")


def _list(path: Path, *, as_json: bool) -> None:
    unread = Unread()
    for each in current(path, unread).values():
        if as_json:
            click.echo(json.dumps(each.document()))
            continue
        value = click.style("true " if each.value else "false", bold=True)
        comment = f": {each.comment}" if each.comment else ""
        rest = f"{each.at[:10]} {each.at[11:16]} UTC, {each.author}{comment}"
        text = f"{each.task} {rest}".replace("\n", " ")
        click.echo(f"{each.alert_id} {value} {visible(text)}")
    if str(unread):
        say(f"{path}: {str(unread).replace('alert', 'label')}")


def _alert(
    alert_id: str, installed: places.Places, evidence: Path | None, log: str | None
) -> Alert:
    """An alert, by its evidence or the alert log.

    Raises:
        UsageError: its name is the beginning of several.
        MissingInputError: neither knows the alert.
    """
    folder = evidence if log else installed.evidence(evidence)
    if folder and (alert := _alert_of_evidence(folder, alert_id)):
        return alert
    if evidence and not log:
        raise MissingInputError(
            f"{alert_id}: there is no evidence of this alert in {evidence}; look for it with "
            "`multa-sensor alerts`, or name its log with --alerts"
        )
    path = installed.alert_log(log)
    where = f"neither in {path} nor in what it was rotated to"
    try:
        found = last_event(read([*rotated(path), path], Unread()), alert_id)
    except (MissingInputError, PermissionDeniedError) as error:
        found, where = None, str(error)
    if found is not None:
        return found
    among = f"there is no evidence of this alert in {folder}, and it" if folder else "it"
    raise MissingInputError(
        f"{alert_id}: {among} is not in the alert log ({where}); `multa-sensor alerts` shows what "
        "there is, --alerts names another log"
    )


def _alert_of_evidence(folder: Path, alert_id: str) -> Alert | None:
    """What evidence tells; None where there is none, or none that can be read."""
    try:
        return evidence_files.read(evidence_files.find(folder, alert_id)).alert
    except (MissingInputError, EvidenceError):
        return None


def _login_name() -> str:
    """Who is at the keyboard: whoever called sudo, else the user of this process."""
    user = os.environ.get("SUDO_USER")
    if user and os.geteuid() == 0:
        return user
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def _checked(option: str, text: str, longest: int) -> str:
    """What somebody said, without spaces around it.

    Raises:
        UsageError: it is empty or too long, or no text.
    """
    text = text.strip()
    if not text or len(text) > longest:
        raise UsageError(f"{option}: must have 1 to {longest:,} characters")
    if not text.isprintable():
        raise UsageError(f"{option}: holds characters that can't be shown; write plain text")
    return text
