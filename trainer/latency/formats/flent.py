"""Data files of flent, the FLExible Network Tester: round-trip times while a test loads the link.

Of its ``raw_values``, those named ``Ping (ms) …`` are series: pings with sequence numbers, of
which missing ones are lost, and those that irtt calls so; or transactions a second of netperf's
UDP_RR, of which a round-trip time is the reciprocal. Averages that flent has calculated are left
out.

https://flent.org, data file format versions 2 to 4
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sensor.errors import SeriesError
from trainer.latency.formats.columns import Columns, in_sequence
from trainer.latency.formats.text import opened
from trainer.latency.series import LatencySeries

_PING = "Ping (ms) "


def is_flent(head: str) -> bool:
    """Whether a file that begins so is a data file of flent."""
    return head.lstrip().startswith("{") and any(
        f'"{key}"' in head for key in ("raw_values", "x_values", "metadata")
    )


def read_flent(path: Path) -> Iterator[LatencySeries]:
    """Reads all series of pings.

    Raises:
        SeriesError: the file is damaged, or its test has not pinged.
        MissingInputError: it can't be read.
    """
    with opened(path) as file:
        try:
            raw = json.load(file)["raw_values"]
            wanted = [key for key in raw if key.startswith(_PING) and raw[key]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SeriesError(f"{path}: not a data file of flent ({error})") from None
    if not wanted:
        raise SeriesError(f"{path}: a test without pings; choose one that pings, such as rrul")
    for key in wanted:
        name = f"{path.name} {key.removeprefix(_PING)}"
        try:
            yield (_pings if "seq" in raw[key][0] else _transactions)(name, raw[key])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SeriesError(f"{path}: {key} is damaged ({error!r}); fetch it again") from None


def _pings(name: str, entries: list[dict[str, Any]]) -> LatencySeries:
    first: dict[int, tuple[int, float]] = {}
    for entry in entries:
        at_ns = round(float(entry["t"]) * 1e9)
        rtt_ms = math.nan if entry.get("lost") else _positive(entry["val"])
        sent_ns = at_ns if math.isnan(rtt_ms) else at_ns - round(rtt_ms * 1e6)
        first.setdefault(int(entry["seq"]), (sent_ns, rtt_ms))
    numbers = np.array(sorted(first), np.int64)
    sent = np.array([first[int(k)][0] for k in numbers], np.int64)
    rtts = np.array([first[int(k)][1] for k in numbers])
    return in_sequence(name, numbers, sent, rtts, int(numbers[0]), int(numbers[-1]))


def _transactions(name: str, entries: list[dict[str, Any]]) -> LatencySeries:
    columns = Columns()
    for entry in entries:
        rate = float(entry["val"])
        columns.add(round(float(entry["t"]) * 1e9), 1000 / rate if rate > 0 else math.nan)
    return columns.series(name)


def _positive(value: Any) -> float:
    number = float(value)
    if not 0 < number < math.inf:
        raise ValueError(f"a round-trip time of {number} ms")
    return number
