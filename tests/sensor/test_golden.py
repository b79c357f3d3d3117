import io
import struct
import zipfile

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.model.encoding import encode, row_bytes
from sensor.model.fields import FIELDS
from sensor.model.golden import COLUMNS, GoldenVectors
from sensor.model.schema import FeatureSchema

SCHEMA = FeatureSchema()


@pytest.fixture
def vectors() -> GoldenVectors:
    rows = random_rows(16, 5, seed=1)
    rows.source_low[:] = 0x0A000001
    rows.flow_start_ns[:] = 1_700_000_000_000_000_000
    scores = np.linspace(0, 1, 10, dtype=np.float32).reshape(5, 2)
    return GoldenVectors.of(rows, encode(SCHEMA, rows).packed, scores)


def read(file: bytes, tasks: int = 2) -> GoldenVectors:
    return GoldenVectors.from_npz(file, SCHEMA, row_bytes(SCHEMA), tasks)


def test_vectors_survive_the_file(vectors):
    again = read(vectors.to_npz())
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(again.rows, name), getattr(vectors.rows, name))
    np.testing.assert_array_equal(again.packed, vectors.packed)
    np.testing.assert_array_equal(again.scores, vectors.scores)
    assert again.to_npz() == vectors.to_npz()


def test_vectors_of_a_schema_with_optional_fields_hold_those(vectors):
    wide = FeatureSchema(fields=tuple(FIELDS))
    rows = random_rows(16, 5, seed=1, optional=wide.optional)
    made = GoldenVectors.of(rows, encode(wide, rows).packed, vectors.scores)
    again = GoldenVectors.from_npz(made.to_npz(), wide, row_bytes(wide), 2)
    for name in (*COLUMNS, *wide.optional):
        np.testing.assert_array_equal(getattr(again.rows, name), getattr(rows, name))
    np.testing.assert_array_equal(encode(wide, again.rows).packed, made.packed)
    with pytest.raises(ValueError, match="ttl"):
        GoldenVectors.from_npz(vectors.to_npz(), wide, row_bytes(wide), 2)
    assert again.rows.optional == wide.optional
    assert read(vectors.to_npz()).rows.optional == ()
    names = zipfile.ZipFile(io.BytesIO(vectors.to_npz())).namelist()
    assert names == [f"{name}.npy" for name in (*COLUMNS, "packed", "scores")]


def test_no_identity_and_no_time_is_kept(vectors):
    again = read(vectors.to_npz())
    assert not again.rows.source_low.any()
    assert not again.rows.flow_start_ns.any()
    assert b"source" not in vectors.to_npz()


def archive(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def test_a_pickle_is_never_loaded(vectors):
    arrays = {name: getattr(vectors.rows, name) for name in COLUMNS}
    arrays |= {"packed": vectors.packed, "scores": np.array([print], dtype=object)}
    with pytest.raises(ValueError, match="'scores' has another type"):
        read(archive(**arrays))


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("length", np.zeros(5, np.uint16)),
        ("length", np.ones(5, np.uint32)),
        ("ip_length", np.ones((5, 16), np.uint8)),
        ("length", np.full(5, 17, np.uint16)),
        ("length", np.ones((), np.uint16)),
        ("ip_length", np.ones((5, 8), np.uint16)),
        ("scores", np.ones((5, 2), np.float64)),
        ("scores", np.ones((5, 3), np.float32)),
        ("packed", np.ones((5, 7), np.uint8)),
    ],
)
def test_other_arrays_are_refused(vectors, name, replacement):
    arrays = {column: getattr(vectors.rows, column) for column in COLUMNS}
    arrays |= {"packed": vectors.packed, "scores": vectors.scores}
    read(archive(**arrays))
    with pytest.raises(ValueError, match=r"another type or shape|impossible lengths"):
        read(archive(**arrays | {name: replacement}))


def test_no_rows_are_no_vectors(vectors):
    none = GoldenVectors.of(random_rows(16, 0, seed=1), vectors.packed[:0], vectors.scores[:0])
    with pytest.raises(ValueError, match="holds no rows"):
        read(none.to_npz())


def test_a_missing_array_and_another_file_are_refused(vectors):
    with pytest.raises(ValueError, match="not an archive"):
        read(archive(scores=vectors.scores))
    for file in (b"", b"no zip", vectors.to_npz()[:-30]):
        with pytest.raises(ValueError, match="not an archive"):
            read(file)


def with_entry(vectors, name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    """The archive with another content of one entry."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(vectors.to_npz())) as before,
        zipfile.ZipFile(stream, "w", method) as after,
    ):
        for entry in before.namelist():
            after.writestr(entry, content if entry == f"{name}.npy" else before.read(entry))
    return stream.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_nothing_is_decompressed(vectors, method):
    bomb = with_entry(vectors, "scores", bytes(17 << 20), method)
    assert len(bomb) < 100_000
    with pytest.raises(ValueError, match="is compressed"):
        read(bomb)


def npy(shape: str, kind: str = "'<f4'", order: str = "False", version: bytes = b"\1\0") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header + bytes(40)


def test_a_header_written_by_hand_is_read(vectors):
    assert not read(with_entry(vectors, "scores", npy("(5, 2)"))).scores.any()


@pytest.mark.parametrize(
    "content",
    [
        npy("(1000000000000,)"),
        npy("(999999999, 999999999)"),
        npy("(10**12,)"),
        npy("(5, 2)", "'<U999999'"),
        npy("(5, 2)", "[('a', '<f4', (9999, 9999))]"),
        npy("(5, 2)", "'<f1'"),
        npy("(5, 2)", "'<f4'", "True"),
        npy("(5, 2)", version=b"\2\0"),
        npy("(5, 3)"),
        npy("(5, 1)"),
        npy("()"),
        npy("(5, 2"),
        npy("(" * 4_000),
        npy("(5L, 2L)"),
        npy("(-5, -2)"),
        npy("(5, 2)")[:-1],
        npy("(5, 2)") + b"\0",
        b"",
    ],
)
def test_an_array_is_measured_and_never_evaluated(vectors, content):
    with pytest.raises(ValueError, match=r"^array 'scores' (has|is larger)"):
        read(with_entry(vectors, "scores", content))


def test_places_beyond_64_bits_are_refused(vectors):
    """An entry of the directory whose place is in the extra field of zip64 (APPNOTE 4.5.3)."""
    file = vectors.to_npz()
    start, end = file.index(b"PK\1\2"), file.rindex(b"PK\5\6")
    after = file.index(b"PK\1\2", start + 4)
    first = bytearray(file[start:after])
    struct.pack_into("<LL", first, 20, 2**32 - 1, 2**32 - 1)
    struct.pack_into("<L", first, 42, 2**32 - 1)
    extra = struct.pack("<HHQQQ", 1, 24, 10, 10, 2**63)
    struct.pack_into("<H", first, 30, len(extra))
    tail = bytearray(file[end:])
    struct.pack_into("<L", tail, 12, end - start + len(extra))
    forged = file[:start] + first + extra + file[after:end] + tail
    with pytest.raises(ValueError, match="not an archive"):
        read(forged)


def test_damage_of_any_kind_is_refused_as_such(vectors):
    """Where bytes tell an archive's reader what to do: the first header, and the directory."""
    file = vectors.to_npz()
    directory = file.index(b"PK\1\2")
    refused = 0
    for place in (*range(30), *range(directory, directory + 46), *range(len(file) - 22, len(file))):
        for value in (0, 1, 0x40, 0x7F, 0xFF):
            damaged = bytearray(file)
            damaged[place] = value
            try:
                read(bytes(damaged))
            except ValueError:
                refused += 1
    assert refused > 150
