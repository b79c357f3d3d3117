"""An explanation as a picture: one SVG that needs nothing beside itself.

Colours, sizes and fonts are attributes, so that a page with a strict content policy can hold it as
well. What came from elsewhere is escaped, for people and for XML.
"""

import textwrap
from collections.abc import Sequence
from html import escape

from sensor.cli import visible
from sensor.reporting import explanation_words as words
from sensor.reporting.evidence_files import Row
from sensor.reporting.explanation import Explanation, PartScore, RowExplanation

WIDTH, MARGIN = 960, 28
ROWS = 3
"""Rows that are drawn, side by side."""

_INK, _SOFT, _LINE, _PAPER = "#1b1f24", "#59636e", "#d1d9e0", "#ffffff"
_FORTH, _BACK, _LOST, _BAR = "#1f6feb", "#9a3fb5", "#c8102e", "#8fb4e3"
_EXPERTS = ("#1f6feb", "#e3871a", "#2e9e5b", "#9a3fb5", "#c8102e", "#0f8b8d", "#8d6e3a", "#6b7280")
_FONT = "DejaVu Sans, Segoe UI, Helvetica, Arial, sans-serif"
_LETTER = 0.56
"""Average width of a letter, in font sizes."""

_STEP, _GAP = 26, 18

_TIMES, _SCORES = 110, 40
"""Heights of round-trip times, and of scores below them."""
_NONE = "#f3c6cd"
"""Colour of what was not answered."""


class _Paper:
    """Elements of a picture, from the top down; `y` is where the next ones go."""

    def __init__(self) -> None:
        self.elements: list[str] = []
        self.y = float(MARGIN)

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        size: float = 12,
        fill: str = _INK,
        anchor: str = "start",
        bold: bool = False,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self.elements.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}" '
            f'text-anchor="{anchor}"{weight}>{escape(visible(content))}</text>'
        )

    def paragraph(self, content: str, size: float, *, fill: str = _INK, bold: bool = False) -> None:
        letters = int((WIDTH - 2 * MARGIN) / (size * (_LETTER + 0.03 * bold)))
        for each in textwrap.wrap(visible(content), letters, break_on_hyphens=False):
            self.y += size * 1.4
            self.text(MARGIN, self.y, each, size=size, fill=fill, bold=bold)
        self.y += size * 0.5

    def rect(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        self.elements.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.1f}" height="{height:.1f}" '
            f'rx="2" fill="{fill}"/>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: str, dashes: str = ""
    ) -> None:
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.elements.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" '
            f'stroke-width="1.2"{dashed}/>'
        )

    def arrow(self, x1: float, x2: float, y: float, stroke: str) -> None:
        """A line from x1 with its head at x2."""
        back = 7 if x2 > x1 else -7
        self.line(x1, y, x2 - back / 2, y, stroke)
        points = f"{x2:.1f},{y:.1f} {x2 - back:.1f},{y - 4:.1f} {x2 - back:.1f},{y + 4:.1f}"
        self.elements.append(f'<polygon points="{points}" fill="{stroke}"/>')


def picture(explanation: Explanation) -> str:
    """The explanation as an SVG document, without a declaration: it may stand in a page as well."""
    paper = _Paper()
    paper.paragraph(explanation.title, 19, bold=True)
    paper.paragraph(explanation.incident, 13)
    if explanation.verdict:
        paper.paragraph(explanation.verdict, 13)
    if explanation.parts:
        _parts(paper, explanation)
    if explanation.gates:
        _gates(paper, explanation.gates)
    (_windows if explanation.evidence.measured else _rows)(paper, explanation)
    alert = explanation.evidence.alert
    colour = _SOFT if explanation.agrees else _LOST
    paper.paragraph(explanation.check, 11, fill=colour)
    paper.y -= 6
    told = f"{alert.time.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    paper.paragraph(f"Alert {alert.alert_id}, as of its {alert.event} at {told}.", 11, fill=_SOFT)
    height = paper.y + MARGIN / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}" font-family="{_FONT}" role="img">'
        f"<title>{escape(visible(explanation.title))}</title>"
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="{_PAPER}"/>'
        f"{''.join(paper.elements)}</svg>\n"
    )


def _heading(paper: _Paper, content: str, more: str) -> None:
    paper.y += _GAP + 10
    paper.text(MARGIN, paper.y, content, size=14, bold=True)
    paper.text(
        MARGIN + (len(content) + 2) * 14 * (_LETTER + 0.06), paper.y, more, size=11, fill=_SOFT
    )
    paper.y += 8


def _parts(paper: _Paper, explanation: Explanation) -> None:
    """Bars of the score without each part, with the threshold across them."""
    threshold = words.threshold(explanation.evidence.alert)
    _heading(paper, "What the score rests on", f"mean score {explanation.instead}")
    left, right = MARGIN + 190, WIDTH - MARGIN - 70
    x = left + threshold * (right - left)
    paper.y += 14
    paper.text(x, paper.y, f"alarm from {threshold:g}", size=10.5, fill=_SOFT, anchor="middle")
    top = paper.y + 5
    bars: list[tuple[str, PartScore | None]] = [("as it was found", None)]
    bars += [(part.name, part) for part in explanation.parts]
    for name, part in bars:
        paper.y += 21
        paper.text(left - 10, paper.y, name, anchor="end", bold=part is None)
        value = part.after if part else explanation.before
        if value is None:
            paper.text(left + 4, paper.y, "no benign row has another", size=11, fill=_SOFT)
            continue
        lost = value < threshold
        fill = _LOST if lost else (_BAR if part else _FORTH)
        paper.rect(left, paper.y - 11, value * (right - left), 14, fill)
        ink = _LOST if lost else _INK
        paper.text(right + 10, paper.y, words.score(value), fill=ink, bold=lost)
    paper.line(left, top, left, paper.y + 8, _LINE)
    paper.line(right, top, right, paper.y + 8, _LINE)
    paper.line(x, top, x, paper.y + 8, _INK, "4 3")
    paper.y += 8


def _gates(paper: _Paper, gates: Sequence[float]) -> None:
    _heading(paper, "Experts", "that the task's gate heard, by weight")
    paper.y += 8
    _gate_bar(paper, MARGIN, WIDTH - 2 * MARGIN, gates, 22)
    paper.y += 22


def _gate_bar(paper: _Paper, x: float, width: float, gates: Sequence[float], height: float) -> None:
    for number, weight in enumerate(gates, 1):
        part = weight * width
        paper.rect(x, paper.y, part, height, _EXPERTS[(number - 1) % len(_EXPERTS)])
        label = f"expert {number}: {weight:.0%}" if part > 90 else f"{number}" if part > 12 else ""
        if label:
            y = paper.y + height / 2 + 4
            paper.text(x + part / 2, y, label, size=11, fill=_PAPER, anchor="middle")
        x += part


def _rows(paper: _Paper, explanation: Explanation) -> None:
    """The first rows, side by side: packets as arrows between two lines."""
    shown = explanation.rows[:ROWS]
    without = any(each.without_packets for each in shown)
    _heading(
        paper,
        "Packets",
        "from the originator (left) to the responder and back"
        + ("; at the right the score without each, red where it is no alarm" if without else ""),
    )
    room = (WIDTH - 2 * MARGIN + _GAP) / max(1, len(shown))
    captions = [_caption(explanation, each, room - _GAP) for each in shown]
    top, most = paper.y, max(map(len, captions), default=0)
    bottom = top
    for place, (each, caption) in enumerate(zip(shown, captions, strict=True)):
        x, paper.y = MARGIN + place * room, top + 20
        paper.text(x, paper.y, f"{place + 1}. {_named(each.row)}", size=12.5, bold=True)
        for line, content in enumerate(caption, 1):
            paper.text(x, paper.y + 15 * line, content, size=11, fill=_SOFT)
        paper.y += 15 * most
        _ladder(paper, explanation, each, x, room - _GAP)
        bottom = max(bottom, paper.y)
    paper.y = bottom + _GAP


def _named(row: Row) -> str:
    return f"{row.protocol}{words.stretch(row)}, score {words.score(row.score)}"


def _caption(explanation: Explanation, explained: RowExplanation, width: float) -> list[str]:
    about = words.circumstances(explanation.evidence, explained.place)
    letters = int(width / (11 * _LETTER))
    return [line for each in about for line in textwrap.wrap(each, letters)]


def _ends(paper: _Paper, ends: tuple[str, str], x: float, width: float) -> None:
    """Names of both ends, one below the other where they are as long as those of IPv6."""
    longest = max(map(len, ends))
    size = min(11.0, width / (longest * _LETTER * 1.05))
    paper.text(x, paper.y, ends[0], size=size)
    if (sum(map(len, ends)) + 3) * size * _LETTER > width:
        paper.y += 14
    paper.text(x + width, paper.y, ends[1], size=size, anchor="end")


def _ladder(
    paper: _Paper, explanation: Explanation, explained: RowExplanation, x: float, width: float
) -> None:
    """The packets of a row between the lines of its two ends, and its experts below."""
    batch, row, without = explanation.evidence.batch, explained.row, explained.without_packets
    threshold = words.threshold(explanation.evidence.alert)
    left, right = x + 58, x + width - (48 if without else 4)
    paper.y += 26
    _ends(paper, words.ends(row), x, width)
    top = paper.y + 6
    for k, time_us in enumerate(row.time_us):
        paper.y += _STEP
        forth = batch.direction[explained.place, k] > 0
        tail, head = (left, right) if forth else (right, left)
        paper.arrow(tail, head, paper.y, _FORTH if forth else _BACK)
        label = words.packet(batch, explained.place, k)
        paper.text((left + right) / 2, paper.y - 4, label, size=10.5, anchor="middle")
        time = words.microseconds(time_us)
        paper.text(left - 6, paper.y + 4, time, size=10, fill=_SOFT, anchor="end")
        if without:
            ink = _LOST if without[k] < threshold else _SOFT
            bold = words.matters(explained.row.score, without, k)
            value = words.score(without[k])
            paper.text(x + width, paper.y + 4, value, size=10.5, fill=ink, anchor="end", bold=bold)
    paper.y += 10
    for edge in (left, right):
        paper.line(edge, top, edge, paper.y, _SOFT)
    _heard(paper, explained, x, width)


def _heard(paper: _Paper, explained: RowExplanation, x: float, width: float) -> None:
    if explained.gates:
        paper.y += 12
        _gate_bar(paper, x, width, explained.gates, 15)
        paper.y += 15


def _windows(paper: _Paper, explanation: Explanation) -> None:
    """The first rows, one below the other: round-trip times, and the score without each."""
    shown = explanation.rows[:ROWS]
    without = any(each.without_packets for each in shown)
    _heading(
        paper,
        "Round-trip times",
        "the newest at the right; red: no answer; dashed: what was usual before it"
        + ("; below: the score without each, red: no alarm" if without else ""),
    )
    for place, each in enumerate(shown, 1):
        source, destination = words.ends(each.row)
        paper.y += 22
        head = f"{place}. {source} → {destination} {_named(each.row)}"
        paper.text(MARGIN, paper.y, head, size=12.5, bold=True)
        for line in words.circumstances(explanation.evidence, each.place):
            paper.y += 15
            paper.text(MARGIN, paper.y, line, size=11, fill=_SOFT)
        paper.y += 10
        _window(paper, explanation, each)
        _heard(paper, each, MARGIN, WIDTH - 2 * MARGIN)
    paper.y += _GAP


def _window(paper: _Paper, explanation: Explanation, explained: RowExplanation) -> None:
    """A window: a column for each measurement, and one below for the score without it."""
    batch, row, without = explanation.evidence.batch, explained.row, explained.without_packets
    left, right = MARGIN + 78, WIDTH - MARGIN - 4
    step = (right - left) / len(row.time_us)
    rtts = batch.rtt[explained.place, : len(row.time_us)]
    answered = batch.answered[explained.place, : len(row.time_us)] > 0
    most = max(1, int(rtts.max()))
    top, paper.y = paper.y, paper.y + _TIMES
    for k in range(len(row.time_us)):
        height = rtts[k] / most * _TIMES if answered[k] else _TIMES
        fill = _FORTH if answered[k] else _NONE
        paper.rect(left + k * step, paper.y - height, max(1.0, step - 2), height, fill)
    marks = {most: words.microseconds(most)} if answered.any() else {}
    usual = words.usual_us(batch, explained.place)
    if 0 < usual <= most:
        y = paper.y - usual / most * _TIMES
        paper.line(left, y, right, y, _INK, "4 3")
        if y - top > 14:
            marks[usual] = f"usual {words.microseconds(usual)}"
    for value, label in marks.items():
        y = paper.y - value / most * _TIMES + 4
        paper.text(left - 6, y, label, size=9, fill=_SOFT, anchor="end")
    paper.line(left, paper.y, right, paper.y, _SOFT)
    paper.y += 14
    paper.text(left, paper.y, f"−{words.microseconds(row.time_us[-1])}", size=10, fill=_SOFT)
    if without:
        _scores_without(paper, without, words.threshold(explanation.evidence.alert), left, step)


def _scores_without(
    paper: _Paper, without: Sequence[float], threshold: float, left: float, step: float
) -> None:
    paper.y += _SCORES + 4
    for k, score in enumerate(without):
        fill = _LOST if score < threshold else _BAR
        height = score * _SCORES
        paper.rect(left + k * step, paper.y - height, max(1.0, step - 2), height, fill)
    y = paper.y - threshold * _SCORES
    paper.line(left, y, left + len(without) * step, y, _INK, "4 3")
    paper.text(left - 6, y + 4, f"alarm {threshold:.2g}", size=9, fill=_SOFT, anchor="end")
    paper.y += 4
