"""What `top` shows: rates between two statuses of one sensor, and its last alerts.

Lines without a terminal: whoever has one draws them.
"""

import math
import textwrap
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from sensor.cli import visible
from sensor.reporting.status_file import Status
from sensor.reporting.status_page import alerts, entries, head, interfaces, whole

HISTORY = 60
"""Rates that the curve has."""

_REASON_LINES = 3

_BLOCKS = " ▁▂▃▄▅▆▇█"

_RATES = (
    ("packets", "frames", ""),
    ("bytes", "bytes", ""),
    ("kernel_drops", "frames lost", "loss"),
    ("flows", "flows", ""),
    ("scored", "rows scored", ""),
    ("shed", "rows shed", "loss"),
    ("alerts_written", "alerts", ""),
)
"""Counters of the statistics, what they count, and whether more than 0 is bad."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the view.

    Attributes:
        text: without anything that a terminal would obey.
        mark: ``title``, ``good``, ``bad``, ``loss``, or empty for plain text.
    """

    text: str
    mark: str = ""


class LiveView:
    """Remembers the statuses that it was shown, as far as rates need them."""

    def __init__(self, *, blocks: bool) -> None:
        """Starts without any; `blocks` says whether the terminal can show block characters."""
        self._blocks = blocks
        self._before: tuple[float, dict[str, int]] | None = None
        self._run: tuple[Any, ...] = ()
        self._rates: dict[str, float] = {}
        self._history: deque[float] = deque(maxlen=HISTORY)

    def take(self, status: Status) -> None:
        """Takes in the next status, or the same one again."""
        document = status.document
        statistics = document.get("statistics")
        if not isinstance(statistics, dict):
            return
        at = float(document["boottime"])
        counts = {name: v for name, *_ in _RATES if isinstance(v := statistics.get(name), int)}
        run = (document["boot_id"], document["pid"], document["started"])
        if run != self._run:
            # Another run counts from 0.
            self._run, self._before, self._rates = run, None, {}
        if self._before is None or at <= self._before[0]:
            self._before = self._before or (at, counts)
            return
        before, earlier = self._before
        self._rates = {
            name: max(0, count - earlier.get(name, count)) / (at - before)
            for name, count in counts.items()
        }
        self._history.append(self._rates.get("packets", 0.0))
        self._before = (at, counts)

    def lines(self, status: Status, width: int, height: int) -> list[Line]:
        """At most `height` lines, which are to be cut at `width`: the last alerts fill the rest."""
        document = status.document
        marks = {"healthy": "good", "down": "bad"}
        state = marks.get(status.state, "loss")
        lines = [Line(click.unstyle(text), state) for text in head(status)]
        for reason in status.reasons:
            wrapped = textwrap.wrap(f"· {visible(reason)}", max(20, width), subsequent_indent="  ")
            lines += [Line(text, state) for text in wrapped[:_REASON_LINES]]
        lines += [Line(click.unstyle(text)) for text in interfaces(document)]
        lines += [Line(""), *self._of_rates(document), Line("")]
        if self._blocks and any(self._history):
            lines += [Line(f"frames/s {_curve(tuple(self._history), width - 9)}"), Line("")]
        told = [Line(click.unstyle(text)) for text in reversed(alerts(document))]
        lines.append(Line("Last alerts" if told else "No alerts yet", "title"))
        return (lines + told)[:height]

    def _of_rates(self, document: Mapping[str, Any]) -> list[Line]:
        lines = [Line(f"{'':14}{'now':>16}{'in all':>20}", "title")]
        statistics = entries(document.get("statistics"))
        for name, what, mark in _RATES:
            rate, total = self._rates.get(name), statistics.get(name)
            now = _rate(rate)
            number = f"{total:,}" if isinstance(total, int) else "?"
            lines.append(Line(f"{what:14}{now:>16}{number:>20}", mark if rate else ""))
        table = entries(document.get("flow_table"))
        held, fit = whole(table.get("active")), whole(table.get("capacity"))
        lines.append(Line(f"{'flows held':14}{held:>16,}{f'of {fit:,}':>20}"))
        rows = entries(entries(document.get("coverage")).get("rows"))
        lines.append(Line(f"{'rows waiting':14}{whole(rows.get('waiting')):>16,}"))
        return lines


def _rate(rate: float | None) -> str:
    if rate is None:
        return "…"
    return f"{rate:,.0f}/s" if rate >= 10 or rate == 0 else f"{rate:.1f}/s"


def _curve(rates: Sequence[float], width: int) -> str:
    """The last rates as blocks; the highest is as high as a line."""
    shown = rates[-max(1, width) :]
    most = max(shown) or 1.0
    return "".join(_BLOCKS[math.ceil(rate / most * (len(_BLOCKS) - 1))] for rate in shown)
