"""What `multa-sensor latency` prints: a JSON object a line, of every measurement.

A series for each peer, port and kind. Its times are those at which answers came, and of
measurements without one, at which they were given up: a model meets them in that order.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from sensor.errors import SeriesError
from trainer.latency.formats.columns import Columns
from trainer.latency.formats.text import measured_milliseconds, opened, time_ns
from trainer.latency.series import LatencySeries

_KEY = ("peer", "port", "kind")


def is_sensor_lines(head: str) -> bool:
    """Whether a file that begins so was printed by the sensor."""
    first = head.lstrip().partition("\n")[0]
    return first.startswith("{") and all(f'"{name}"' in first for name in ("rtt_ms", *_KEY))


def read_sensor_lines(path: Path) -> Iterator[LatencySeries]:
    """Reads the series of all peers, ports and kinds, in the order of their first lines.

    Raises:
        SeriesError: a line is damaged; it is named.
        MissingInputError: the file can't be read.
    """
    series: dict[str, Columns] = {}
    with opened(path) as file:
        for place, line in enumerate(file, 1):
            if line.strip():
                _add(series, line, f"{path}:{place}")
    for key in list(series):
        yield series.pop(key).series(f"{path.name} {key}")


def _add(series: dict[str, Columns], line: str, place: str) -> None:
    try:
        # Floating-point seconds would lose the last digits.
        entry = json.loads(line, parse_float=str, parse_int=str)
        key = " ".join(str(entry[name]) for name in _KEY)
        rtt = entry["rtt_ms"]
        at_ns = time_ns(entry["time"])
        rtt_ms = math.nan if rtt is None else measured_milliseconds(rtt)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SeriesError(
            f"{place}: not a line of `multa-sensor latency` ({error!r}); print it again"
        ) from None
    series.setdefault(key, Columns()).add(at_ns, rtt_ms)
