"""Extraction: the sensor's own rows with labels, and the ways to name recordings."""

import hashlib
from dataclasses import fields, replace

import numpy as np
import pytest
from frames import pcap_bytes, tcp_frame
from toy_recordings import FLOODED, TLS_SERVER, toy_recording

from sensor.capture.formats import open_capture
from sensor.errors import LabelError, MissingInputError, TruncatedCaptureError, UsageError
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.fields import FIELDS
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.packets.headers import TCP
from trainer.datasets.extraction import Recording, extract, parse_recordings
from trainer.tasks import NAMES

SCHEMA = FeatureSchema()


def address(text):
    parts = [int(part) for part in text.split(".")]
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return toy_recording(tmp_path_factory.mktemp("recordings") / "toy", 1)


@pytest.fixture(scope="module")
def extracted(recorded):
    (recording,) = parse_recordings([str(recorded)], benign=False)
    return extract(recording, SCHEMA, NAMES)


def test_rows_are_those_of_the_sensors_chain(recorded, extracted):
    _, rows, _ = extracted
    decoder, table = Decoder(), FlowTable(SCHEMA)
    source = open_capture(recorded / "capture.pcap")
    each = [table.add(decoder.decode(block)) for block in source]
    source.close()
    expected = SequenceBatch.concatenate([*each, *table.finish()])
    for column in fields(SequenceBatch):
        np.testing.assert_array_equal(getattr(rows, column.name), getattr(expected, column.name))


def test_a_schema_adds_columns_and_changes_no_other(recorded, extracted):
    (recording,) = parse_recordings([str(recorded)], benign=False)
    every = replace(SCHEMA, fields=tuple(FIELDS))
    _, wide, labels = extract(recording, every, NAMES)
    _, rows, expected = extracted
    assert (rows.optional, wide.optional) == ((), every.optional)
    np.testing.assert_array_equal(labels, expected)
    for column in fields(SequenceBatch):
        if column.name not in every.optional:
            np.testing.assert_array_equal(getattr(wide, column.name), getattr(rows, column.name))
    inside = np.arange(every.n) < wide.length[:, None]
    assert wide.ttl[inside].all()
    assert not wide.ttl[~inside].any()
    assert wide.tcp_window[wide.protocol == TCP].any()
    assert not wide.tcp_window[wide.protocol != TCP].any()


def test_labels_are_what_the_recording_was_made_of(extracted):
    _, rows, labels = extracted
    flooded = (rows.destination_low == address(FLOODED)) & (rows.destination_port == 80)
    assert flooded.sum() == 600
    np.testing.assert_array_equal(labels[:, 0] == 1, flooded)
    assert labels[:, 1].sum() == 600
    renegotiated = rows.destination_low == address(TLS_SERVER)
    assert set(rows.sequence_index[renegotiated]) == set(range(12))
    np.testing.assert_array_equal(labels[:, 2] == 1, renegotiated)
    assert labels.min() == 0


def test_the_source_says_where_its_rows_come_from(recorded, extracted):
    record, rows, _ = extracted
    content = (recorded / "capture.pcap").read_bytes()
    assert record.name == "toy"
    assert record.capture_sha256 == hashlib.sha256(content).hexdigest()
    assert record.covered == NAMES
    assert record.rows == len(rows)
    assert record.flows == rows.flow_ordinal.max() + 1
    assert record.refused == 0
    assert 100 < record.seconds < 200


def test_progress_adds_up_to_the_file(recorded):
    (recording,) = parse_recordings([str(recorded)], benign=False)
    read = []
    extract(recording, SCHEMA, NAMES, read.append)
    assert sum(read) == (recorded / "capture.pcap").stat().st_size


def test_a_benign_capture_is_all_0(tmp_path):
    folder = toy_recording(tmp_path / "quiet", 2, attacks=False)
    (folder / "labels.csv").unlink()
    (recording,) = parse_recordings([str(folder / "capture.pcap")], benign=True)
    assert recording == Recording("capture", folder / "capture.pcap", None)
    record, _, labels = extract(recording, SCHEMA, NAMES)
    assert record.labels_sha256 == ""
    assert not labels.any()


def test_recordings_are_named_by_folder_by_parent_or_one_by_one(tmp_path):
    for number, name in enumerate(("b", "a")):
        toy_recording(tmp_path / name, number, attacks=False)
    by_parent = parse_recordings([str(tmp_path)], benign=False)
    assert [recording.name for recording in by_parent] == ["a", "b"]
    assert by_parent == parse_recordings([str(tmp_path / "a"), str(tmp_path / "b")], benign=False)
    capture, labels = tmp_path / "a" / "capture.pcap", tmp_path / "a" / "labels.csv"
    (single,) = parse_recordings([f"{capture}={labels}"], benign=False)
    assert single == Recording("capture", capture, labels)
    with pytest.raises(UsageError, match="two recordings are called capture"):
        parse_recordings([f"{tmp_path / n / 'capture.pcap'}={labels}" for n in "ab"], benign=False)


def test_a_capture_without_labels_is_not_taken_for_benign(tmp_path):
    folder = toy_recording(tmp_path / "a", 1, attacks=False)
    (folder / "labels.csv").unlink()
    for argument in (folder, folder / "capture.pcap"):
        with pytest.raises(UsageError, match=r"has no labels; write .*--benign"):
            parse_recordings([str(argument)], benign=False)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"holds no capture\.pcap"):
        parse_recordings([str(tmp_path)], benign=False)
    with pytest.raises(MissingInputError, match=r"none\.pcap: No such file"):
        parse_recordings([str(tmp_path / "none.pcap")], benign=True)
    folder = toy_recording(tmp_path / "a", 1)
    with pytest.raises(MissingInputError, match=r"none\.csv: No such file"):
        parse_recordings([f"{folder}/capture.pcap={tmp_path}/none.csv"], benign=False)


def test_a_truncated_capture_is_refused(tmp_path):
    frames = [tcp_frame("10.0.0.1", 1, "10.0.0.2", 2) for _ in range(3)]
    (tmp_path / "cut.pcap").write_bytes(pcap_bytes(frames)[:-1])
    with pytest.raises(TruncatedCaptureError, match=r"record 3 .*editcap"):
        extract(Recording("cut", tmp_path / "cut.pcap", None), SCHEMA, NAMES)


def test_labels_that_match_nothing_are_refused(recorded, tmp_path):
    labels = tmp_path / "labels.csv"
    text = (recorded / "labels.csv").read_text()
    labels.write_text(text + "1,2,*,*,*,*,*,syn_dos,1\n")
    with pytest.raises(LabelError, match=r"labels\.csv:6: matches no flow"):
        extract(Recording("toy", recorded / "capture.pcap", labels), SCHEMA, NAMES)
