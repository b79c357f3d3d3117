"""The standard streams: closed by a caller (``>&-``), not read, or shown to a person.

A leaf. Without it the next file that is opened gets the number of the closed stream: messages
would land in the alert log, or in the capture ring.
"""

import contextlib
import io
import os
import select
import sys

_STREAMS = (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))


def claim_standard_streams() -> None:
    """Opens what is closed of the descriptors 0 to 2 on the null device.

    Called before anything else is opened. Python leaves `sys.stdin`, `sys.stdout` or `sys.stderr`
    out where it found the descriptor closed; they are put in place as well. What the encoding of
    the locale does not have, such as lines of a drawing in Latin-1, becomes a question mark.
    """
    for descriptor, (name, flags) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free is given: this one.
            os.set_inheritable(os.open(os.devnull, flags), True)  # noqa: FBT003 -- positional only
        if getattr(sys, name) is None:
            mode = "r" if flags == os.O_RDONLY else "w"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- lives as long as the process
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.writable() and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def write_soon(descriptor: int, line: bytes) -> None:
    """Writes a line if that is possible at once.

    Nobody may be there to read it, or somebody who does not: a pager, a terminal that Ctrl-S has
    stopped, a pipe whose reader hangs. Then it is left out, and whoever writes does not wait.

    Args:
        descriptor: of the stream.
        line: of less than a page (pipe(7)).
    """
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    with contextlib.suppress(OSError):
        if room.poll(0):
            os.write(descriptor, line)


def visible(text: str) -> str:
    """The text with escapes for control characters but line feeds, and for what is no text.

    Names of files and words of bundles may come from anywhere; a terminal would obey them.
    """
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text
    )
