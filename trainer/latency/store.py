"""Latency series on disk as columns: one uncompressed ``.npz``, read and written in chunks.

Chunk k of the archive holds whole series: ``k/names``, ``k/lengths`` and, one series after the
other, ``k/time_ns``, ``k/rtt_ms`` and a column of truth for each task (`UNKNOWN` where there is
none). A chunk is closed when it has `CHUNK` measurements, so what is in memory is a chunk or, if
that is longer, a series.
"""

import contextlib
import errno
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.errors import MissingInputError, OutputError, SeriesError
from trainer.latency.series import TASKS, UNKNOWN, LatencySeries

CHUNK = 1 << 20
"""Measurements of a chunk, of 19 bytes each."""

SUFFIX = ".npz"

_TYPES: dict[str, type[np.generic]] = {"time_ns": np.int64, "rtt_ms": np.float64}
_TYPES |= dict.fromkeys(TASKS, np.int8)
_DAMAGED = (KeyError, ValueError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""What numpy and zipfile say to a damaged archive; RuntimeError to what can't be unpacked."""

_COLUMNS = ("names", "lengths", *_TYPES)


def is_store(head: bytes) -> bool:
    """Whether a file that begins so is an archive of columns."""
    return head.startswith(b"PK\x03\x04")


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A file to write to, which takes another one's place in the end, or leaves it as it is.

    Args:
        path: the file; what is there is replaced in the end, of a link what it leads to.

    Raises:
        OutputError: the file can't be written, or is none.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OutputError(f"{path}: is no file that can be replaced; name another one")
    written = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        yield written
        written.replace(target)
    except OSError as error:
        raise OutputError(
            f"{path}: {error.strerror or error}; name a file that can be written"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            written.unlink()


def write_series(path: Path, series: Iterable[LatencySeries]) -> None:
    """Writes series whole or not at all.

    Args:
        path: the file (`replaced`).
        series: in any number, taken as they come.

    Raises:
        OutputError: the file can't be written, or is none.
    """
    with (
        replaced(path) as written,
        zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive,
    ):
        for number, chunk in enumerate(_chunks(series)):
            _write_chunk(archive, number, chunk)


def read_store(path: Path) -> Iterator[LatencySeries]:
    """Reads series in the order in which they were written, a chunk at a time.

    Raises:
        MissingInputError: the file can't be read.
        SeriesError: it is damaged, or holds something else.
    """
    try:
        # A file of our own: numpy leaves one open that is no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for number in range(len(archive.files) // len(_COLUMNS) or 1):
                yield from _read_chunk(archive, number)
    except (OSError, *_DAMAGED) as error:
        # What zipfile looks for at a place that can't be is an invalid argument.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise MissingInputError(f"{path}: {error.strerror or error}") from None
        raise SeriesError(
            f"{path}: no archive of latency series, or damaged ({error}); "
            "make it again with `multa-trainer latency generate`"
        ) from None


def _chunks(series: Iterable[LatencySeries]) -> Iterator[list[LatencySeries]]:
    chunk: list[LatencySeries] = []
    for each in series:
        chunk.append(each)
        if sum(map(len, chunk)) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _write_chunk(archive: zipfile.ZipFile, number: int, chunk: list[LatencySeries]) -> None:
    columns: dict[str, NDArray[Any]] = {
        "names": np.array([each.name for each in chunk]),
        "lengths": np.array([len(each) for each in chunk], np.int64),
        "time_ns": np.concatenate([each.time_ns for each in chunk]),
        "rtt_ms": np.concatenate([each.rtt_ms for each in chunk]),
    }
    columns |= {task: np.concatenate([each.known(task) for each in chunk]) for task in TASKS}
    for name, column in columns.items():
        with archive.open(f"{number}/{name}.npy", "w", force_zip64=True) as file:
            np.lib.format.write_array(file, column, allow_pickle=False)


def _read_chunk(archive: Any, number: int) -> Iterator[LatencySeries]:
    names, lengths = archive[f"{number}/names"], archive[f"{number}/lengths"]
    columns = {name: archive[f"{number}/{name}"] for name in _TYPES}
    listed = lengths.dtype == np.int64 and names.shape == lengths.shape == (lengths.size,)
    if not listed or not lengths.size or (lengths < 0).any():
        raise ValueError(f"chunk {number} has no list of its series")
    ends = np.cumsum(lengths)
    whole = {column.shape for column in columns.values()} == {(int(ends[-1]),)}
    typed = all(columns[name].dtype == dtype for name, dtype in _TYPES.items())
    if not whole or not typed:
        raise ValueError(f"columns of chunk {number} don't fit each other")
    if not all(np.isin(columns[task], (0, 1, UNKNOWN)).all() for task in TASKS):
        raise ValueError(f"chunk {number} has truth that is none")
    rtts = columns["rtt_ms"]
    if (rtts <= 0).any() or np.isinf(rtts).any():
        raise ValueError(f"chunk {number} has round-trip times that are none")
    for name, begin, end in zip(names.tolist(), ends - lengths, ends, strict=True):
        its = {column: values[begin:end] for column, values in columns.items()}
        if (its["time_ns"][1:] < its["time_ns"][:-1]).any():
            raise ValueError(f"{name} is not in order of time")
        truth = {task: its[task] for task in TASKS if (its[task] != UNKNOWN).any()}
        yield LatencySeries(str(name), its["time_ns"], its["rtt_ms"], truth)
