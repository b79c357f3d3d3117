"""``multa-sensor allow``: which rules allow flows, what they have done, and whether one matches."""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import click

from sensor.alerts.allow import PROTOCOLS, AllowList, AllowRule, Flow, protocol_name
from sensor.alerts.eve import timestamp
from sensor.cli import completion, options, places, visible
from sensor.errors import MissingInputError, UsageError
from sensor.reporting.alert_choice import point_in_time
from sensor.reporting.alert_find import last_event
from sensor.reporting.alert_log import Alert, Unread, read, rotated
from sensor.service.config import configuration
from sensor.service.config.settings import DEFAULT_PATH, Settings

_STATUS_BYTES = 16 << 20

_config = click.option(
    "--config",
    type=options.folder,
    metavar="FILE",
    help=f"The configuration whose rules are meant.  [default: {DEFAULT_PATH}]",
)


@click.group(no_args_is_help=False)
def allow() -> None:
    """List the rules that allow flows, and ask which one would match.

    \b
    Example:
      multa-sensor allow test --task scan --source 192.168.1.5 --destination 10.0.0.1 --port 443
    """  # noqa: D301 -- click's mark for lines to leave alone


@allow.command("list")
@_config
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(config: Path | None, *, as_json: bool) -> None:
    """List the rules in order: what they allow, until when, and how often they matched.

    What can't be meant so is marked: a rule that has expired, one that an earlier rule covers, and
    one whose task nobody looks for. Numbers are those of the running sensor.

    \b
    Example:
      multa-sensor allow list
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings = configuration.read(config)
    status = _status(settings.health.status)
    shadowed = AllowList(settings.allow).shadowed()
    now_ns = time.time_ns()
    for rule, earlier in zip(settings.allow, shadowed, strict=True):
        told = _told(rule, status)
        problems = list(_problems(rule, earlier, _tasks(status), now_ns))
        if as_json:
            document = {
                **AllowList([rule]).document()[0],
                **{key: told.get(key) for key in ("matched", "last")},
                "rule": _words(rule),
                "problems": problems,
            }
            click.echo(json.dumps(document))
            continue
        click.echo(visible(f"{rule.place}  {_words(rule)}  ({rule.comment})"))
        expires = "never" if rule.expires_ns is None else timestamp(rule.expires_ns)
        click.echo(visible(f"    expires {expires}; {_matched(told)}"))
        for problem in problems:
            click.secho(visible(f"    PROBLEM: {problem}"), fg="yellow")
    if not settings.allow and not as_json:
        click.echo(f"no rules in {_source(settings)}")


@allow.command()
@click.argument("alert_id", required=False, metavar="[ALERT_ID]", shell_complete=completion.alerts)
@click.option("--task", metavar="NAME", help="Task of the alert.")
@click.option("--source", metavar="ADDRESS", help="Originator of the flow.")
@click.option("--destination", metavar="ADDRESS", help="Responder of the flow.")
@click.option("--port", type=click.IntRange(1, 65_535), metavar="N", help="Port of the responder.")
@click.option("--protocol", type=click.Choice(list(PROTOCOLS)), help="Protocol of the flow.")
@click.option("--at", metavar="TIME", help="Packet time at which it is asked.  [default: now]")
@places.alerts
@_config
def test(
    alert_id: str | None,
    *,
    task: str | None,
    source: str | None,
    destination: str | None,
    port: int | None,
    protocol: str | None,
    at: str | None,
    log: str | None,
    config: Path | None,
) -> None:
    """Tell whether a flow, or those that an alert tells of, would be allowed, and by which rule.

    A rule that names something which the question leaves open does not match. The exit status is 0
    if every flow is allowed, and 1 if one is not; then the rule that came closest is told. Of an
    ALERT_ID the first digits will do.

    \b
    Examples:
      multa-sensor allow test --task scan --source 192.168.1.5 --port 443 --protocol tcp
      multa-sensor allow test 0123456789abcdef --at 2027-01-01
    """  # noqa: D301 -- click's mark for lines to leave alone
    settings = configuration.read(config)
    now = datetime.now(timezone.utc)
    at_ns = round((point_in_time("--at", at, now) if at else now).timestamp()) * 10**9
    given = (task, source, destination, port, protocol)
    if alert_id is None:
        if given == (None,) * 5:
            raise UsageError("give an ALERT_ID, or a flow: --task, --source, --destination, …")
        if log:
            raise UsageError("--alerts goes with an ALERT_ID")
        number = PROTOCOLS[protocol] if protocol else None
        ends = _address("--source", source), _address("--destination", destination)
        sys.exit(0 if _answer(settings, Flow(task, *ends, port, number), at_ns) else 1)
    if given != (None,) * 5:
        raise UsageError("an ALERT_ID and options of a flow exclude each other")
    alert = _find(alert_id, log or settings.alerts.output)
    flows = list(dict.fromkeys(_flows(alert)))
    answers = [_answer(settings, flow, at_ns, named=True) for flow in flows]
    told = int(alert.multa["flows"])
    if told > len(flows):
        click.echo(f"(the alert has {told:,} flows, of which it shows {len(flows)})")
    sys.exit(0 if all(answers) else 1)


def _answer(settings: Settings, flow: Flow, at_ns: int, *, named: bool = False) -> bool:
    """Tells what the rules say of a flow."""
    about = f"{_described(flow)}: " if named else ""
    differing = [(rule.differences(flow, at_ns), rule) for rule in settings.allow]
    matching = next((rule for wrong, rule in differing if not wrong), None)
    if matching:
        click.echo(visible(f"{about}allowed by {_named(matching)}"))
        return True
    if not differing:
        click.echo(visible(f"{about}not allowed; no rules in {_source(settings)}"))
        return False
    wrong, closest = min(differing, key=lambda each: len(each[0]))
    count = f"{len(differing)} rules" if len(differing) > 1 else "the one rule"
    click.echo(
        visible(
            f"{about}not allowed by {count}; closest is {_named(closest)}, but {'; '.join(wrong)}"
        )
    )
    return False


def _find(alert_id: str, log: str) -> Alert:
    """The last event of an incident.

    Raises:
        UsageError: its name is none, or the beginning of several.
        MissingInputError: no log tells of it.
    """
    there = [log] if Path(log).exists() else []
    found = last_event(read([*rotated(log), *there], Unread()), alert_id.lower())
    if found is None:
        raise MissingInputError(
            f"{log}: tells of no alert {alert_id!r}; `multa-sensor alerts` lists those that there "
            "are, and --alerts names another log"
        )
    return found


def _flows(alert: Alert) -> Iterator[Flow]:
    """The flows that an alert shows: the one with the highest score, and the first ones."""
    sample = alert.multa.get("sample")
    others = sample if isinstance(sample, list) else []
    for told in (alert.document, *(each for each in others if isinstance(each, dict))):
        name = str(told.get("proto", "")).lower().replace("ipv6-icmp", "icmpv6")
        protocol = PROTOCOLS.get(name, int(name) if name.isdecimal() else None)
        try:
            source, destination = ip_address(told["src_ip"]), ip_address(told["dest_ip"])
        except (KeyError, ValueError):
            continue  # not one of our lines
        yield Flow(alert.task, source, destination, told.get("dest_port"), protocol)


def _address(option: str, text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text) if text is not None else None
    except ValueError:
        raise UsageError(f"{option} {text}: is no address; write one like 192.168.1.5") from None


def _status(path: Path | None) -> dict[str, Any]:
    """What a running sensor tells; empty where none does."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_STATUS_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _told(rule: AllowRule, status: dict[str, Any]) -> dict[str, Any]:
    """What a running sensor tells of a rule; empty if it does not know it."""
    entries = status.get("allow")
    wanted = AllowList([rule]).document()[0]
    for entry in entries if isinstance(entries, list) else []:
        if (
            isinstance(entry, dict)
            and all(entry.get(key) == wanted[key] for key in ("comment", "expires"))
            # One of the two may have named the configuration by a relative path.
            and os.path.abspath(str(entry.get("place"))) == os.path.abspath(wanted["place"])  # noqa: PTH100 -- a line's number follows
        ):
            return entry
    return {}


def _tasks(status: dict[str, Any]) -> set[str]:
    """Names of the tasks that a running sensor looks for; empty where none runs."""
    statistics = status.get("statistics")
    alerts = statistics.get("alerts") if isinstance(statistics, dict) else None
    return {str(name).partition("/")[2] for name in alerts} if isinstance(alerts, dict) else set()


def _problems(
    rule: AllowRule, earlier: AllowRule | None, tasks: set[str], now_ns: int
) -> Iterator[str]:
    if rule.expired(now_ns):
        yield "it has expired, so it allows nothing; renew it or take it out"
    if earlier:
        yield f"{_named(earlier)} allows all of this already; take one of them out"
    if rule.task is not None and tasks and rule.task not in tasks:
        yield f"nobody looks for {rule.task}; the tasks are {', '.join(sorted(tasks))}"


def _matched(told: dict[str, Any]) -> str:
    if not told:
        return "no running sensor tells of it"
    if not told.get("matched"):
        return "never matched"
    return f"matched {told['matched']} rows, the last at {told.get('last')}"


def _words(rule: AllowRule) -> str:
    """What a rule allows, in the words of the configuration."""
    entries: Sequence[tuple[str, object]] = (
        ("task", rule.task),
        ("source", rule.source),
        ("destination", rule.destination),
        ("port", rule.port),
        ("protocol", protocol_name(rule.protocol)),
    )
    return ", ".join(f"{name} {value}" for name, value in entries if value is not None) or "all"


def _described(flow: Flow) -> str:
    port = "" if flow.port is None else f" port {flow.port}"
    protocol = "" if flow.protocol is None else f" {protocol_name(flow.protocol)}"
    return f"{flow.task} {flow.source} → {flow.destination}{port}{protocol}"


def _named(rule: AllowRule) -> str:
    return f"{rule.place} ({rule.comment})"


def _source(settings: Settings) -> str:
    return str(settings.files[0]) if settings.files else f"{DEFAULT_PATH}, which does not exist"
