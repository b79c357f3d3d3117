"""Files that commands write."""

from collections.abc import Iterable
from pathlib import Path

from sensor.errors import UsageError


def keep_apart(out: Path, inputs: Iterable[Path]) -> None:
    """Proves that an output is none of the inputs, whatever each is called.

    Raises:
        UsageError: it is one, which would be replaced.
    """
    for path in inputs:
        if out == path or (out.exists() and path.exists() and out.samefile(path)):
            raise UsageError(f"{out}: is an input; name another one")
