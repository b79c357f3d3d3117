import io
import zipfile

import numpy as np
import pytest
from feature_rows import random_rows

from sensor.model.encoding import encode, row_bytes
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
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read(archive(**arrays))


@pytest.mark.parametrize(
    ("name", "replacement"),
    [
        ("length", np.zeros(5, np.uint16)),
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


def test_a_missing_array_and_another_file_are_refused(vectors):
    with pytest.raises(ValueError, match="not an archive"):
        read(archive(scores=vectors.scores))
    for file in (b"", b"no zip", vectors.to_npz()[:-30]):
        with pytest.raises(ValueError, match="not an archive"):
            read(file)


def test_an_archive_that_unpacks_to_much_is_refused_before_it_is_unpacked():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("scores.npy", bytes(17 << 20))
    assert len(stream.getvalue()) < 100_000
    with pytest.raises(ValueError, match="16 MiB"):
        read(stream.getvalue())
