"""Results of RIPE Atlas ping measurements, as its API gives them.

A JSON array of results, or a result a line (``format=txt``); a series for each probe and target.
A result holds some pings (three by default) in ``result``: ``{"rtt": 12.3}``, ``{"x": "*"}`` for
a timeout, ``{"error": "..."}``. Duplicates (``dup``) are left out. The format tells when the first
was sent; the others follow a second apart, Atlas's default. A result without a target address
sent nothing (its name was not resolved), and holds no measurement.

Before firmware 4460 the target address is called ``addr``.

https://atlas.ripe.net/docs/apis/measurement-result-format/, firmware 4400 and later
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from sensor.errors import SeriesError
from trainer.latency.formats.columns import Columns
from trainer.latency.formats.text import opened, time_ns
from trainer.latency.series import LatencySeries

PACKET_INTERVAL_NS = 1_000_000_000
"""Between the pings of a result, where the measurement has not asked for another interval."""

_CHUNK = 1 << 20
_LONGEST = 16 << 20
"""Characters of one result; real ones have some hundreds."""

_BETWEEN = " \t\r\n,[]"


def is_atlas(head: str) -> bool:
    """Whether a file that begins so holds results of RIPE Atlas."""
    return head.lstrip()[:1] in {"[", "{"} and '"prb_id"' in head


def read_atlas(path: Path) -> Iterator[LatencySeries]:
    """Reads the series of all probes and targets.

    Raises:
        SeriesError: it is no JSON, or not results of pings.
        MissingInputError: the file can't be read.
    """
    series: dict[tuple[int, str], Columns] = {}
    with opened(path) as file:
        for line, result in _results(file, path):
            _add(series, result, f"{path}:{line}")
    for probe, target in sorted(series):
        columns = series.pop((probe, target))
        yield columns.series(f"{path.name} probe {probe} to {target}")


def _add(series: dict[tuple[int, str], Columns], result: dict[str, Any], place: str) -> None:
    """Adds the pings of one result to the series of its probe and target."""
    try:
        if result.get("type", "ping") != "ping":
            raise ValueError(f"its type is {result['type']}")  # noqa: TRY301 -- as all others
        start_ns = time_ns(str(int(result["timestamp"])))
        probe, target = int(result["prb_id"]), str(result.get("dst_addr") or result.get("addr", ""))
        rtts = [_milliseconds(ping) for ping in result["result"] if not ping.get("dup")]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else error
        raise SeriesError(
            f"{place}: not a ping result of RIPE Atlas ({why}); "
            "download the results of a ping measurement"
        ) from None
    if not target:
        return
    columns = series.setdefault((probe, target), Columns())
    for k, rtt_ms in enumerate(rtts):
        columns.add(start_ns + k * PACKET_INTERVAL_NS, rtt_ms)


def _milliseconds(ping: dict[str, Any]) -> float:
    if "rtt" not in ping:
        if ping.keys() & {"x", "error"}:
            return math.nan
        raise ValueError("a ping without rtt, x or error")
    rtt_ms = float(ping["rtt"])
    if not 0 < rtt_ms < math.inf:
        raise ValueError(f"a round-trip time of {rtt_ms} ms")
    return rtt_ms


def _results(file: TextIO, path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line and contents of every JSON object, read in chunks, whatever stands between them."""
    decoder = json.JSONDecoder()
    text, place, line = "", 0, 1
    more = True
    while True:
        begin = place
        while place < len(text) and text[place] in _BETWEEN:
            place += 1
        line += text.count("\n", begin, place)
        try:
            result, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            if not more and place == len(text):
                return
            if not more or len(text) - place > _LONGEST:
                raise SeriesError(
                    f"{path}:{line}: not JSON ({error}); download the results again"
                ) from None
            text, place = text[place:] + (chunk := file.read(_CHUNK)), 0
            more = bool(chunk)
            continue
        if not isinstance(result, dict):
            raise SeriesError(f"{path}:{line}: not a result of RIPE Atlas but {result!r:.40}")
        yield line, result
        line += text.count("\n", place, end)
        place = end
