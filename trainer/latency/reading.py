"""Series out of files of any form, which is told from their contents."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sensor.errors import MissingInputError, SeriesError
from trainer.latency.formats.atlas import is_atlas, read_atlas
from trainer.latency.formats.flent import is_flent, read_flent
from trainer.latency.formats.ping import is_ping, read_ping
from trainer.latency.formats.sensor_lines import is_sensor_lines, read_sensor_lines
from trainer.latency.formats.table import is_table, read_table
from trainer.latency.formats.text import opened
from trainer.latency.series import LatencySeries
from trainer.latency.store import is_store, read_store

_HEAD = 1 << 16
"""Characters by which a form is told."""

_Reader = Callable[[Path], Iterator[LatencySeries]]
_FORMS: tuple[tuple[Callable[[str], bool], _Reader], ...] = (
    (is_ping, read_ping),
    (is_sensor_lines, read_sensor_lines),
    (is_atlas, read_atlas),
    (is_flent, read_flent),
    (is_table, read_table),
)


def read_files(paths: Iterable[Path]) -> Iterator[LatencySeries]:
    """Reads the series of files, one after the other; see `read_file`."""
    for path in paths:
        yield from read_file(path)


def read_file(path: Path) -> Iterator[LatencySeries]:
    """Reads the series of one file; text may be packed with gzip.

    Raises:
        MissingInputError: the file can't be read.
        SeriesError: it has none of the forms, is damaged, or holds no measurement.
    """
    yielded = False
    for series in _reader(path)(path):
        yielded = yielded or bool(len(series))
        yield series
    if not yielded:
        raise SeriesError(f"{path}: no measurement in it")


def _reader(path: Path) -> _Reader:
    try:
        with path.open("rb") as file:
            if is_store(file.read(4)):
                return read_store
    except OSError as error:
        raise MissingInputError(f"{path}: {error.strerror or error}") from None
    with opened(path) as text:
        head = text.read(_HEAD)
    for fits, reader in _FORMS:
        if fits(head):
            return reader
    raise SeriesError(
        f"{path}: no latency series; read are RIPE Atlas results, output of `ping -D`, tables of "
        "times and round-trip times, flent's data files, and what `multa-sensor latency` and "
        "`multa-trainer latency generate` write"
    )
