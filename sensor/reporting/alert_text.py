"""An alert as one line for people."""

from datetime import datetime

import click

from sensor.cli import visible
from sensor.quantities import duration, number
from sensor.reporting.alert_choice import withheld
from sensor.reporting.alert_log import Alert, is_real

WIDE = 120
"""Columns of a terminal from which on the columns of a line stand below each other."""

_COLOURS = {1: "red", 2: "yellow", 3: "cyan"}
"""Of severities, 1 being the most severe."""

_SHORT_ROLES = {"victim": "on", "source": "by", "peer": "of"}
"""An attack on somebody or by somebody, and the round-trip times of somebody."""

_EVENT_WIDTH, _TASK_WIDTH, _ADDRESS_WIDTH, _COUNT_WIDTH = 6, 17, 24, 24


def day(alert: Alert) -> str:
    """The day of an alert in this machine's zone."""
    return _local(alert.time).strftime("%Y-%m-%d")


def line(alert: Alert, *, wide: bool) -> str:
    """One alert.

    Args:
        alert: to show; what a terminal would obey is escaped.
        wide: with the date, how long it lasted, the score, and in columns.
    """
    time = _local(alert.time).strftime("%Y-%m-%d %H:%M:%S" if wide else "%H:%M:%S")
    mark = click.style(severity_mark(alert.severity), fg=_COLOURS.get(alert.severity), bold=True)
    event = f"{alert.event:<{_EVENT_WIDTH}}"
    if alert.event == "withheld":
        return f"{time} {mark} {event} {_withheld(alert)}"
    name = _plain(alert.task)
    task = click.style(name, fg=_COLOURS.get(alert.severity), bold=alert.event == "start")
    who, count, home = _who(alert, wide=wide), _count(alert, wide=wide), _home(alert, wide=wide)
    measured = _latency(alert) if wide and alert.measured else ""
    tail = [click.style(_plain(alert.alert_id), dim=True), *filter(None, (measured, home))]
    if not wide:
        return " ".join([time, mark, event, task, who, count, *tail])
    task += " " * max(0, _TASK_WIDTH - len(name))
    columns = [
        f"{who:<{_ADDRESS_WIDTH}}",
        f"{count:<{_COUNT_WIDTH}}",
        f"{alert.multa['score']:.3f}",
    ]
    return "  ".join([f"{time} {mark} {event} {task}", *columns, *tail])


def severity_mark(severity: int) -> str:
    """Three marks for the most severe, then two and one; a number that EVE does not have as it is.

    Colour says the same, for whoever sees it.
    """
    return {1: "!!!", 2: "!! ", 3: "!  "}.get(severity, f"{severity!s:.3}".ljust(3))


def _who(alert: Alert, *, wide: bool) -> str:
    role = alert.role
    role = role if wide else _SHORT_ROLES.get(role, role)
    name = f" ({alert.device})" if alert.device else ""
    return _plain(f"{role} {alert.address}{name}")


def _count(alert: Alert, *, wide: bool) -> str:
    text = number(*alert.amount)
    if alert.event == "start" or not wide:
        return text
    lasted = duration((alert.last_packet - alert.first_packet).total_seconds())
    reason = alert.multa.get("reason")
    why = f", {reason}" if isinstance(reason, str) and reason != "quiet" else ""
    return _plain(f"{text} in {lasted}{why}")


def _latency(alert: Alert) -> str:
    """The newest round-trip time and what was usual before it, where the alert tells."""
    latency = alert.multa["latency"]
    last, usual = latency.get("last_ms"), latency.get("usual_ms")
    newest = last[-1] if isinstance(last, list) and last else None
    times = [f"{each:.1f} ms" if is_real(each) else "none" for each in (newest, usual)]
    return _plain(f"{latency.get('kind', '?')!s:.9} {times[0]}, usual {times[1]}")


def _home(alert: Alert, *, wide: bool) -> str:
    """What is the operator's own, where the alert tells."""
    home = alert.multa.get("home")
    roles = home.get("roles") if isinstance(home, dict) else None
    if not isinstance(roles, list):
        return ""
    if not roles:
        return "passing through" if wide else ""
    inside = [str(role) for role in roles if role in ("victim", "source")]
    text = f"yours: {' and '.join(inside)}" if wide else "yours"
    return click.style(text, bold=True) if inside else ""


def _withheld(alert: Alert) -> str:
    total = alert.multa.get("alerts")
    text = number(total, "alert") if isinstance(total, int) else "alerts"
    tasks: dict[str, int] = {}
    for task, _, count in withheld(alert):
        tasks[task] = tasks.get(task, 0) + count
    named = ", ".join(f"{task} {count:,}" for task, count in list(tasks.items())[:8])
    return _plain(f"{text}, too many at once" + (f": {named}" if named else ""))


def _plain(text: str) -> str:
    """The text on one line, without anything that a terminal would obey."""
    return visible(text).replace("\n", "\\n")


def _local(time: datetime) -> datetime:
    return time.astimezone()
