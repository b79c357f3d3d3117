"""Golden vectors: rows with the scores that the bundle's author saw, as raw columns.

They start from raw columns, so they prove the encoding as well as the network. No identity
(address, port, time) is in them.
"""

import io
import math
import re
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import FeatureSchema

TOLERANCE = 1e-3
"""Largest difference of a raw score across runtimes and machines (`docs/semantics.md` 12)."""

COLUMNS = (
    "ip_length",
    "payload_length",
    "interarrival_us",
    "direction",
    "tcp_flags",
    "length",
    "context",
    "protocol",
)
"""Columns of `SequenceBatch` that features are made of, besides those that a schema adds."""

_TYPES = frozenset({"|u1", "|i1", "<u2", "<u4", "<f4"})

_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00(?s:..)\{'descr': '([^']{1,9})', 'fortran_order': False, "
    rb"'shape': \(([0-9]{1,9},|[0-9]{1,9}(?:, [0-9]{1,9}){1,3}|)\), \} *\n"
)
"""A header of ``numpy.lib.format`` version 1.0 as NumPy writes it. NumPy's own reader evaluates
the header as Python source and allocates what it claims; this one reads and measures first."""


@dataclass(frozen=True)
class GoldenVectors:
    """Rows with what must come out of them.

    Attributes:
        rows: g rows; columns that are no features are 0.
        packed: ``(g, bytes)`` uint8, the rows encoded (`sensor.model.encoding.Encoded`).
        scores: ``(g, columns)`` float32 raw scores, in the order of the bundle's outputs.
    """

    rows: SequenceBatch
    packed: NDArray[np.uint8]
    scores: NDArray[np.float32]

    def to_npz(self) -> bytes:
        """The file ``golden.npz``; the same vectors give the same bytes."""
        arrays = {name: getattr(self.rows, name) for name in (*COLUMNS, *self.rows.optional)}
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, array in {**arrays, "packed": self.packed, "scores": self.scores}.items():
                entry = io.BytesIO()
                np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)
                # A fixed date (zip's first) instead of the clock's.
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
        return stream.getvalue()

    @classmethod
    def from_npz(
        cls, file: bytes, schema: FeatureSchema, row_bytes: int, columns: int
    ) -> "GoldenVectors":
        """Reads ``golden.npz``; nothing in it is unpickled, evaluated or decompressed.

        Args:
            file: its content.
            schema: says how long rows are, and which columns they have.
            row_bytes: bytes of an encoded row.
            columns: how many scores a row has.

        Raises:
            ValueError: not such an archive, or an array is missing or of another type or shape.
        """
        names = (*COLUMNS, *schema.optional)
        try:
            with zipfile.ZipFile(io.BytesIO(file)) as archive:
                arrays = {name: _array(archive, name) for name in (*names, "packed", "scores")}
        except _DAMAGE as error:
            raise ValueError(f"not an archive of golden vectors ({error})") from None
        count = len(arrays["length"])
        none = SequenceBatch.empty(schema.n, schema.optional)
        expected = {name: getattr(none, name) for name in names}
        expected["packed"] = np.zeros((0, row_bytes), np.uint8)
        expected["scores"] = np.zeros((0, columns), np.float32)
        for name, column in expected.items():
            shape = (count, *column.shape[1:])
            if arrays[name].dtype != column.dtype or arrays[name].shape != shape:
                raise ValueError(f"array {name!r} has another type or shape than {shape}")
        rows = empty_rows(schema.n, count, schema.optional)
        for name in names:
            getattr(rows, name)[...] = arrays[name]
        if not count or not ((rows.length > 0) & (rows.length <= schema.n)).all():
            raise ValueError("it holds no rows, or rows of impossible lengths")
        return cls(rows, arrays["packed"], arrays["scores"])

    @classmethod
    def of(
        cls, batch: SequenceBatch, packed: NDArray[np.uint8], scores: NDArray[np.float32]
    ) -> "GoldenVectors":
        """Vectors of the given rows, without whatever is no feature."""
        rows = empty_rows(batch.ip_length.shape[1], len(batch), batch.optional)
        for name in (*COLUMNS, *batch.optional):
            getattr(rows, name)[...] = getattr(batch, name)
        return cls(rows, packed, scores)


_DAMAGE = (
    zipfile.BadZipFile,
    KeyError,  # an array is missing
    EOFError,
    OSError,
    OverflowError,  # 64-bit sizes and offsets
    RuntimeError,  # encryption; as NotImplementedError: features of later versions of zip
)
"""What `zipfile` raises for damaged and foreign archives, besides ValueError."""


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array, measured before anything is allocated.

    Raises:
        ValueError: it is compressed, or no plain array of numbers that fills its entry.
    """
    entry = archive.getinfo(f"{name}.npy")
    if entry.compress_type != zipfile.ZIP_STORED:
        # some decompressors ignore how much was asked for: a few kilobytes become gigabytes
        raise ValueError(f"array {name!r} is compressed")
    content = archive.read(entry)
    header = _NPY_HEADER.match(content)
    if header is None:
        raise ValueError(f"array {name!r} has a header that is not NumPy's version 1.0")
    kind = header[1].decode("latin-1")
    shape = tuple(int(size) for size in header[2].split(b",") if size)
    if kind not in _TYPES or not shape:
        raise ValueError(f"array {name!r} has another type or shape than expected")
    if len(content) - header.end() != np.dtype(kind).itemsize * math.prod(shape):
        raise ValueError(f"array {name!r} is larger or smaller than its header says")
    array: NDArray[Any] = np.frombuffer(content, kind, offset=header.end())
    return array.reshape(shape)


def empty_rows(n: int, count: int, optional: Collection[str] = ()) -> SequenceBatch:
    """A batch of `count` rows of zeros, for a schema's n and `optional`."""
    return SequenceBatch.zeros(n, count, optional)
