"""``multa-sensor top``: the sensor at work, in a terminal."""

import contextlib
import locale
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sensor.cli import places
from sensor.cli.status import file, status_file
from sensor.errors import HostError, UsageError
from sensor.reporting.live_view import LiveView
from sensor.reporting.status_file import read_status

if TYPE_CHECKING:
    import curses

_LOOK_MS = 1_000

_QUIT = (ord("q"), ord("Q"), 27)
"""The last one is the escape key."""


@click.command()
@file
@places.config
def top(file: Path | None, config: Path | None) -> None:
    """Show what the sensor sees and finds, anew each second; q ends it.

    Rates are those between the last two times that the sensor wrote its status. It reads that file
    and nothing else, so several people may look, and the sensor does not notice.

    \b
    Example:
      multa-sensor top
    """  # noqa: D301 -- click's mark for lines to leave alone
    path = status_file(places.Places(config), file)
    read_status(path)  # whoever may not read it is told so before the screen is cleared
    _require_terminal()
    import curses  # noqa: PLC0415 -- found by `_require_terminal`

    locale.setlocale(locale.LC_ALL, "")
    # ncurses waits after an escape for what may follow it, by default a second.
    os.environ.setdefault("ESCDELAY", "25")
    try:
        with contextlib.suppress(KeyboardInterrupt):
            curses.wrapper(_show, path)
    except curses.error as error:
        raise UsageError(f"this terminal can't be drawn on ({error}); use `status`") from None


def _require_terminal() -> None:
    """Proves that there is a screen.

    Raises:
        UsageError: there is none, or one whose cursor can't be moved.
        HostError: this Python comes without curses.
    """
    try:
        import curses  # noqa: PLC0415 -- some Pythons come without it
    except ImportError:
        raise HostError(
            "this Python has no curses (Debian has it in libpython3-stdlib); use `status`"
        ) from None
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("top needs a terminal; use `status`, or `status --json` in programs")
    name = os.environ.get("TERM", "")
    try:
        curses.setupterm()
        capable = curses.tigetstr("cup") and curses.tigetstr("clear")
    except curses.error:
        capable = None
    if not capable:
        raise UsageError(
            f"the terminal {name or 'without a name (TERM)'} can't move its cursor; use `status`"
        )


def _show(screen: "curses.window", path: Path) -> None:
    """Draws until a key ends it."""
    import curses  # noqa: PLC0415 -- as above

    attributes = _attributes()
    blocks = locale.nl_langinfo(locale.CODESET).upper() in ("UTF-8", "UTF8")
    view = LiveView(blocks=blocks)
    screen.timeout(_LOOK_MS)
    key = 0
    while key not in _QUIT:
        status = read_status(path)
        view.take(status)
        height, width = screen.getmaxyx()
        screen.erase()
        for place, line in enumerate(view.lines(status, width - 1, height)):
            # A window that was made smaller meanwhile has no room; the next turn knows its size.
            with contextlib.suppress(curses.error):
                screen.addnstr(place, 0, line.text, width - 1, attributes.get(line.mark, 0))
        screen.refresh()
        key = screen.getch()


def _attributes() -> dict[str, int]:
    """How marks of lines look: by colour, where there is one and it is wanted."""
    import curses  # noqa: PLC0415 -- as above

    bold = curses.A_BOLD
    attributes = {"title": bold, "good": bold, "bad": curses.A_REVERSE, "loss": bold}
    if curses.has_colors() and not os.environ.get("NO_COLOR"):
        curses.start_color()
        curses.use_default_colors()
        colours = {"good": curses.COLOR_GREEN, "bad": curses.COLOR_RED, "loss": curses.COLOR_YELLOW}
        for number, (mark, colour) in enumerate(colours.items(), 1):
            curses.init_pair(number, colour, -1)
            attributes[mark] = curses.color_pair(number) | bold
    with contextlib.suppress(curses.error):  # not every terminal can hide its cursor
        curses.curs_set(0)
    return attributes
