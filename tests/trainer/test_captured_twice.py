"""Packets captured twice are removed once, and a flood of identical datagrams is never thinned."""

import itertools
import random

import numpy as np
import pytest
from frames import NANOS_LE, SYN, tcp_frame, udp_frame, write_pcap
from real_captures import DATA

from sensor.capture.formats import open_capture
from sensor.errors import ConfigurationError
from sensor.model.schema import FeatureSchema
from trainer.datasets.captured_twice import copies, without
from trainer.datasets.extraction import Recording, extract

BENIGN = "# covered: syn_dos\nstart,end,src,src_port,dst,dst_port,proto,task,value\n"


def frame(port):
    return tcp_frame("10.0.0.1", port, "10.0.0.2", 80, SYN)


def later_hop(octets):
    """The frame with a TTL one lower, and whatever the checksum has become."""
    packet = bytearray(octets)
    packet[0:12] = bytes(12)
    packet[22] -= 1
    packet[24:26] = b"\x12\x34"
    return bytes(packet)


def written(path, timed):
    write_pcap(path, [octets for _, octets in timed], [time for time, _ in timed], NANOS_LE)
    return path


def test_the_second_of_two_equal_packets_is_a_copy_whatever_its_ttl_and_macs(tmp_path):
    timed = []
    for number in range(20):
        timed += [(10**9 + number * 10**7, frame(number))]
        timed += [(10**9 + number * 10**7 + 1_900_000, later_hop(frame(number)))]
    path = written(tmp_path / "a.pcap", timed)
    assert copies(path).tolist() == [False, True] * 20


def test_a_packet_that_comes_again_later_than_two_milliseconds_is_none(tmp_path):
    timed = [(10**9 + number * 10**7, frame(number // 2)) for number in range(4)]
    timed += [(2 * 10**9 + number * 10**6 // 2, frame(100 + number // 2)) for number in range(16)]
    assert np.flatnonzero(copies(written(tmp_path / "a.pcap", timed))).tolist() == [
        *range(5, 20, 2)
    ]


@pytest.mark.parametrize("mean_gap_us", [10, 500, 1_000, 1_800, 2_000, 5_000, 50_000])
@pytest.mark.parametrize("even", [True, False])
def test_a_flood_of_identical_datagrams_is_never_taken_for_one(tmp_path, mean_gap_us, even):
    rng = random.Random(mean_gap_us)
    gaps = (mean_gap_us if even else rng.expovariate(1 / mean_gap_us) for _ in range(2_000))
    octets = udp_frame("10.0.0.1", 7, "10.0.0.2", 7, bytes(20))
    times = itertools.accumulate(int(1_000 * gap) for gap in gaps)
    path = written(tmp_path / "a.pcap", [(10**9 + time, octets) for time in times])
    with pytest.raises(ConfigurationError, match=r"captured twice, but only .* are pairs"):
        copies(path)


def test_an_extracted_recording_has_each_packet_once_in_any_block(tmp_path):
    timed = [
        (10**9 + number * 10**5 + copy, frame(1 + number))
        for number in range(9_000)  # more than one block of the reader
        for copy in (0, 1)
    ]
    capture, labels = written(tmp_path / "a.pcap", timed), tmp_path / "labels.csv"
    labels.write_text(BENIGN)
    record, rows, _ = extract(
        Recording("a", capture, labels, captured_twice=True), FeatureSchema(), ("syn_dos",)
    )
    assert (record.packets, record.removed, record.flows) == (18_000, 9_000, 9_000)
    assert set(rows.length.tolist()) == {1}
    record, rows, _ = extract(Recording("a", capture, labels), FeatureSchema(), ("syn_dos",))
    assert (record.removed, set(rows.length.tolist())) == (0, {2})


def test_a_block_without_some_frames_keeps_the_columns_of_the_others(tmp_path):
    path = written(tmp_path / "a.pcap", [(10**9 + number, frame(number)) for number in range(4)])
    source = open_capture(path)
    try:
        (block,) = source
        rest = without(block, np.array([False, True, True, False]))
        assert rest.timestamp_ns.tolist() == [10**9, 10**9 + 3]
        assert len(rest) == rest.captured_length.size == rest.link_type.size == 2
    finally:
        source.close()


def test_lucid_s_captures_hold_half_as_many_packets(tmp_path):
    """26,316 and 3,104 frames; by IP id and L4 header within 2 ms, 14,712 of the 29,420 stay."""
    import tarfile

    archive = DATA / "security.tar.xz"
    if not archive.is_file():
        pytest.skip("needs ../shared/data/security.tar.xz")
    kept = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            if "lucid" in member.name and member.isfile():
                path = tmp_path / "lucid.pcap"
                path.write_bytes(tar.extractfile(member).read())
                second = copies(path)
                kept += int((~second).sum())
    assert kept == pytest.approx(14_712, abs=10)
