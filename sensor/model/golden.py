"""Golden vectors: rows with the scores that the bundle's author saw, as raw columns.

They start from raw columns, so they prove the encoding as well as the network. No identity
(address, port, time) is in them.
"""

import io
import zipfile
from dataclasses import dataclass

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
"""Columns of `SequenceBatch` that features are made of."""

_LARGEST = 16 << 20


@dataclass(frozen=True)
class GoldenVectors:
    """Rows with what must come out of them.

    Attributes:
        rows: g rows; columns that are no features are 0.
        packed: ``(g, bytes)`` uint8, the rows encoded (`sensor.model.encoding.Encoded`).
        scores: ``(g, tasks)`` float32 raw scores, in the order of the bundle's tasks.
    """

    rows: SequenceBatch
    packed: NDArray[np.uint8]
    scores: NDArray[np.float32]

    def to_npz(self) -> bytes:
        """The file ``golden.npz``; the same vectors give the same bytes."""
        arrays = {name: getattr(self.rows, name) for name in COLUMNS}
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
        cls, file: bytes, schema: FeatureSchema, row_bytes: int, tasks: int
    ) -> "GoldenVectors":
        """Reads ``golden.npz``; nothing in it is unpickled.

        Raises:
            ValueError: not such an archive, or an array is missing or of another type or shape.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(file)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
                    raise ValueError("it unpacks to more than 16 MiB")
            with np.load(io.BytesIO(file), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in (*COLUMNS, "packed", "scores")}
        except (zipfile.BadZipFile, KeyError, EOFError, OSError) as error:
            raise ValueError(f"not an archive of golden vectors ({error})") from None
        count = len(arrays["length"]) if arrays["length"].ndim else 0
        rows = empty_rows(schema.n, count)
        expected = {name: getattr(rows, name) for name in COLUMNS}
        expected["packed"] = np.zeros((count, row_bytes), np.uint8)
        expected["scores"] = np.zeros((count, tasks), np.float32)
        for name, array in expected.items():
            if arrays[name].dtype != array.dtype or arrays[name].shape != array.shape:
                raise ValueError(f"array {name!r} has another type or shape than {array.shape}")
            if name in COLUMNS:
                array[...] = arrays[name]
        if not count or not ((rows.length > 0) & (rows.length <= schema.n)).all():
            raise ValueError("it holds no rows, or rows of impossible lengths")
        return cls(rows, arrays["packed"], arrays["scores"])

    @classmethod
    def of(
        cls, batch: SequenceBatch, packed: NDArray[np.uint8], scores: NDArray[np.float32]
    ) -> "GoldenVectors":
        """Vectors of the given rows, without whatever is no feature."""
        rows = empty_rows(batch.ip_length.shape[1], len(batch))
        for name in COLUMNS:
            getattr(rows, name)[...] = getattr(batch, name)
        return cls(rows, packed, scores)


def empty_rows(n: int, count: int) -> SequenceBatch:
    """A batch of `count` rows of zeros."""
    none = SequenceBatch.empty(n)
    columns = (getattr(none, name) for name in SequenceBatch.__dataclass_fields__)
    return SequenceBatch(*(np.zeros((count, *c.shape[1:]), c.dtype) for c in columns))
