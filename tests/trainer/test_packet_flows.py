"""Flows of packets against the plain reference, and labels against the label file."""

import numpy as np
import pytest
from blocks import packets_of
from reference_flows import Conversations, Slots
from toy_recordings import FLOODED, toy_recording

from sensor.errors import TruncatedCaptureError
from sensor.model.schema import FeatureSchema
from trainer.baselines.packet_flows import flows_of, parts_of
from trainer.datasets.extraction import Recording
from trainer.tasks import KNOWN


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = toy_recording(tmp_path_factory.mktemp("recordings") / "toy", 1)
    return Recording("toy", folder / "capture.pcap", folder / "labels.csv")


def packets_in(recording):
    return [timed for _, headers, _ in parts_of(recording) for timed in packets_of(headers)]


def test_every_packet_has_the_flow_that_the_reference_gives_it(recording):
    slots = Slots(65_536, 16_384, FeatureSchema().idle_timeout_ms * 1_000_000)
    conversations = Conversations(slots, 65_536)
    clock, ordinals = 0, []
    for time_ns, packet in packets_in(recording):
        clock = max(clock, time_ns)
        slots.idle(clock)
        ordinals.append(conversations.packet(clock, packet).conversation.ordinal)
    flows = flows_of(recording)
    assert flows.flow.tolist() == ordinals
    assert len(flows.labels) == max(ordinals) + 1


def test_labels_are_those_of_the_file_and_attacks_end_the_beginning(recording):
    flows, packets = flows_of(recording), packets_in(recording)
    flooded = int.from_bytes(map(int, FLOODED.split(".")), "big")
    of_flood = np.array([packet.destination == flooded for _, packet in packets])
    syn = flows.labels[flows.flow, KNOWN.index("syn_dos")]
    assert (syn == of_flood).all()
    assert of_flood.sum() == 600
    # not covered by the file, so nothing is known
    assert (flows.labels[:, KNOWN.index("scan")] == -1).all()
    assert flows.beginning == int(np.flatnonzero(of_flood)[0])
    attacks = (flows.labels == 1).sum(axis=0)
    assert flows.attacked.sum() == attacks.sum() == 600 + 600 + 10


def test_without_labels_all_is_benign(recording):
    flows = flows_of(Recording("benign", recording.capture, None))
    assert not flows.labels.any()
    assert flows.beginning == flows.flow.size


def test_a_capture_that_was_cut_is_refused(recording, tmp_path):
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(recording.capture.read_bytes()[:-5])
    with pytest.raises(TruncatedCaptureError, match="editcap"):
        flows_of(Recording("cut", cut, None))
