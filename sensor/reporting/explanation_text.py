"""An explanation for a terminal."""

import textwrap
from collections.abc import Iterator

import click

from sensor.cli import visible
from sensor.reporting import explanation_words as words
from sensor.reporting.explanation import Explanation, PartScore, RowExplanation

NARROWEST, WIDEST = 60, 110
"""Columns that are used of a terminal."""

_TIME, _AFTER = 9, 9
_NAME = 31
_HEIGHT = 8
"""Lines of a window of round-trip times."""
_FULL = "█"
_UPWARDS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉"


def text(explanation: Explanation, width: int) -> str:
    """The explanation in lines of at most `width` columns (`NARROWEST` if that is more).

    What came from elsewhere is escaped; colours are click's to leave out.
    """
    width = min(WIDEST, max(NARROWEST, width))
    alert = explanation.evidence.alert
    lines = [
        "",
        *(click.style(each, bold=True) for each in _wrapped(explanation.title, width)),
        *_wrapped(explanation.incident, width),
        "",
    ]
    if explanation.verdict:
        lines += [*_wrapped(explanation.verdict, width), ""]
    lines += list(_parts(explanation, width))
    if explanation.gates:
        lines += [*_wrapped(words.consulted(explanation.gates), width), ""]
    for number, row in enumerate(explanation.rows, 1):
        lines += [*_row(explanation, row, number, width), ""]
    colour = {False: "red", None: "yellow"}.get(explanation.agrees)
    lines += [
        click.style(each, fg=colour, dim=not colour) for each in _wrapped(explanation.check, width)
    ]
    evidence = explanation.evidence
    about = (
        f"Alert {alert.alert_id} ({alert.task}), as of its {alert.event} at "
        f"{alert.time.astimezone():%Y-%m-%d %H:%M:%S %Z}. Of {evidence.seen:,} positive rows "
        f"{len(evidence.rows)} are kept, {len(explanation.rows)} of them shown."
    )
    lines += [click.style(each, dim=True) for each in _wrapped(about, width)]
    return "\n".join(lines) + "\n"


def _wrapped(long: str, width: int) -> list[str]:
    return textwrap.wrap(visible(long), width, break_on_hyphens=False)


def _parts(explanation: Explanation, width: int) -> Iterator[str]:
    """How far the score falls without each part, the mean of the sampled rows."""
    if not explanation.parts:
        return
    before = explanation.before
    threshold = words.threshold(explanation.evidence.alert)
    room = width - _NAME - _AFTER
    place = min(room - 2, max(1, round(threshold * room)))
    yield from _wrapped(
        f"Mean score {words.score(before)}; {explanation.instead} it would be:", width
    )
    axis = f"{'─' * place}┼{'─' * (room - place - 1)}"
    yield f"{f'alarm from {threshold:g} on (┼)':<{_NAME}}{axis}"
    for part in explanation.parts:
        yield _part(part, threshold, room, indent=2)
        for member in part.members:
            if member.after is not None and member.after < before - words.NOTICEABLE:
                yield click.style(_part(member, threshold, room, indent=4), dim=True)
    yield ""


def _part(part: PartScore, threshold: float, room: int, indent: int) -> str:
    name = f"{' ' * indent}{part.name:<{_NAME - indent}}"
    if part.after is None:
        return f"{name}(no benign row has another)"
    lost = part.after < threshold
    value = click.style(f"{words.score(part.after):>{_AFTER - 1}}", fg="red" if lost else None)
    return f"{name}{_bar(part.after, room)}{value}"


def _bar(share: float, room: int) -> str:
    eighths = round(share * room * 8)
    bar = _FULL * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
    return f"{bar:<{room}}"


def _row(
    explanation: Explanation, explained: RowExplanation, number: int, width: int
) -> Iterator[str]:
    row = explained.row
    source, destination = words.ends(row)
    kind = words.stretch(row)
    head = (
        f"{number}. {source} → {destination} {row.protocol}{kind}: score {words.score(row.score)}"
    )
    yield from (click.style(each, bold=True) for each in _wrapped(head, width))
    about = "; ".join(words.circumstances(explanation.evidence, explained.place))
    yield from (click.style(f"   {each}", dim=True) for each in _wrapped(about, width - 3))
    shown = _window if explanation.evidence.measured else _packets
    yield from shown(explanation, explained, width)
    if explained.gates:
        told = _wrapped(words.consulted(explained.gates), width - 3)
        yield from (click.style(f"   {each}", dim=True) for each in told)


def _packets(explanation: Explanation, explained: RowExplanation, width: int) -> Iterator[str]:
    """The packets as arrows between the two ends, the originator at the left."""
    batch, place, row = explanation.evidence.batch, explained.place, explained.row
    without = explained.without_packets
    room = width - _TIME - 6 - (_AFTER if without else 0)
    threshold = words.threshold(explanation.evidence.alert)
    head = f"   {'originator':>{_TIME + 11}}{'responder':>{room - 8}}"
    yield click.style(head + (f"{'without':>{_AFTER}}" if without else ""), dim=True)
    for k, time_us in enumerate(row.time_us):
        label = f" {words.packet(batch, place, k)} "
        line = "─" * max(0, room - 1 - len(label))
        forth = batch.direction[place, k] > 0
        arrow = f"──{label}{line[2:]}▶" if forth else f"◀{line[2:]}{label}──"
        arrow = click.style(arrow, fg="cyan" if forth else "magenta")
        after = ""
        if without:
            value = f"{words.score(without[k]):>{_AFTER - 1}}"
            bold = words.matters(row.score, without, k)
            after = click.style(
                f" {value}", bold=bold, fg="red" if without[k] < threshold else None
            )
        yield f"   {words.microseconds(time_us):>{_TIME}} │{arrow}│{after}"


def _window(explanation: Explanation, explained: RowExplanation, width: int) -> Iterator[str]:
    """The round-trip times of a window as columns, the newest at the right."""
    batch, place, row = explanation.evidence.batch, explained.place, explained.row
    begin = max(0, len(row.time_us) - (width - 3 - _TIME - 3))
    steps = range(begin, len(row.time_us))
    rtts, answered = batch.rtt[place].tolist(), batch.answered[place].tolist()
    most = max((rtts[k] for k in steps if answered[k]), default=0)
    for line in range(_HEIGHT, 0, -1):
        label = words.microseconds(most) if line == _HEIGHT and most else ""
        cells = []
        for k in steps:
            if answered[k]:
                eighths = max(1, round(rtts[k] / max(1, most) * _HEIGHT * 8)) - 8 * (line - 1)
                cells.append(_UPWARDS[min(8, max(0, eighths))])
            else:
                cells.append(click.style("×", fg="red") if line == 1 else " ")
        yield f"   {label:>{_TIME}} │{''.join(cells)}│"
    without = explained.without_packets
    if without:
        threshold = words.threshold(explanation.evidence.alert)
        marks = (click.style("▼", fg="red") if without[k] < threshold else "·" for k in steps)
        yield f"   {'without':>{_TIME}} │{''.join(marks)}│"
    legend = f"from {words.microseconds(row.time_us[-1] - row.time_us[begin])} before the newest on"
    legend += "; × no answer"
    if without:
        least = min(range(len(without)), key=without.__getitem__)
        legend += "; ▼ no alarm without it"
        if words.matters(row.score, without, least):
            legend += f"; {words.told_without(batch, place, least, without)}"
    yield from (click.style(f"   {each}", dim=True) for each in _wrapped(legend, width - 3))
