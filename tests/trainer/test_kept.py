"""Kept results: taken only where all that decides them is the same."""

import hashlib

import pytest

from sensor.errors import OutputError
from trainer.kept import identity, make_folder, read_kept, write_kept


def test_identity_is_the_digest_of_sorted_json():
    key, digest = identity(b=(1, 2), a="x")
    assert key == {"b": [1, 2], "a": "x"}
    assert digest == hashlib.sha256(b'{"a": "x", "b": [1, 2]}').hexdigest()


def test_only_its_own_whole_document_is_read(tmp_path):
    path = tmp_path / "new" / "x.json"
    key, _ = identity(seed=1)
    assert read_kept(path, key) is None
    write_kept(path, key, figure=0.5)
    assert read_kept(path, key) == {"of": {"seed": 1}, "figure": 0.5}
    assert [each.name for each in path.parent.iterdir()] == ["x.json"]
    assert read_kept(path, {"seed": 2}) is None
    for damaged in (path.read_text()[:-5], "[]", "3", "{}"):
        path.write_text(damaged)
        assert read_kept(path, key) is None


def test_what_can_not_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for work in (lambda: make_folder(tmp_path / "file"),
                 lambda: write_kept(tmp_path / "file" / "x.json", {})):  # fmt: skip
        with pytest.raises(
            OutputError, match=r"file: .*name a folder that can be written \(--work"
        ):
            work()
