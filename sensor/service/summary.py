"""What a replay found, for people: a few lines on standard error."""

import sys
from collections.abc import Sequence
from datetime import datetime, timezone

import click

from sensor.alerts.event import IncidentEvent
from sensor.flows.columns import address_text
from sensor.model.schema import TaskSpec
from sensor.pipeline import Lane
from sensor.service.statistics import Statistics

SHOWN = 8
"""Incidents of a task that are listed; the worst ones."""

REMEMBERED = 10_000
"""Incidents of all tasks that are kept for the list."""

_LINE = 32


class Summary:
    """Remembers how incidents ended, and tells of them."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        """Starts without incidents, for the tasks of these lanes."""
        self._tasks: list[tuple[str, TaskSpec]] = [
            (detector.name, task)
            for lane in lanes
            for detector in lane.detectors
            for task in detector.tasks
        ]
        self._ended: list[IncidentEvent] = []

    def add(self, event: IncidentEvent) -> None:
        """Takes in an event; every incident has an end, which holds its final counts."""
        if event.kind == "end" and len(self._ended) < REMEMBERED:
            self._ended.append(event)

    def show(self, what: str, statistics: Statistics) -> None:
        """Writes the summary to standard error.

        Args:
            what: names what was read.
            statistics: of the finished run.
        """
        text = "\n".join(self._lines(what, statistics)) + "\n"
        encoding = sys.stderr.encoding or "ascii"
        click.echo(text.encode(encoding, "replace").decode(encoding), err=True, nl=False)

    def _lines(self, what: str, statistics: Statistics) -> list[str]:
        lines = ["", f"  {click.style(what, bold=True)}", f"  {_measure(statistics)}", ""]
        quiet = []
        for detector, task in self._tasks:
            found = [
                event
                for event in self._ended
                if event.task.name == task.name and event.detector == detector
            ]
            if not found:
                quiet.append(task.name)
                continue
            found.sort(key=lambda event: (-event.worst.score, -event.flows))
            shown = sorted(found[:SHOWN], key=lambda event: event.first_packet_ns)
            width = max(len(address_text(*event.address)) for event in shown)
            name = click.style(task.name, bold=True, fg="red")
            by = click.style(f"(found by {detector})", dim=True)
            lines.append(f"  {name}: {_number(len(found), 'incident')} {by}")
            lines += [_incident(event, statistics, width) for event in shown]
            if len(found) > len(shown):
                lines.append(f"    … and {len(found) - len(shown):,} more")
            lines.append("")
        if quiet:
            lines += [f"  {click.style('nothing', fg='green')} of {', '.join(quiet)}", ""]
        return lines


def _measure(statistics: Statistics) -> str:
    counted = statistics.document()
    text = f"{_number(statistics.packets, 'packet')} in {_number(counted['flows'], 'flow')}"
    if statistics.packets:
        lasted = _duration((statistics.last_ns - statistics.first_ns) / 1e9)
        text += f", {lasted} from {_clock(statistics.first_ns, date=True)} UTC on"
    return f"{text}; looked at in {counted['seconds']:.1f} s"


def _incident(event: IncidentEvent, statistics: Statistics, width: int) -> str:
    role = "source" if event.task.incident.role == "originator" else "victim"
    lasted_s = (event.last_packet_ns - event.first_packet_ns) / 1e9
    when = f"{_clock(event.first_packet_ns)} for {_duration(lasted_s):<9}"
    what = f"{_number(event.flows, 'flow'):>12}, worst score {event.worst.score:.3f}"
    line = _timeline(event, statistics.first_ns, statistics.last_ns)
    return f"    {role} {address_text(*event.address):<{width}}  {line}  {when} {what}"


def _timeline(event: IncidentEvent, first_ns: int, last_ns: int) -> str:
    """When in the capture the incident was."""
    span = max(1, last_ns - first_ns)
    start = min(_LINE - 1, (event.first_packet_ns - first_ns) * _LINE // span)
    stop = min(_LINE, -(-(event.last_packet_ns - first_ns) * _LINE // span))
    stop = max(start + 1, stop)
    return "─" * start + click.style("█" * (stop - start), fg="red") + "─" * (_LINE - stop)


def _clock(time_ns: int, *, date: bool = False) -> str:
    time = datetime.fromtimestamp(time_ns // 1_000_000_000, timezone.utc)
    return time.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")


def _duration(seconds: float) -> str:
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
