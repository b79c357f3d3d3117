"""Drawings of a report, as SVG that stands in the page itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from math import log10

from sensor.quantities import duration, number
from sensor.reporting.report_facts import Incident
from sensor.reporting.report_markup import plain

WIDTH, LABELS = 1000, 170
"""Of the timeline, and of the names at its left, in units of the drawing."""

ROWS = 4
"""Incidents of a task at the same time that are drawn below each other; more become columns."""

_COLUMNS = 240
"""Of a task with more incidents at once."""

_BAR, _LANE, _AXIS = 9, 44, 26

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)
_DAY_S = 86_400


@dataclass(frozen=True)
class Span:
    """A length of time that is drawn from left to right."""

    start: datetime
    stop: datetime

    @classmethod
    def around(cls, times: Sequence[datetime]) -> "Span":
        """From the first to the last time, at least a second and a little more at both ends."""
        first, last = min(times), max(times)
        margin = max(timedelta(seconds=0.5), (last - first) * 0.02)
        return cls(first - margin, last + margin)

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.stop - self.start).total_seconds()

    def place(self, time: datetime) -> float:
        """Where a time is, from 0 to 1; what lies outside is at the end that it is nearer to."""
        share = (time - self.start).total_seconds() / self.seconds
        return min(1.0, max(0.0, share))

    def ticks(self) -> list[datetime]:
        """At most eight round times within it, of this machine's zone."""
        wanted = self.seconds / 8
        step = next((s for s in _STEPS_S if s >= wanted), None)
        if step is None:
            step = _DAY_S * max(1, -(-int(wanted) // _DAY_S))
        start = self.start.astimezone()
        offset = start.utcoffset() or timedelta()
        first = -(-int(start.timestamp() + offset.total_seconds()) // step) * step
        zone_s = offset.total_seconds()
        times = (first - zone_s + k * step for k in range(10))
        found = [datetime.fromtimestamp(each, timezone.utc) for each in times]
        return [each for each in found if self.start <= each <= self.stop]

    def label(self, time: datetime) -> str:
        """A time of the axis."""
        form = "%H:%M:%S" if self.seconds < 480 else "%H:%M"
        if self.seconds > _DAY_S:
            form = "%m-%d" if self.seconds > 8 * _DAY_S else "%m-%d %H:%M"
        return time.astimezone().strftime(form)


def timeline(
    tasks: dict[str, list[Incident]], blind: Sequence[tuple[datetime, datetime, str]], span: Span
) -> str:
    """Incidents of each task on a common axis of time, with the times at which nothing was seen.

    Args:
        tasks: incidents by task.
        blind: beginning, end and a text of each interval.
        span: what is drawn.
    """
    height = _LANE * len(tasks) + _AXIS
    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>Incidents of {number(len(tasks), 'task')} over time, as in the table</title>",
    ]
    for start, stop, text in blind:
        if start < span.stop and stop > span.start:
            left, right = _x(span, start), _x(span, stop)
            parts.append(
                f'<rect class="blind" x="{left:.1f}" y="0" width="{max(2, right - left):.1f}" '
                f'height="{height - _AXIS}"><title>{plain(text)}</title></rect>'
            )
    for time in span.ticks():
        x = _x(span, time)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - _AXIS + 4}"/>'
            f'<text class="tick" x="{x:.1f}" y="{height - 8}">{span.label(time)}</text>'
        )
    for place, (task, incidents) in enumerate(tasks.items()):
        top = place * _LANE
        parts.append(
            f'<line class="lane" x1="0" x2="{WIDTH}" y1="{top + _LANE}" y2="{top + _LANE}"/>'
            f'<text class="task" x="0" y="{top + 20}">{plain(_cut(task, 22))}</text>'
            f'<text class="tick left" x="0" y="{top + 35}">{number(len(incidents), "incident")}'
            "</text>"
        )
        parts += _lane(incidents, span, top)
    return "".join([*parts, "</svg>"])


def _lane(incidents: list[Incident], span: Span, top: float) -> list[str]:
    rows = _packed(incidents, span)
    return _columns(incidents, span, top) if rows is None else _bars(rows, span, top)


def _packed(incidents: list[Incident], span: Span) -> list[list[Incident]] | None:
    """Incidents in rows, in which none hides another; None if there are too many at once."""
    rows: list[list[Incident]] = []
    ends: list[float] = []
    for incident in sorted(incidents, key=lambda each: each.first):
        left = _x(span, incident.first)
        right = max(_x(span, incident.last), left + 3) + 1
        row = next((k for k, end in enumerate(ends) if end <= left), len(ends))
        if row == ROWS:
            return None
        if row == len(ends):
            ends.append(right)
            rows.append([incident])
        else:
            ends[row] = right
            rows[row].append(incident)
    return rows


def _bars(rows: list[list[Incident]], span: Span, top: float) -> list[str]:
    begin = top + (_LANE - len(rows) * (_BAR + 1)) / 2
    parts = []
    for place, row in enumerate(rows):
        for each in row:
            left, right = _x(span, each.first), _x(span, each.last)
            text = (
                f"{each.task}, {each.role} {each.address}"
                + (f" ({each.device})" if each.device else "")
                + f", {each.first.astimezone():%Y-%m-%d %H:%M:%S} for {duration(each.seconds)}, "
                f"{number(each.flows, 'flow')}, score {each.score:.3f}, {each.alert_id}"
            )
            parts.append(
                f'<rect class="{severity_class(each.severity)}" x="{left:.1f}" '
                f'y="{begin + place * (_BAR + 1):.1f}" width="{max(3, right - left):.1f}" '
                f'height="{_BAR}" rx="1.5"><title>{plain(text)}</title></rect>'
            )
    return parts


def _columns(incidents: list[Incident], span: Span, top: float) -> list[str]:
    """How many incidents there were at a time, as columns of logarithmic height."""
    counts, severity = [0] * _COLUMNS, [255] * _COLUMNS
    for each in incidents:
        last = min(_COLUMNS - 1, int(span.place(each.last) * _COLUMNS))
        for column in range(min(last, int(span.place(each.first) * _COLUMNS)), last + 1):
            counts[column] += 1
            severity[column] = min(severity[column], each.severity)
    width = (WIDTH - LABELS) / _COLUMNS
    greatest = log10(1 + max(counts))
    parts = []
    for column, count in enumerate(counts):
        if not count:
            continue
        height = max(2, (_LANE - 8) * log10(1 + count) / greatest)
        time = span.start + timedelta(seconds=span.seconds * column / _COLUMNS)
        parts.append(
            f'<rect class="{severity_class(severity[column])}" x="{LABELS + column * width:.1f}" '
            f'y="{top + _LANE - 2 - height:.1f}" width="{width - 0.4:.1f}" height="{height:.1f}">'
            f"<title>{time.astimezone():%Y-%m-%d %H:%M:%S}: {number(count, 'incident')}</title>"
            "</rect>"
        )
    return parts


def histogram(
    name: str,
    edges: Sequence[float],
    counts: Sequence[int],
    threshold: float | None,
    what: str,
    *,
    positive: bool = False,
) -> str:
    """How often which score was given, on a logarithmic scale.

    Args:
        name: of what was scored.
        edges: ``len(counts) + 1`` ascending borders of the scores.
        counts: of each interval.
        threshold: from which on scores are positive, if known.
        what: is counted, in the singular.
        positive: all scores are, those too that share an interval with the threshold.
    """
    width, height, floor = 320, 96, 78
    low, high = edges[0], edges[-1]
    greatest = log10(1 + max(counts, default=0)) or 1

    def x(score: float) -> float:
        return 4 + (width - 8) * (score - low) / (high - low)

    total = number(sum(counts), what)
    parts = [f'<svg class="histogram" viewBox="0 0 {width} {height}" role="img">']
    parts.append(f"<title>{plain(name)}: scores of {total}</title>")
    for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            tall = max(2, (floor - 8) * log10(1 + count) / greatest)
            above = positive or (threshold is not None and left >= threshold)
            kind = "s2" if above else "plain"
            parts.append(
                f'<rect class="{kind}" x="{x(left) + 0.5:.1f}" y="{floor - tall:.1f}" '
                f'width="{max(1, x(right) - x(left) - 1):.1f}" height="{tall:.1f}"><title>'
                f"{left:.3g} to {right:.3g}: {number(count, what)}</title></rect>"
            )
    parts.append(f'<line class="lane" x1="4" x2="{width - 4}" y1="{floor}" y2="{floor}"/>')
    if threshold is not None and low <= threshold <= high:
        place = x(threshold)
        parts.append(
            f'<line class="threshold" x1="{place:.1f}" x2="{place:.1f}" y1="2" y2="{floor}">'
            f"<title>threshold {threshold:.3g}</title></line>"
        )
    for score, anchor in ((low, "left"), (high, "right")):
        parts.append(
            f'<text class="tick {anchor}" x="{x(score):.1f}" y="{floor + 14}">{score:.3g}</text>'
        )
    return "".join([*parts, "</svg>"])


def severity_class(severity: int) -> str:
    """Class of the page's style."""
    return f"s{min(max(severity, 1), 3)}"


def _x(span: Span, time: datetime) -> float:
    return LABELS + (WIDTH - LABELS - 4) * span.place(time)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
