"""The hand-marked series of RIPE Atlas, and which of them are held out."""

import sys
from pathlib import Path

from sensor.errors import MissingInputError, UsageError
from trainer.latency.formats.table import MarkedSeries, read_marked

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HALVES = ("development", "held_out")
"""Of the hand-marked series: to make rules and networks by, and to measure them on."""

_LIST = Path(__file__).with_name("atlas_marked.toml")


def probes(half: str) -> list[str]:
    """Numbers of the probes whose series are in a half, in ascending order.

    Raises:
        UsageError: there is no such half.
    """
    if half not in HALVES:
        raise UsageError(f"no half of the marked series is called {half}; name {HALVES}")
    listed = tomllib.loads(_LIST.read_text(encoding="utf-8"))[half]
    return [str(probe) for probe in listed]


def read_half(folder: Path, half: str) -> list[MarkedSeries]:
    """One half of the marked series, each with its change points and failed pings.

    Args:
        folder: with a ``PROBE.csv`` for each, as in ``real_trace_labelled`` of the data set.
        half: one of `HALVES`.

    Raises:
        MissingInputError: a series is not there.
        SeriesError: one is damaged.
        UsageError: there is no such half.
    """
    paths = [folder / f"{probe}.csv" for probe in probes(half)]
    if missing := [path for path in paths if not path.is_file()]:
        raise MissingInputError(
            f"{missing[0]}: no such file, and {len(missing) - 1} others are missing; name the "
            "folder real_trace_labelled of github.com/WenqinSHAO/rtt"
        )
    return [read_marked(path) for path in paths]
