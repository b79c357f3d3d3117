"""What a live run sees and alerts is what a replay of its recording gives, byte for byte."""

import contextlib
import json
import random
import struct
import threading
from dataclasses import fields

import dpkt
import frames
import netns
import pytest
from command import ROOT, sensor_command
from running import started, told

from sensor.capture.formats import open_capture
from sensor.capture.record import Recorder, recorded
from sensor.capture.ring import Ring
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import assemble
from sensor.service.live import limited

pytestmark = pytest.mark.network

TIMES = ("decided_ns", "flow_start_ns", "first_packet_ns", "last_packet_ns", "interarrival_us")
"""What differs when the same packets come at other times …"""

ABOUT_TIME = ("row", "end_reason", "context_saturated")
"""… and what does because it depends on them: early rows, and flows within a second."""


def traffic():
    """Two floods, and connections with and without tags that close, stay open, or go on long."""
    rng = random.Random(3)
    sent = [(10, frames.arp_frame("10.0.0.1", "10.0.0.2"))]
    for number in range(40):
        tags = rng.choice([[], [], [(0x8100, 7)], [(0x88A8, 3), (0x8100, 9)]])
        ends = (f"10.2.0.{number + 1}", 30_000 + number, "10.0.0.3", 8883)
        for k in range(rng.choice([3, 16, 17, 40, 300])):
            path = ends if k % 2 == 0 else ends[2:] + ends[:2]
            flags = (frames.SYN, frames.SYN | frames.ACK)[k] if k < 2 else frames.ACK
            payload = rng.randbytes(rng.randrange(1400))
            sent.append((number * 3 + k * 5, frames.tcp_frame(*path, flags, payload, tags)))
        if number % 2:
            sent.append((2000, frames.tcp_frame(*ends, frames.RST, tags=tags)))
    for start, victim in ((100, "10.0.0.2"), (900, "2001:db8::2")):
        for k in range(400):
            source = f"2001:db8:1::{k:x}" if ":" in victim else f"10.1.{k // 250}.{k % 250}"
            frame = frames.tcp_frame(source, 1000 + k, victim, 80, frames.SYN)
            sent.append((start + k, frame))
    return [frame for _, frame in sorted(sent, key=lambda entry: entry[0])]


def alerts(path, *, live):
    """Alerts without what only a live one has, which is there or not as it should be."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for record in found:
        own = record["alert"]["metadata"]["multa"]
        said = [record.pop("host", ""), record.pop("in_iface", ""), own.pop("emitted_at", "")]
        assert all(said) if live else not any(said)
    return found


def longest_rows(capfd, path):
    """The most complete row of every sequence, without times and what follows from them."""
    outcome = sensor_command(capfd, "flows", path)
    assert (outcome.status, outcome.err) == (0, "")
    found = {}
    for row in map(json.loads, outcome.out.splitlines()):
        place = (row["flow_ordinal"], row["sequence_index"])
        kept = {
            name: value
            for name, value in row.items()
            if name not in (*TIMES, *ABOUT_TIME) and not name.endswith(("_1s", "_10s"))
        }
        if row["length"] >= found.get(place, {"length": 0})["length"]:
            found[place] = kept
    return found


def test_recording_gives_the_same_alerts_and_rows(capfd, tmp_path, random_bundle):
    sent = traffic()
    live, record, stats = (tmp_path / name for name in ("live.json", "record.pcap", "stats.json"))
    models = ["-m", str(random_bundle)]
    outputs = ["-o", str(live), "--record", str(record), "--stats", str(stats)]
    with netns.link() as cable, started(cable, *models, *outputs) as sensor:
        netns.play(cable.near, cable.port, sent, packets_per_second=3000)
        sensor.wait_for_recording(record, sent)
        # Silence moves the clock of the live run on; the replay's rows may not differ for it.
        sensor.wait_for_alert(live, "start", "2001:db8::2")
        assert sensor.end() == 0
    seen = json.loads(stats.read_text())
    assert seen["packets"] == len(sent)
    assert seen["kernel_drops"] == seen["packets_late"] == seen["alerts_lost"] == 0
    with record.open("rb") as file:
        assert [frame for _, frame in dpkt.pcap.Reader(file)] == sent

    replays = []
    for number in range(2):
        output, counted = tmp_path / f"alerts{number}.json", tmp_path / f"stats{number}.json"
        arguments = ("replay", record, *models, "-o", output, "--stats", counted)
        outcome = sensor_command(capfd, *arguments)
        assert (outcome.status, outcome.out, outcome.err) == (0, "", "")
        replays.append(output)
        again = json.loads(counted.read_text())
        for name in ("packets", "bytes", "refused", "flows", "sequences", "scored", "alerts"):
            assert again[name] == seen[name], name
    assert replays[0].read_bytes() == replays[1].read_bytes()
    assert alerts(replays[0], live=False) == alerts(live, live=True)
    floods = {address for task, _, address in told(replays[0]) if task == "flow_rate"}
    assert floods >= {"10.0.0.2", "2001:db8::2"}

    # Against what was sent, at other times: the same flows, packets, sizes, directions, flags.
    times = [1_700_000_000_000_000_000 + 300_000 * k for k in range(len(sent))]
    original = frames.write_pcap(tmp_path / "original.pcap", sent, times, frames.NANOS_LE)
    expected = longest_rows(capfd, original)
    assert len(expected) > 900
    assert longest_rows(capfd, record) == expected


def rows_of_stream(blocks):
    """All rows of a stream of blocks, by column."""
    table = FlowTable(FeatureSchema())
    batch = SequenceBatch.concatenate([*assemble(blocks, Decoder(), table)])
    return {entry.name: getattr(batch, entry.name) for entry in fields(batch)}


def played(sent, record):
    """Rows of a live ring while frames are played into it, and those of its recording."""
    with netns.link() as cable:
        with netns.inside(cable.far):
            ring = Ring(cable.port, snap_bytes=262_144, block_bytes=1 << 20)
        player = threading.Thread(target=netns.play, args=(cable.near, cable.port, sent, 4_000))
        player.start()
        recorder = Recorder(record)
        live = rows_of_stream(recorded(limited(ring, len(sent), duration_s=60), recorder))
        recorder.close()
        player.join()
        assert (ring.counters.packets, ring.counters.kernel_drops) == (len(sent), 0)
        ring.close()
    with contextlib.closing(open_capture(record)) as source:
        return live, rows_of_stream(source)


def assert_same_bytes(rows, others):
    for name, column in rows.items():
        assert column.tobytes() == others[name].tobytes(), name


def lab_frames():
    with (ROOT / "tests/captures/full-length.pcap").open("rb") as file:
        return [frame for _, frame in dpkt.pcap.Reader(file)]


def test_a_full_length_lab_recording_played_live(capfd, tmp_path):
    original, record = ROOT / "tests/captures/full-length.pcap", tmp_path / "record.pcap"
    live, again = played(lab_frames(), record)
    assert len(live["length"]) > 1_000
    assert_same_bytes(live, again)
    assert longest_rows(capfd, record) == longest_rows(capfd, original)


@pytest.mark.parametrize(
    "tags",
    [[(0x8100, 7)], [(0x88A8, 3), (0x8100, 9)], [(0x9100, 3), (0x8100, 4095)]],
    ids=["vlan", "qinq", "pre-standard"],
)
def test_tagged_frames_played_live(capfd, tmp_path, tags):
    """The kernel strips the outer tag; rows are those of the frames in a file, tagged or not."""
    untagged = [frame for frame in lab_frames() if len(frame) <= 1_506][:2_000]
    ports = b"".join(struct.pack("!HH", *tag) for tag in tags)
    sent = [frame[:12] + ports + frame[12:] for frame in untagged]
    record = tmp_path / "record.pcap"
    live, again = played(sent, record)
    assert_same_bytes(live, again)
    with record.open("rb") as file:
        assert [frame for _, frame in dpkt.pcap.Reader(file)] == sent
    bare = frames.write_pcap(tmp_path / "bare.pcap", untagged)
    tagged = frames.write_pcap(tmp_path / "tagged.pcap", sent)
    expected = longest_rows(capfd, bare)
    assert len(expected) > 50
    assert longest_rows(capfd, tagged) == longest_rows(capfd, record) == expected
