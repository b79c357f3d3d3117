"""Tables of round-trip times: a time, then one or more round-trip times, as CSV.

Fields are separated by ``;``, tab or comma; with ``;`` and tab, decimals may have a comma. The
first column is the time (`text.time_ns`). A header names the others; of two without one, and of
any number, all are round-trip times in milliseconds. By name:

- ``cp``: 1 marks a change point, as in the hand-marked series of W. Shao et al., "One-to-One
  Matching of RTT and Path Changes", ITC 29, 2017 (github.com/WenqinSHAO/rtt);
- ``peer``, ``port`` and ``kind`` tell series apart, as `multa-sensor latency` writes them;
- ``from``, ``loss``, ``median``, ``uptime`` and columns without a name are left out;
- ``ping1`` … ``pingN``, as SmokePing keeps a round of pings, and names that end in ``_s`` are in
  seconds;
- all others, such as ``rtt``, ``rtt_ms``, or ``value`` of the Numenta Anomaly Benchmark, are in
  milliseconds.

An empty field, NaN, ``U``, and what is not positive mean no answer; but 0 is one where there are
``peer``, ``port`` and ``kind``, as the sensor measures 0 where a capture's clock is coarse. The
pings of a round have the time of the round.
"""

import csv
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.errors import SeriesError
from trainer.latency.formats.columns import Columns
from trainer.latency.formats.text import measured_milliseconds, milliseconds, opened, time_ns
from trainer.latency.series import LatencySeries

_MARK = "cp"
_KEY = ("peer", "port", "kind")
_LEFT_OUT = {"", "loss", "lost", "median", "uptime", "from", _MARK, *_KEY}
_SECONDS = re.compile(r"ping\d+|.*_s")
_DELIMITERS = ";\t,"


@dataclass(frozen=True)
class MarkedSeries:
    """A series in which a person has marked where its level changes.

    Attributes:
        series: the measurements.
        change_points: ``(k,)`` places of the first measurements of a new level, ascending.
    """

    series: LatencySeries
    change_points: NDArray[np.intp]

    @property
    def failed(self) -> NDArray[np.intp]:
        """Places of measurements without an answer, ascending."""
        return np.flatnonzero(~self.series.answered)


@dataclass(frozen=True)
class _Layout:
    """What the columns of a table are, by place; `factors` are milliseconds in a unit."""

    width: int
    factors: dict[int, float]
    key: tuple[int, ...] = ()
    mark: int | None = None


def is_table(head: str) -> bool:
    """Whether a file that begins so is a table of times and round-trip times."""
    lines = [line for line in head.splitlines()[:3] if line.strip()]
    delimiter = _delimiter(lines[0]) if lines else ""
    if not delimiter:
        return False
    # the sensor writes a header and nothing else where nothing was measured
    is_header = set(_KEY) <= set(lines[0].split(delimiter))
    return is_header or any(_is_time(line.split(delimiter)[0]) for line in lines)


def _is_time(text: str) -> bool:
    try:
        time_ns(text.strip().strip('"'))
    except ValueError:
        return False
    return True


def read_table(path: Path) -> Iterator[LatencySeries]:
    """Reads the series of a table; marks are left out.

    Raises:
        SeriesError: a line is damaged; it is named.
        MissingInputError: the file can't be read.
    """
    for marked in _read(path):
        yield marked.series


def read_marked(path: Path) -> MarkedSeries:
    """Reads the one series of a table, with its change points if it has any.

    Raises:
        SeriesError: a line is damaged, or there are several peers.
        MissingInputError: the file can't be read.
    """
    found = list(_read(path))
    if len(found) > 1:
        raise SeriesError(f"{path}: {len(found)} series; a table of marks has one")
    return found[0]


class _Gathered:
    """Rows of one series while the table is read."""

    def __init__(self) -> None:
        self.columns = Columns()
        self.marks = array("b")

    def marked(self, name: str) -> MarkedSeries:
        marks = np.frombuffer(self.marks, np.int8)[self.columns.order()]
        return MarkedSeries(self.columns.series(name), np.flatnonzero(marks))


def _read(path: Path) -> Iterator[MarkedSeries]:
    series: dict[tuple[str, ...], _Gathered] = {}
    layout: _Layout | None = None
    with opened(path) as file:
        delimiter = _delimiter(file.readline())
        file.seek(0)
        rows = csv.reader(file, delimiter=delimiter or ",")
        try:
            for row in rows:
                if layout is None:
                    layout, is_header = _layout(row)
                    if is_header:
                        continue
                if row:
                    _add(row, layout, series, comma=delimiter != ",")
        except (ValueError, csv.Error) as error:
            raise SeriesError(
                f"{path}:{rows.line_num}: {error}; write a time and round-trip times a line"
            ) from None
    if not series:
        raise SeriesError(f"{path}: no measurement in it")
    for key in list(series):
        yield series.pop(key).marked(" ".join([path.name, *key]))


def _delimiter(line: str) -> str:
    return next((delimiter for delimiter in _DELIMITERS if delimiter in line), "")


def _layout(row: list[str]) -> tuple[_Layout, bool]:
    """What the columns are, and whether the first row says so."""
    names = [name.strip().lower() for name in row]
    if names and _is_time(names[0]):
        return _Layout(len(row), dict.fromkeys(range(1, len(row)), 1.0)), False
    factors = {
        place: 1000.0 if _SECONDS.fullmatch(name) else 1.0
        for place, name in enumerate(names)
        if place and name not in _LEFT_OUT
    }
    if not factors:
        raise ValueError("no column of round-trip times")
    key = tuple(place for place, name in enumerate(names) if name in _KEY)
    mark = names.index(_MARK) if _MARK in names else None
    return _Layout(len(row), factors, key, mark), True


def _add(
    row: list[str], layout: _Layout, series: dict[tuple[str, ...], _Gathered], *, comma: bool
) -> None:
    if len(row) < layout.width or any(row[layout.width :]):
        raise ValueError(f"{len(row)} fields instead of {layout.width}")
    at_ns = time_ns(row[0].strip())
    mark = layout.mark is not None and bool(int(row[layout.mark]))
    read = measured_milliseconds if len(layout.key) == len(_KEY) else milliseconds
    rtts = [
        read(row[place].replace(",", ".") if comma else row[place]) * factor
        for place, factor in layout.factors.items()
    ]
    gathered = series.setdefault(tuple(row[place] for place in layout.key), _Gathered())
    for rtt_ms in rtts:
        gathered.columns.add(at_ns, rtt_ms)
        gathered.marks.append(mark)
