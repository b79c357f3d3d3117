"""Rows of changed recordings: those of the extraction where nothing is changed."""

from dataclasses import fields

import numpy as np
import pytest
from toy_recordings import toy_recording

from sensor.flows.sequences import CONTEXT_COLUMNS
from sensor.model.schema import FeatureSchema
from trainer.datasets.extraction import Recording, extract
from trainer.evasion.attacked import dataset_of, read
from trainer.evasion.changes import UNCHANGED, Change
from trainer.tasks import KNOWN

SYN_DOS, SSDP, RENEGOTIATION = (KNOWN.index(name) for name in KNOWN[:3])


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = toy_recording(tmp_path_factory.mktemp("recordings") / "toy", 1)
    return Recording("toy", folder / "capture.pcap", folder / "labels.csv")


@pytest.fixture(scope="module")
def stream(recording):
    return read(recording)


def attack_flows(dataset, column):
    return np.unique(dataset.flow[dataset.labels[:, column] == 1]).size


def test_unchanged_rows_and_labels_are_those_of_the_extraction(recording, stream):
    _, rows, labels = extract(recording, FeatureSchema(), KNOWN)
    dataset = dataset_of(stream, UNCHANGED)
    assert (dataset.labels == labels).all()
    for column in fields(rows):
        assert np.array_equal(getattr(dataset.batch, column.name), getattr(rows, column.name))


def test_a_delayed_flood_has_the_counts_of_new_flows_of_a_slower_one(stream):
    column = CONTEXT_COLUMNS.index("dst_1s")

    def counts(change):
        dataset = dataset_of(stream, change)
        assert attack_flows(dataset, SYN_DOS) == 600
        return dataset.batch.context[dataset.labels[:, SYN_DOS] == 1, column].max()

    # 600 flows in 5 s are 120 a second.
    assert counts(UNCHANGED) == pytest.approx(120, abs=2)
    assert counts(Change("delay", slower=4)) == pytest.approx(30, abs=2)


def test_benign_rows_keep_their_sizes_and_their_flows(stream):
    before, after = (
        dataset_of(stream, change) for change in (UNCHANGED, Change("all", 512, 20, 4))
    )
    benign = [(each.labels[:, :3] == 0).all(axis=1) for each in (before, after)]
    first = [its & (each.batch.row == 0) for each, its in zip((before, after), benign, strict=True)]
    assert first[0].sum() == first[1].sum() > 50
    lengths = [
        np.sort(each.batch.ip_length[its].sum(axis=1))
        for each, its in zip((before, after), first, strict=True)
    ]
    assert np.array_equal(*lengths)


def test_split_connections_have_more_rows_but_no_more_flows(stream):
    before, after = (
        dataset_of(stream, change) for change in (UNCHANGED, Change("split", pieces=4))
    )
    rows = [(each.labels[:, RENEGOTIATION] == 1).sum() for each in (before, after)]
    assert attack_flows(before, RENEGOTIATION) == attack_flows(after, RENEGOTIATION) == 10
    assert rows[1] > 1.5 * rows[0]


def test_a_flow_that_falls_apart_at_the_timeout_is_still_an_attack(stream):
    # Packets of a connection are at least 5 ms apart: 50,000 times that is beyond 120 s.
    dataset = dataset_of(stream, Change("delay", slower=50_000))
    assert attack_flows(dataset, RENEGOTIATION) > 10
    assert attack_flows(dataset, SSDP) == 600
