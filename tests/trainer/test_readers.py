"""Data sets of traffic classes: which flows are there, with which class, in which part."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from frames import NANOS_LE, udp_frame, write_pcap
from toy_services import SERVICES, SESSIONS, toy_services

from sensor.errors import LabelError, MissingInputError, UsageError
from trainer.traffic import readers
from trainer.traffic.inputs import TASKS
from trainer.traffic.material import TEST, TRAINING, VALIDATION, deal


@pytest.fixture(scope="module")
def quic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quic")
    for seed in range(5):
        toy_services(folder / f"toy-{seed}", seed)
    return readers.read(f"quic:{folder}")


def flows_of(path, flows):
    """UDP flows ``(address, port, packets)`` to one server, one after the other."""
    packets = []
    for number, (address, port, count) in enumerate(flows):
        ends = (address, port, "2001:db8::1" if ":" in address else "192.0.2.1", 443)
        packets += [
            (int((1_000 + 200 * number + k) * 1e9), udp_frame(*ends, bytes(50 + k)))
            for k in range(count)
        ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_pcap(path, [frame for _, frame in packets], [time for time, _ in packets], NANOS_LE)


def test_recordings_of_services(quic):
    """All sessions that have a class, and no others; all whole, though captures end with them."""
    assert quic.classes == SERVICES
    assert np.bincount(quic.label).tolist() == [5 * SESSIONS] * 5
    assert quic.whole.all()
    assert quic.divisions == ("means", "quantiles")
    ports = quic.rows.source_port[quic.rows.destination_port == 443].astype(int) - 40_000
    assert (quic.label[quic.rows.destination_port == 443] == ports % 5).all()
    # A recording is in one part, and three, one and one are dealt out.
    for source in range(5):
        assert np.unique(quic.part[quic.source == source]).size == 1
    assert np.bincount(quic.part).tolist() == [60, 20, 20]


def test_labelled_captures_of_anybody(tmp_path):
    """As recordings of services, but with flows that nobody labelled, and no promise of ends."""
    for seed in range(5):
        toy_services(tmp_path / f"mine-{seed}", seed)
    material = readers.read(f"labelled:{tmp_path}")
    assert (material.name, material.classes) == ("labelled", SERVICES)
    assert np.bincount(material.label + 1).tolist() == [5, *[5 * SESSIONS] * 5]
    assert np.bincount(material.part).tolist() == [63, 21, 21]
    # UDP without 120 s of silence behind it may go on.
    assert not material.whole.any()
    labels = tmp_path / "mine-3/labels.csv"
    labels.write_text(labels.read_text().replace("video", "films"))
    with pytest.raises(LabelError, match=r"labels.csv:1: must declare traffic_class"):
        readers.read(f"labelled:{tmp_path}")


def test_dividers_know_the_training_part_alone(quic):
    labels = quic.labels("means")
    training = quic.part == TRAINING
    means = [quic.duration_s[training & (quic.label == one)].mean() for one in range(5)]
    assert means == sorted(means)
    middles = [(a + b) / 2 for a, b in pairwise(means)]
    expected = [sum(value >= middle for middle in middles) for value in quic.duration_s]
    assert labels[:, TASKS.index("duration")].tolist() == expected
    assert (labels[:, TASKS.index("traffic_class")] == quic.label).all()


def test_a_data_set_of_too_few_sources_is_refused(quic):
    quic.require_parts()
    alone = replace(quic, part=np.where(quic.part == TEST, VALIDATION, quic.part))
    with pytest.raises(MissingInputError, match="nothing of its 5 sources is in the part test"):
        alone.require_parts()


def test_labels_are_drawn_evenly_from_training_and_fewer_are_among_more(quic):
    ten, eleven, fifty = (quic.labelled(count, 3) for count in (10, 11, 50))
    assert np.bincount(quic.label[ten]).tolist() == [2] * 5
    assert sorted(np.bincount(quic.label[eleven]).tolist()) == [2, 2, 2, 2, 3]
    assert set(ten) < set(eleven) < set(fifty)
    assert (quic.part[fifty] == TRAINING).all()
    assert len(set(fifty)) == 50
    assert set(quic.labelled(0, 3)) == set(np.flatnonzero(quic.part == TRAINING))
    assert set(quic.labelled(10, 4)) != set(ten)
    with pytest.raises(LabelError, match="fewer than its 5 classes"):
        quic.labelled(4, 0)


def test_devices(tmp_path, monkeypatch):
    """A folder is a class; one of too few captures is none, and short flows are left out."""
    monkeypatch.setattr(readers, "LEAST_FLOWS", 6)
    monkeypatch.setattr(readers, "LEAST_SOURCES", 3)
    monkeypatch.setattr(readers, "MOST", 2)
    for device, captures in (("Plug", 5), ("Lamp", 5), ("Rare", 2)):
        for number in range(captures):
            flows = [("10.0.0.7", 5_000 + k, 9) for k in range(4)] + [("10.0.0.7", 4_000, 7)]
            flows_of(tmp_path / device / f"Setup-{number}.pcap", flows)
    material = readers.read(f"sentinel:{tmp_path}")
    assert material.classes == ("Lamp", "Plug")
    assert np.bincount(material.label + 1).tolist() == [4, 10, 10]  # two of each capture
    # The last flow of a capture has no 120 s behind it; it is one of 7 packets.
    assert material.whole.all()
    for label in (0, 1):
        assert np.bincount(material.part[material.label == label]).tolist() == [6, 2, 2]


def test_applications(tmp_path, monkeypatch):
    """By file and five-tuple in either direction; one with two categories has none."""
    monkeypatch.setattr(readers, "LEAST_FLOWS", 1)
    monkeypatch.setattr(readers, "LEAST_SOURCES", 1)
    flows_of(
        tmp_path / "a.pcap",
        [("10.0.0.7", 1, 9), ("10.0.0.7", 2, 9), ("2001:db8::7", 3, 9), ("10.0.0.7", 4, 9)],
    )
    (tmp_path / "not-listed.pcap").write_bytes(b"")
    (tmp_path / "ndpi_flow_labels.csv").write_text(
        "file,src,sport,dst,dport,category\n"
        "a.pcap,10.0.0.7,1,192.0.2.1,443,Web\n"
        "a.pcap,192.0.2.1,443,10.0.0.7,2,Game\n"
        "a.pcap,[2001:db8::1],443,[2001:db8::7],3,Chat\n"
        "a.pcap,10.0.0.7,4,192.0.2.1,443,Web\n"
        "a.pcap,10.0.0.7,4,192.0.2.1,443,Chat\n"
        "a.pcap,2600:1901::7a0b::,4,192.0.2.1,443,Chat\n"
    )
    material = readers.read(f"ndpi:{tmp_path}")
    assert material.classes == ("Chat", "Game", "Web")
    port = np.minimum(material.rows.source_port, material.rows.destination_port)
    assert dict(zip(port.tolist(), material.label.tolist(), strict=True)) == {
        1: 2,
        2: 1,
        3: 0,
        4: -1,
    }


def test_sessions_without_classes(tmp_path):
    for number in range(5):
        flows_of(tmp_path / f"{number}.pcap", [("10.0.0.7", 1, 9), ("10.0.0.7", 2, 9)])
    material = readers.read(f"requet:{tmp_path}")
    assert material.classes == ()
    assert material.divisions == ("quantiles",)
    # Of each capture the last flow is cut off by its end, and only of that nothing is known.
    labels = material.labels("quantiles")
    assert ((labels[:, 0] >= 0) == material.whole).all()
    assert material.whole.sum() == 5
    assert (labels[:, 2] == -1).all()


def test_sources_of_each_group_are_dealt_out():
    part = deal(["a"] * 10 + ["b"] * 5, seed=1)
    for group in (part[:10], part[10:]):
        shares = np.bincount(group) / group.size
        assert shares.tolist() == [0.6, 0.2, 0.2]
    assert {TRAINING, VALIDATION, TEST} == set(part.tolist())
    assert deal(["a"] * 10, seed=1).tolist() != deal(["a"] * 10, seed=2).tolist()


@pytest.mark.parametrize(
    ("argument", "error", "line"),
    [
        ("quick:/", UsageError, "write KIND:FOLDER, KIND being one of quic, sentinel"),
        ("quic", UsageError, "write KIND:FOLDER"),
        ("quic:/nowhere", MissingInputError, "/nowhere: no such folder"),
        ("requet:{}", MissingInputError, "holds no captures of this data set"),
        ("ndpi:{}", MissingInputError, r"ndpi_flow_labels\.csv: No such file"),
    ],
)
def test_what_is_no_data_set(argument, error, line, tmp_path):
    with pytest.raises(error, match=line):
        readers.read(argument.format(tmp_path))
