"""The folder of evidence: what is written when, and what becomes of it when something is wrong."""

import json
import os
import resource
import stat
from dataclasses import replace

import numpy as np
import pytest
from test_evidence import noise, told
from test_incidents import task

from sensor.alerts.eve import Options, line
from sensor.alerts.evidence_document import document
from sensor.service.evidence_store import EvidenceStore

MIB = 1 << 20


@pytest.fixture(scope="module")
def event():
    """The end of an incident of 10 rows."""
    batch, _ = noise(10, 1, addresses=1, span=5)
    return told(batch, np.ones(10), task(open_flows=10))[1][-1]


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def others(event, count):
    """So many events of other incidents, whose files are as long."""
    return [replace(event, opened_ns=event.opened_ns + place) for place in range(1, count + 1)]


def tell(store, *events):
    """Has events told; the names of their files."""
    names = []
    for event in events:
        text = line(event, Options())
        store.tell(event, text)
        names.append(json.loads(text)["alert"]["metadata"]["multa"]["alert_id"] + ".json")
    return names


def test_a_file_holds_the_line_and_the_rows(tmp_path, event):
    store = EvidenceStore(tmp_path / "evidence", MIB)
    (name,) = tell(store, event)
    path = tmp_path / "evidence" / name
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert names_in(path.parent) == [name]
    content = path.read_bytes()
    assert content == document(event.kept, line(event, Options()))
    read = json.loads(content)
    assert read["alert"] == json.loads(line(event, Options()))
    assert len(read["rows"]) == read["seen"] == event.rows == 10
    assert (store.written, store.failures, store.deleted) == (1, 0, 0)


def test_the_last_event_that_was_told_replaces_the_file(tmp_path, event):
    store = EvidenceStore(tmp_path, MIB)
    start = replace(event, kind="start", reason="")
    names = tell(store, start, event)
    assert names[0] == names[1]
    read = json.loads((tmp_path / names[0]).read_bytes())
    assert read["alert"]["alert"]["metadata"]["multa"]["event"] == "end"
    assert store.written == 2


def test_an_incident_without_rows_writes_nothing_and_keeps_its_file(tmp_path, event):
    store = EvidenceStore(tmp_path, MIB)
    tell(store, replace(event, kept=None))
    assert names_in(tmp_path) == []
    (name,) = tell(store, event)
    before = (tmp_path / name).read_bytes()
    batch, _ = noise(10, 1, addresses=1, span=5)
    given_up = told(batch, np.ones(10), task(open_flows=10))[1][-1]
    given_up.kept.give_up()
    tell(store, given_up)
    assert (tmp_path / name).read_bytes() == before


def test_the_oldest_make_room_and_foreign_files_and_links_stay(tmp_path, event):
    size = len(document(event.kept, line(event, Options())))
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "notes.json").write_bytes(bytes(20 * size))
    outside = tmp_path / "outside"
    outside.write_bytes(bytes(20 * size))
    (folder / ("0" * 16 + ".json")).symlink_to(outside)
    store = EvidenceStore(folder, 8 * size)
    names = tell(store, *others(event, 8))
    assert store.deleted == 0
    for age, name in enumerate(names):  # whatever the clock of the file system can tell apart
        os.utime(folder / name, ns=(age, age))
    tell(store, event)  # of 8 eighths 7 are left, the new one among them
    assert sorted(set(names) - set(names_in(folder))) == sorted(names[:2])
    assert (store.deleted, store.failures) == (2, 0)
    assert (folder / "notes.json").exists()
    assert outside.stat().st_size == 20 * size
    restarted = EvidenceStore(folder, 8 * size)
    tell(restarted, *others(event, 30)[8:])
    ours = [path for path in folder.glob("?" * 16 + ".json") if not path.is_symlink()]
    assert sum(path.stat().st_size for path in ours) <= 8 * size


def test_a_file_that_is_replaced_counts_once(tmp_path, event):
    size = len(document(event.kept, line(event, Options())))
    store = EvidenceStore(tmp_path, 3 * size)
    tell(store, *others(event, 2), *others(event, 1) * 20)
    assert (store.written, store.deleted) == (22, 0)
    assert len(names_in(tmp_path)) == 2


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(tmp_path, event):
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "evidence"
    store = EvidenceStore(folder, MIB)
    (name,) = tell(store, event)
    for place in (name, f".{name}.new"):
        (folder / place).unlink(missing_ok=True)
        (folder / place).symlink_to(outside)
    tell(store, event)
    assert outside.read_text() == "precious"
    assert not (folder / name).is_symlink()
    assert names_in(folder) == [name]


def test_what_a_killed_sensor_left_is_deleted(tmp_path, event):
    (tmp_path / f".{'a' * 16}.json.new").write_bytes(b"half")
    (tmp_path / ".other.new").write_bytes(b"not ours")
    (name,) = tell(EvidenceStore(tmp_path, MIB), event)
    assert names_in(tmp_path) == [".other.new", name]


def test_a_folder_that_is_gone_or_in_the_way_is_counted_and_comes_back(tmp_path, event):
    parent = tmp_path / "state"
    store = EvidenceStore(parent / "evidence", MIB)
    tell(store, event)
    assert (store.written, store.failures) == (0, 1)
    parent.mkdir()
    (parent / "evidence").write_text("a file in its place")
    tell(store, event)
    assert (store.written, store.failures) == (0, 2)
    (parent / "evidence").unlink()
    (name,) = tell(store, event)
    assert (store.written, store.failures) == (1, 2)
    (parent / "evidence" / name).unlink()
    (parent / "evidence").rmdir()
    tell(store, event)
    assert (store.written, store.failures) == (2, 2)


def test_a_file_larger_than_the_limit_is_not_written(tmp_path, event):
    store = EvidenceStore(tmp_path, 100)
    tell(store, event)
    assert names_in(tmp_path) == []
    assert store.failures == 1


def test_a_write_that_fails_halfway_is_counted_and_leaves_no_half_file(tmp_path, event):
    """As on a full disk; here no file may grow beyond 1,000 bytes (setrlimit(2))."""
    store = EvidenceStore(tmp_path, MIB)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        tell(store, event)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names_in(tmp_path) == []
    assert (store.written, store.failures) == (0, 1)
    (name,) = tell(store, event)
    assert names_in(tmp_path) == [name]
    assert (store.written, store.failures) == (1, 1)
