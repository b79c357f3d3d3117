"""Failures that no part of the program foresaw, as one line for a person.

Both command lines end with it. A leaf beside `sensor.errors`, whose classes are for failures that
were foreseen.
"""

import errno
import os
import traceback
from pathlib import Path

from sensor.errors import (
    HostError,
    InternalError,
    MultaError,
    OutputError,
    PermissionDeniedError,
)

TRACEBACK = "MULTA_TRACEBACK"
"""Environment variable: set to anything, the traceback is shown too."""

_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS})


def explained(error: Exception) -> MultaError:
    """The failure that is told instead of an exception that was not expected.

    What the operating system refused is told as that, whatever else as a defect of the program,
    with the place at which it showed.
    """
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    if isinstance(error, MemoryError):
        return HostError("not enough memory; end other programs, or give this one more")
    if isinstance(error, PermissionError):
        place = error.filename or "system"
        return PermissionDeniedError(f"{place}: permission denied; ask as a user who may, or root")
    if isinstance(error, OSError) and error.errno is not None:
        is_output = error.errno in _OUTPUT_ERRORS
        place = error.filename or ("an output" if is_output else "system")
        kind = OutputError if is_output else HostError
        return kind(f"{place}: {(error.strerror or str(error)).lower()}")
    text = str(error)
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {_short(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    shown = "" if os.environ.get(TRACEBACK) else f" with what {TRACEBACK}=1 shows"
    return InternalError(f"a defect of this program ({what}{place}); please report it{shown}")


def _short(path: str) -> str:
    """A file as it is called from the folder that holds the package."""
    parts = Path(path).parts
    return str(Path(*parts[-3:]))
