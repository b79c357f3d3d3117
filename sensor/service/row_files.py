"""Rows of packets as files for other tools: JSON lines, CSV or Parquet.

The columns are those of `sensor.flows.columns`. CSV has lists as numbers separated by spaces.
"""

import csv
import importlib
import io
import json
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Protocol

from sensor.alerts.sinks import STDOUT
from sensor.errors import HostError, OutputError, UsageError
from sensor.flows.columns import COLUMNS, PACKET_COLUMNS, columns_of
from sensor.flows.sequences import SequenceBatch


class RowWriter(Protocol):
    """Writes batches of rows to wherever it was opened."""

    def write(self, batch: SequenceBatch) -> None:
        """Appends the rows."""
        ...

    def close(self) -> None:
        """Ends the file; closing twice is allowed."""
        ...


def open_rows(path: str, optional: Collection[str] = ()) -> RowWriter:
    """Opens an output for rows; the end of its name says the format, ``-`` is JSON lines.

    Args:
        path: of the file.
        optional: columns that the batches have besides (`SequenceBatch.optional`).

    Raises:
        UsageError: the name has another end.
        HostError: Parquet is asked for and not installed.
        OutputError: the file can't be written.
    """
    suffix = ".jsonl" if path == STDOUT else Path(path).suffix.lower()
    try:
        if suffix == ".parquet":
            return _Parquet(path, optional)
        if suffix == ".csv":
            return _Text(path, _csv, ",".join((*COLUMNS, *optional)) + "\n")
        if suffix == ".jsonl":
            return _Text(path, _json_lines)
    except (OSError, ValueError) as error:
        raise _failure(path, error) from None
    raise UsageError(f"{path}: rows are written as .jsonl, .csv or .parquet, or to - as JSON lines")


class _Text:
    """A text file of rows."""

    def __init__(
        self, path: str, form: Callable[[dict[str, list[Any]]], str], heading: str = ""
    ) -> None:
        self._path, self._form = path, form
        descriptor = sys.stdout.fileno() if path == STDOUT else path
        self._file = io.open(  # noqa: SIM115, UP020 -- closed by close(); takes a descriptor too
            descriptor, "w", encoding="ascii", newline="", closefd=path != STDOUT
        )
        self._file.write(heading)

    def write(self, batch: SequenceBatch) -> None:
        columns = columns_of(batch)
        try:
            self._file.write(self._form(columns))
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failure(self._path, error) from None

    def close(self) -> None:
        try:
            self._file.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _failure(self._path, error) from None


def _json_lines(columns: dict[str, list[Any]]) -> str:
    encode = json.JSONEncoder(separators=(",", ":")).encode
    rows = zip(*columns.values(), strict=True)
    return "".join(encode(dict(zip(columns, row, strict=True))) + "\n" for row in rows)


def _csv(columns: dict[str, list[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    lists = len(COLUMNS) - len(PACKET_COLUMNS)
    for row in zip(*columns.values(), strict=True):
        packed = [" ".join(map(str, values)) for values in row[lists:]]
        writer.writerow([*row[:lists], *packed])
    return text.getvalue()


class _Parquet:
    """Parquet by pyarrow, an optional dependency."""

    def __init__(self, path: str, optional: Collection[str]) -> None:
        self._path = path
        try:
            self._arrow = importlib.import_module("pyarrow")
            parquet = importlib.import_module("pyarrow.parquet")
        except ModuleNotFoundError:
            raise HostError(
                f"{path}: Parquet needs pyarrow, which is not installed; "
                "pip install pyarrow, or write .csv or .jsonl"
            ) from None
        kinds = {name: self._arrow.int64() for name in COLUMNS}
        kinds |= dict.fromkeys(("end_reason", "src_ip", "dest_ip"), self._arrow.string())
        kinds |= dict.fromkeys(("midstream", "context_saturated", "offloaded"), self._arrow.bool_())
        lists = (*PACKET_COLUMNS, *optional)
        kinds |= {name: self._arrow.list_(self._arrow.int32()) for name in lists}
        self._schema = self._arrow.schema(list(kinds.items()))
        self._file = os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644), "wb"
        )
        self._writer = parquet.ParquetWriter(self._file, self._schema, compression="zstd")

    def write(self, batch: SequenceBatch) -> None:
        try:
            self._writer.write_table(
                self._arrow.table(columns_of(batch), schema=self._schema), row_group_size=1 << 16
            )
        except OSError as error:
            raise _failure(self._path, error) from None

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self._writer.close()
            self._file.close()
        except OSError as error:
            raise _failure(self._path, error) from None


def _failure(path: str, error: OSError | ValueError) -> OutputError:
    name = "standard output" if path == STDOUT else path
    reason = getattr(error, "strerror", None) or str(error)
    return OutputError(f"{name}: rows can't be written ({reason.lower()})")
