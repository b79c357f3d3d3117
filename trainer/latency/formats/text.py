"""Text of files: opening them, and numbers and times as people and programs write them."""

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TextIO

from sensor.errors import MissingInputError, SeriesError

_GZIP = b"\x1f\x8b"
_NOTHING = frozenset({"", "nan", "-nan", "u", "*", "-", "none", "null", "na"})
"""How no answer is written, in lower case; ``U`` is SmokePing's."""

AT_ONCE_MS = 1e-6
"""Of an answer that the sensor has seen at the very time of the question."""

_NUMBER = re.compile(r"(\d{1,19})(?:\.(\d+))?")
_DAY_FIRST = ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_LAST_NS = 2**63

_UNITS = ((10**17, 1), (10**14, 10**3), (10**11, 10**6), (0, 10**9))
"""A number of at least the first is a time in units of so many nanoseconds.

10^11 seconds are in the year 5138, and 10^11 milliseconds in 1973.
"""


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """A file as text, unpacked if it is gzip's.

    Raises:
        MissingInputError: it can't be opened or read.
        SeriesError: it is no UTF-8, or the archive is damaged.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            yield io.TextIOWrapper(stream, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SeriesError(f"{path}: not text in UTF-8, and no other form that is read") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise SeriesError(f"{path}: the gzip archive is damaged; fetch it again") from None
    except OSError as error:
        raise MissingInputError(f"{path}: {error.strerror or error}") from None


def time_ns(text: str) -> int:
    """Nanoseconds since 1970 of a time as text; without a zone it is UTC.

    Numbers are seconds, milliseconds, microseconds or nanoseconds, by their size. Dates are of
    ISO 8601, or begin with the day (``14/10/2016 21:17``).

    Raises:
        ValueError: it is no time.
    """
    if number := _NUMBER.fullmatch(text):
        whole, part = int(number[1]), number[2] or ""
        unit = next(unit for least, unit in _UNITS if whole >= least)
        digits = len(str(unit)) - 1
        found = whole * unit + int((part + "0" * digits)[:digits] or 0)
    else:
        try:
            date = _date(text)
        except ValueError:
            raise ValueError(f"{text!r} is no time") from None
        if date.tzinfo is None:
            date = date.replace(tzinfo=timezone.utc)
        found = (date - _EPOCH) // _MICROSECOND * 1000
    if not 0 <= found < _LAST_NS:
        raise ValueError(f"{text!r} is out of the range of times")
    return found


def _date(text: str) -> datetime:
    if "/" in text:
        form = _DAY_FIRST[text.count(":") > 1]
        return datetime.strptime(text, form)  # noqa: DTZ007 -- the caller gives it a zone
    # Before Python 3.11 a Z is no zone to fromisoformat.
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def milliseconds(text: str) -> float:
    """A round-trip time as text; NaN for what stands for no answer.

    Not positive numbers do so too: the latency paper writes 0 (section 3.1), Atlas exports −3, −4.

    Raises:
        ValueError: it is no number.
    """
    if text.strip().lower() in _NOTHING:
        return math.nan
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text!r} is no round-trip time")
    return number if number > 0 else math.nan


def measured_milliseconds(text: str) -> float:
    """A round-trip time as the sensor writes it; NaN for none.

    To it 0 is an answer too, which came before the clock of the capture had moved on: a nanosecond
    here, which windows round down to 0 again.

    Raises:
        ValueError: it is no number.
    """
    found = milliseconds(text)
    at_once = math.isnan(found) and text.strip().lower() not in _NOTHING and float(text) == 0
    return AT_ONCE_MS if at_once else found
