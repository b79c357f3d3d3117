"""Files that commands write."""

from collections.abc import Iterable
from pathlib import Path

import click

from sensor.errors import UsageError

page = click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Page to write (Markdown), with its pictures and numbers beside it.",
)
"""Where a reproduction writes what it has measured."""


def keep_apart(out: Path, inputs: Iterable[Path]) -> None:
    """Proves that an output is none of the inputs, whatever each is called.

    Raises:
        UsageError: it is one, which would be replaced.
    """
    for path in inputs:
        if out == path or (out.exists() and path.exists() and out.samefile(path)):
            raise UsageError(f"{out}: is an input; name another one")
