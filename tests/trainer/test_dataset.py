"""Datasets on disk: what is stored comes back, and what must not be mixed is refused."""

import json
import shutil
from dataclasses import fields, replace

import numpy as np
import pytest
from flow_rows import rows

from sensor.errors import BundleError, LabelError, MissingInputError, OutputError
from sensor.flows.sequences import SequenceBatch
from sensor.model.schema import FeatureSchema
from trainer.datasets.dataset import SourceRecord, add_source, create, load

SCHEMA = FeatureSchema()
TASKS = ("syn_dos", "ssdp_flood")


def record(name, flows):
    return SourceRecord(
        name, f"{name}.pcap", "ab" * 32, "", TASKS, "0.1.0", 9, 1, flows, flows, 10**9, 4 * 10**9
    )


def batch(*ordinals, port=80):
    endpoints = {"source": ("2001:db8::1", 1234), "destination": ("2001:db8::2", port)}
    return rows(
        *(
            {
                "flow_ordinal": o,
                "start": o,
                "ip_length": [60, 52],
                "direction": [1, -1],
                **endpoints,
            }
            for o in ordinals
        )
    )


@pytest.fixture
def folder(tmp_path):
    create(tmp_path / "d", SCHEMA, TASKS)
    return tmp_path / "d"


def labels(count, value):
    return np.full((count, len(TASKS)), value, np.int8)


def test_rows_come_back_as_they_were_with_flows_numbered_across_sources(folder):
    add_source(folder, record("a", 3), batch(0, 2, 2), labels(3, 1))
    add_source(folder, record("b", 2), batch(1, 0, port=81), labels(2, -1))
    dataset = load([folder])
    expected = SequenceBatch.concatenate([batch(0, 2, 2), batch(1, 0, port=81)])
    for column in fields(SequenceBatch):
        stored = getattr(dataset.batch, column.name)
        np.testing.assert_array_equal(stored, getattr(expected, column.name))
        assert stored.dtype == getattr(expected, column.name).dtype
    assert dataset.flow.tolist() == [0, 2, 2, 4, 3]
    assert dataset.source.tolist() == [0, 0, 0, 1, 1]
    assert dataset.labels[:, 0].tolist() == [1, 1, 1, -1, -1]
    assert dataset.sources == (record("a", 3), record("b", 2))
    assert dataset.sources[0].seconds == 3.0
    assert dataset.schema == SCHEMA


def test_optional_fields_are_stored_where_the_schema_has_them(folder, tmp_path):
    """A dataset without them holds no column of theirs, so those of earlier versions are read."""
    schema = replace(SCHEMA, fields=(*SCHEMA.fields, "ttl"))
    wide = replace(batch(0, 1), ttl=np.full((2, 16), 64, np.uint8))
    create(tmp_path / "wide", schema, TASKS)
    for each, of_it in ((folder, batch(0, 1)), (tmp_path / "wide", wide)):
        add_source(each, record("a", 2), of_it, labels(2, 1))
        stored = set(np.load(each / "a.npz").files)
        found = load([each])
        assert found.batch.optional == found.schema.optional
        assert stored == {"labels", *(f.name for f in fields(SequenceBatch))} - {"kind"} - (
            {"ttl", "tcp_window", "rtt", "rtt_gap", "rtt_usual", "answered"}
            - {*found.schema.optional}
        )
    assert (found.batch.ttl == 64).all()
    assert found.batch.tcp_window.shape == (2, 0)
    with pytest.raises(BundleError, match="feature fingerprint"):
        load([folder, tmp_path / "wide"])


def test_probabilities_of_labels_are_kept_where_they_are_known(folder):
    add_source(folder, record("a", 2), batch(0, 1), labels(2, 0))
    assert load([folder]).likely is None
    likely = np.array([[0.25] * len(TASKS), [0.5] * len(TASKS)], np.float32)
    add_source(folder, record("b", 2), batch(0, 1, port=81), labels(2, 0), likely)
    found = load([folder])
    assert np.isnan(found.likely[:2]).all()
    np.testing.assert_array_equal(found.likely[2:], likely)
    np.testing.assert_array_equal(found.of_sources(["b"]).likely, likely)
    add_source(folder, record("b", 2), batch(0, 1, port=81), labels(2, 0), likely[:1])
    with pytest.raises(MissingInputError, match=r"b\.npz: does not hold the 2 rows of b"):
        load([folder])


def test_a_source_is_replaced_and_several_datasets_are_one(folder, tmp_path):
    add_source(folder, record("a", 1), batch(0), labels(1, 0))
    add_source(folder, record("a", 2), batch(0, 1), labels(2, 1))
    assert load([folder]).labels[:, 0].tolist() == [1, 1]
    other = tmp_path / "e"
    assert create(other, SCHEMA, TASKS) == []
    add_source(other, record("b", 1), batch(0), labels(1, 0))
    assert [source.name for source in load([folder, other]).sources] == ["a", "b"]
    assert create(other, SCHEMA, TASKS) == [record("b", 1)]


def test_taking_sources_by_name(folder):
    for name, value in (("a", 0), ("b", 1), ("c", 0)):
        add_source(folder, record(name, 1), batch(0), labels(1, value))
    chosen = load([folder]).of_sources(["b"])
    assert chosen.labels.tolist() == [[1, 1]]
    assert chosen.flow.tolist() == [1]


def test_fingerprints_and_tasks_are_never_mixed(folder, tmp_path):
    add_source(folder, record("a", 1), batch(0), labels(1, 0))
    with pytest.raises(BundleError, match="fingerprint"):
        create(folder, replace(SCHEMA, decide_after_ms=2000), TASKS)
    with pytest.raises(LabelError, match="its tasks are syn_dos, ssdp_flood"):
        create(folder, SCHEMA, TASKS[:1])
    other = tmp_path / "e"
    create(other, replace(SCHEMA, decide_after_ms=2000), TASKS)
    with pytest.raises(BundleError, match="fingerprint"):
        load([folder, other])
    again = tmp_path / "f"
    create(again, SCHEMA, TASKS)
    add_source(again, record("a", 1), batch(0), labels(1, 0))
    with pytest.raises(LabelError, match="source a is in another dataset"):
        load([folder, again])


def test_a_dataset_of_another_version_of_the_extractor_is_refused(folder):
    index = json.loads((folder / "dataset.json").read_text())
    index["schema"]["fingerprint"] = "0" * 64
    (folder / "dataset.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match="fingerprint"):
        load([folder])


def test_what_is_missing_or_damaged_is_named(folder, tmp_path):
    with pytest.raises(MissingInputError, match="make a dataset with"):
        load([tmp_path])
    with pytest.raises(MissingInputError, match="has no rows"):
        load([folder])
    add_source(folder, record("a", 1), batch(0), labels(1, 0))
    with pytest.raises(MissingInputError, match="no source 'x'; it has a"):
        load([folder]).of_sources(["x"])
    whole = (folder / "a.npz").read_bytes()
    for content in (b"no archive", b"", whole[:2000], b"PK" + whole[2:500]):
        (folder / "a.npz").write_bytes(content)
        with pytest.raises(MissingInputError, match=r"a\.npz: damaged; extract the source again"):
            load([folder])
    (folder / "a.npz").unlink()
    with pytest.raises(MissingInputError, match=r"a\.npz: No such file.*; extract the source"):
        load([folder])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"format": 1}',
        '{"format": 1, "schema": {}, "tasks": [], "sources": 3}',
        '{"format": 1, "schema": {}, "tasks": [], "sources": [{"name": "a"}]}',
        "[]",
    ],
)
def test_a_damaged_index_is_named(folder, text):
    index = json.loads((folder / "dataset.json").read_text())
    text = text.replace('"schema": {}', f'"schema": {json.dumps(index["schema"])}')
    (folder / "dataset.json").write_text(text)
    for read in (lambda: load([folder]), lambda: create(folder, SCHEMA, ())):
        with pytest.raises(MissingInputError, match=r"dataset\.json: (damaged|not a dataset)"):
            read()


def test_rows_of_another_source_or_version_are_refused(folder):
    add_source(folder, record("a", 2), batch(0, 1), labels(2, 0))
    add_source(folder, record("b", 1), batch(0, port=81), labels(1, 0))
    shutil.copy(folder / "b.npz", folder / "a.npz")
    with pytest.raises(MissingInputError, match="does not hold the 2 rows of a"):
        load([folder])


def test_a_replacement_that_is_cut_short_leaves_no_source_with_other_rows(folder, monkeypatch):
    add_source(folder, record("a", 1), batch(0), labels(1, 0))
    add_source(folder, record("b", 1), batch(0, port=81), labels(1, 0))

    def interrupted(path, **_):
        path.write_bytes(b"half an archive")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add_source(
            folder, replace(record("a", 1), capture_sha256="cd" * 32), batch(0), labels(1, 1)
        )
    assert [source.name for source in load([folder]).sources] == ["b"]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="name a folder"):
        create(tmp_path / "file" / "d", SCHEMA, TASKS)
