"""What a replay found, for people: a few lines on standard error."""

import heapq
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import click

from sensor.alerts.event import HomeView, IncidentEvent, SeriesEvidence
from sensor.alerts.home import PEERS
from sensor.flows.columns import address_text
from sensor.lane import Lane
from sensor.quantities import duration, number
from sensor.service.health.statistics import Statistics

SHOWN = 8
"""Incidents of a task that are listed; the worst ones."""

_LINE = 32


@dataclass(slots=True)
class _Ended:
    """The incidents of a task that have ended: their number, and a heap of the worst ones."""

    count: int = 0
    worst: list[tuple[float, int, int, IncidentEvent]] = field(default_factory=list)

    def add(self, event: IncidentEvent) -> None:
        self.count += 1
        # Of equally bad ones the first ones stay; no two have the same count.
        heapq.heappush(self.worst, (event.worst.score, event.flows, -self.count, event))
        if len(self.worst) > SHOWN:
            heapq.heappop(self.worst)


class Summary:
    """Counts the incidents that have ended, remembers the worst of each task, tells of them."""

    def __init__(self, lanes: Iterable[Lane]) -> None:
        """Starts without incidents, for the tasks of these lanes."""
        self._ended = defaultdict(
            _Ended,
            {
                (detector.name, task.name): _Ended()
                for lane in lanes
                for detector in lane.detectors
                for task in detector.tasks
            },
        )

    def add(self, event: IncidentEvent) -> None:
        """Takes in an event; every incident has an end, which holds its final counts."""
        if event.kind == "end":
            # Without the rows that it has kept, which nobody asks of a summary.
            self._ended[event.detector, event.task.name].add(replace(event, kept=None))

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
        for (detector, task), ended in self._ended.items():
            if not ended.count:
                quiet.append(task)
                continue
            in_time = sorted(ended.worst, key=lambda entry: (entry[-1].first_packet_ns, -entry[2]))
            shown = [event for *_, event in in_time]
            width = max(len(address_text(*event.address)) for event in shown)
            name = click.style(task, bold=True, fg="red")
            by = click.style(f"(found by {detector})", dim=True)
            lines.append(f"  {name}: {number(ended.count, 'incident')} {by}")
            lines += [_incident(event, statistics, width) for event in shown]
            if ended.count > len(shown):
                lines.append(f"    … and {ended.count - len(shown):,} more")
            lines.append("")
        if quiet:
            lines += [f"  {click.style('nothing', fg='green')} of {', '.join(quiet)}", ""]
        if said := statistics.document()["annotations"]:
            lines += [*_annotations(said), ""]
        return lines


def _annotations(said: Mapping[str, Any]) -> list[str]:
    # A run that tells no summary saves the memory of this.
    from sensor.reporting.status_page import annotations  # noqa: PLC0415

    return [f"  {line}" for line in annotations({"annotations": said})]


def _measure(statistics: Statistics) -> str:
    counted = statistics.document()
    text = f"{number(statistics.packets, 'packet')} in {number(counted['flows'], 'flow')}"
    if statistics.packets:
        lasted = duration((statistics.last_ns - statistics.first_ns) / 1e9)
        text += f", {lasted} from {_clock(statistics.first_ns, date=True)} UTC on"
    if statistics.shed:
        text += f", {number(statistics.shed, 'row')} not looked at"
    return f"{text}; looked at in {counted['seconds']:.1f} s"


def _incident(event: IncidentEvent, statistics: Statistics, width: int) -> str:
    lasted_s = (event.last_packet_ns - event.first_packet_ns) / 1e9
    when = f"{_clock(event.first_packet_ns)} for {duration(lasted_s):<9}"
    role, amount = str(event.role), number(event.flows, "flow")
    if isinstance(event.worst, SeriesEvidence):
        role = "peer" if role == "victim" else role
        amount = number(event.rows, "measurement")
    what = f"{amount:>12}, worst score {event.worst.score:.3f}"
    line = _timeline(event, statistics.first_ns, statistics.last_ns)
    where = f", {_whose(event, event.home)}" if event.home else ""
    return f"    {role} {address_text(*event.address):<{width}}  {line}  {when} {what}{where}"


def _whose(event: IncidentEvent, home: HomeView) -> str:
    """Which ends of an incident are inside."""
    if not event.home_roles:
        return "passing through"
    named = [str(event.role)] if home.inside else []
    if count := len(home.peers):
        more = " or more" if count == PEERS else ""
        named.append(number(count, event.home_roles[-1]) + more)
    verb = "is" if home.inside + count == 1 else "are"
    return click.style(f"{' and '.join(named)} {verb} inside", bold=True)


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
