"""Round-trip times as text: JSON lines, CSV, and a table of series (`docs/latency.md`)."""

import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.alerts.sinks import STDOUT
from sensor.errors import OutputError, UsageError
from sensor.flows.columns import address_text
from sensor.latency.latency_table import Measured
from sensor.latency.measurements import KINDS, SYN_KIND
from sensor.quantities import number

COLUMNS = ("time", "peer", "port", "kind", "rtt_ms", "from")
SERIES = 10_000
"""Series that a summary tells of; those that come later are counted together."""
_DIGITS = 3
"""Of a round-trip time in a summary: so each series has a limited number of different ones."""

_TAKEN = (
    *("version", "source_high", "source_low", "destination_high", "destination_low"),
    *("decided_ns", "destination_port", "kind", "answered", "rtt_ns"),
)

Line = tuple[str, str, int, str, str, str]


def lines(found: NDArray[np.void]) -> Iterator[Line]:
    """Measurements as text, in the order of `COLUMNS`; no round-trip time is empty."""
    columns = zip(*(found[name].tolist() for name in _TAKEN), strict=True)
    for version, *ends, decided, port, kind, answered, rtt in columns:
        yield (
            f"{decided // 10**9}.{decided % 10**9:09d}",
            address_text(version, *ends[2:]),
            port if kind == SYN_KIND else 0,
            KINDS[kind],
            f"{rtt // 10**6}.{rtt % 10**6:06d}" if answered else "",
            address_text(version, *ends[:2]),
        )


class MeasurementFile:
    """A file of measurements, or standard output."""

    def __init__(self, path: str) -> None:
        """Opens it; the end of its name says the format, ``-`` is JSON lines.

        Raises:
            UsageError: the name has another end.
            OutputError: the file can't be written.
        """
        suffix = ".jsonl" if path == STDOUT else Path(path).suffix.lower()
        if suffix not in (".jsonl", ".csv"):
            raise UsageError(
                f"{path}: measurements are written as .jsonl or .csv, or to - as JSON lines"
            )
        self._path, self._csv = path, suffix == ".csv"
        descriptor = sys.stdout.fileno() if path == STDOUT else path
        try:
            self._file = io.open(  # noqa: SIM115, UP020 -- closed by close(); takes a descriptor
                descriptor, "w", encoding="ascii", newline="", closefd=path != STDOUT
            )
            if self._csv:
                self._file.write(",".join(COLUMNS) + "\n")
        except (OSError, ValueError) as error:
            raise self._failure(error) from None

    def write(self, found: NDArray[np.void]) -> None:
        """Appends measurements.

        Raises:
            OutputError: the file can't be written.
        """
        form = "{},{},{},{},{},{}\n" if self._csv else _JSON
        none = "" if self._csv else "null"
        text = "".join(form.format(*line[:4], line[4] or none, line[5]) for line in lines(found))
        try:
            self._file.write(text)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failure(error) from None

    def close(self) -> None:
        """Ends the file.

        Raises:
            OutputError: the file can't be written.
        """
        try:
            self._file.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: OSError | ValueError) -> OutputError:
        name = "standard output" if self._path == STDOUT else self._path
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(f"{name}: measurements can't be written ({reason.lower()})")


def unmeasured(measured: Measured) -> str:
    """What was left out, and why; empty if nothing was."""
    trips, series = measured.trips, measured.series
    told = (
        (trips.ambiguous, number(trips.ambiguous, "ambiguous answer")),
        (series.unknown, number(series.unknown, "unanswered packet") + " to unknown peers"),
        (trips.evicted, number(trips.evicted, "packet") + " forgotten in a flood"),
        (series.evicted, f"{series.evicted:,} series forgotten for younger ones"),
    )
    left_out = [text for count, text in told if count]
    return f"not measured: {', '.join(left_out)}" if left_out else ""


_JSON = '{{"time":{},"peer":"{}","port":{},"kind":"{}","rtt_ms":{},"from":"{}"}}\n'


class SeriesSummary:
    """How many measurements each series has, how many failed, and their round-trip times."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, int, str], Counter[int]] = {}
        self._failed: Counter[tuple[str, int, str]] = Counter()
        self._other = 0

    def add(self, found: NDArray[np.void]) -> None:
        """Takes measurements."""
        rtts = found["rtt_ns"].tolist()
        for (_, peer, port, kind, answered, _), rtt in zip(lines(found), rtts, strict=True):
            series = peer, port, kind
            if series not in self._times and len(self._times) == SERIES:
                self._other += 1
            elif answered:
                self._times.setdefault(series, Counter())[_rounded(rtt)] += 1
            else:
                self._times.setdefault(series, Counter())
                self._failed[series] += 1

    def text(self) -> str:
        """A table, the series with most measurements first."""
        if not self._times:
            return "no round-trip time was measured\n"
        heading = ("peer", "port", "kind", "answered", "failed", "median", "95 %", "longest")
        rows: list[tuple[str, ...]] = [heading]
        sizes = {each: self._times[each].total() + self._failed[each] for each in self._times}
        for series in sorted(sizes, key=lambda each: (-sizes[each], each)):
            peer, port, kind = series
            times = self._times[series]
            quantiles = (_time(_quantile(times, share)) for share in (0.5, 0.95, 1))
            counts = f"{times.total():,}", f"{self._failed[series]:,}"
            rows.append((peer, str(port or ""), kind, *counts, *quantiles))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        text = "".join(
            "  ".join(
                cell.rjust(width) if place in _RIGHT else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            + "\n"
            for row in rows
        )
        return text + (f"and {self._other:,} measurements of other series\n" * bool(self._other))


_RIGHT = (1, 3, 4, 5, 6, 7)


def _rounded(rtt_ns: int) -> int:
    digits = len(str(rtt_ns))
    return round(rtt_ns, _DIGITS - digits) if digits > _DIGITS else rtt_ns


def _quantile(times: "Counter[int]", share: float) -> int | None:
    """The smallest time that so large a share of all does not exceed; None of none."""
    wanted, seen = share * times.total(), 0
    for time in sorted(times):
        seen += times[time]
        if seen >= wanted:
            return time
    return None


def _time(rtt_ns: int | None) -> str:
    return "" if rtt_ns is None else f"{rtt_ns / 1e6:.3f} ms"
