"""Tables and words of a report, in which whatever comes from outside is escaped."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from sensor.cli import visible


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: of anybody.
        key: what it is sorted by, if that is not the text.
        kind: class of the page's style, such as ``n`` for a number.
        markup: stands before the text; ours.
        small: stands behind the text, smaller.
    """

    text: str
    key: str | float | None = None
    kind: str = ""
    markup: str = ""
    small: str = ""


def plain(text: Any) -> str:
    """A text as markup: nothing in it is obeyed, nor shown as something else.

    Characters that nobody sees, or that turn the direction of writing round, show as escapes.
    """
    return escape(visible(str(text)))


def sentence(text: str) -> str:
    """A text as markup, in which times stay on one line."""
    return re.sub(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d)?", r"<time>\g<0></time>", plain(text))


def count(value: int) -> Cell:
    """A number."""
    return Cell(f"{value:,}", value, "n")


def when(time: datetime) -> Cell:
    """A time of this machine's zone."""
    return Cell(f"{time.astimezone():%Y-%m-%d %H:%M:%S}", time.timestamp(), "when")


def table(
    caption: str,
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    kind: str = "",
) -> str:
    """A table; columns whose first cells are numbers stand to the right.

    Args:
        caption: one line, of anybody.
        heads: of the columns.
        rows: of cells; whatever else is shown as text.
        kind: classes of the page's style.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(str(cell)) for cell in row] for row in rows]
    numeric = [cell.kind == "n" for cell in cells[0]] if cells else [False] * len(heads)
    parts = [f'<table class="{kind}">' if kind else "<table>"]
    parts.append(f"<caption>{plain(caption)}</caption><thead><tr>")
    for head, right in zip(heads, numeric, strict=True):
        parts.append(f'<th scope="col"{" class=n" if right else ""}>{plain(head)}</th>')
    parts.append("</tr></thead><tbody>\n")
    parts += [f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in cells]
    return "".join([*parts, "</tbody></table>"])


def _cell(cell: Cell) -> str:
    kind = f' class="{cell.kind}"' if cell.kind else ""
    key = "" if cell.key is None else f' data-k="{plain(cell.key)}"'
    small = f" <small>{plain(cell.small)}</small>" if cell.small else ""
    return f"<td{kind}{key}>{cell.markup}{plain(cell.text)}{small}</td>"
