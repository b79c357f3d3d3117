"""Two workers give the rows and alerts of one process; those that end are told."""

import json
import os
import signal
import socket
from dataclasses import asdict, fields
from pathlib import Path

import dpkt
import netns
import pytest
from command import ROOT, assert_fails, flood, sensor_command
from running import started, told, until

from sensor.capture.ring import Ring
from sensor.errors import HostError
from sensor.exchange import Lanes
from sensor.flows.sequences import SequenceBatch
from sensor.flows.table import FlowTable
from sensor.lane import Lane
from sensor.model.schema import FeatureSchema
from sensor.packets.decode import Decoder
from sensor.pipeline import assemble, decide, rows
from sensor.service.health.counts import DecodedCounts
from sensor.service.live import within
from sensor.service.workers.workers import Workers

pytestmark = pytest.mark.network

SO_TIMESTAMPNS = 35
SCHEMA = FeatureSchema()


def stamped_once(cable):
    """As long as somebody wants times, the kernel stamps a frame once, for all sockets."""
    with netns.inside(cable.far):
        wanting = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wanting.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return wanting


def play(cable, sent):
    """From one processor, as two would stamp frames in another order than that of a ring."""
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})
    try:
        netns.play(cable.near, cable.port, sent, 20_000)
    finally:
        os.sched_setaffinity(0, everywhere)


def columns(batches):
    rows = SequenceBatch.concatenate(batches)
    return {entry.name: getattr(rows, entry.name) for entry in fields(rows)}


def lab_frames():
    with (ROOT / "tests/captures/full-length.pcap").open("rb") as file:
        return [frame for _, frame in dpkt.pcap.Reader(file)]


@pytest.mark.parametrize("count", [2, 3])
def test_rows_are_those_of_one_ring(count):
    """A lab recording and a flood, captured by both at once: byte for byte."""
    sent = lab_frames() + flood(3_000)[0]
    decoder = Decoder()
    with netns.link() as cable, stamped_once(cable):
        with netns.inside(cable.far):
            ring = Ring(cable.port)
            workers = Workers([cable.port], count, (), blocks=256)
        play(cable, sent)
        shared = columns([*rows(decide(within(workers, 0), Lanes([Lane(FlowTable(SCHEMA))])))])
        ring.stop()
        alone = columns([*assemble(ring, decoder, FlowTable(SCHEMA))])
        ring.close()
        workers.close()
    assert ring.counters.packets == len(sent) == workers.frames.packets
    assert workers.counters.packets == len(sent)
    assert workers.frames.bytes == ring.counters.bytes
    assert min(each.capture.packets for each in workers._processes) > len(sent) / 20
    counts = DecodedCounts()
    counts.join(decoder)
    assert asdict(workers.decoded) == asdict(counts)
    assert len(alone["length"]) > 3_000
    for name, column in alone.items():
        assert shared[name].tobytes() == column.tobytes(), name


def test_alerts_are_those_of_one_process(tmp_path):
    logs, counted = [tmp_path / "one.json", tmp_path / "two.json"], []
    rule = ("--no-models", "--stats", "-")
    with netns.link() as cable, stamped_once(cable):
        one = started(cable, *rule, "-o", str(logs[0]))
        two = started(cable, *rule, "-o", str(logs[1]), "--workers", "2")
        with one as first, two as second:
            play(cable, flood(5_000)[0] + lab_frames())
            for sensor in (first, second):
                assert sensor.end() == 0
                counted.append(json.loads(sensor.output))
    found = []
    for log in logs:
        found.append([json.loads(line) for line in log.read_text().splitlines()])
        for record in found[-1]:
            assert record["alert"]["metadata"]["multa"].pop("emitted_at")
    assert len(told(logs[0])) > 2
    assert found[0] == found[1]
    for entry in counted:
        assert (entry.pop("seconds"), entry["kernel_drops"], entry["shed"]) > (0, 0, 0)
    assert counted[0] == counted[1]


def children(sensor):
    return [
        int(pid)
        for task in Path(f"/proc/{sensor.process.pid}/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def gone(pid):
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_a_worker_that_is_killed_ends_the_run_after_what_was_received(tmp_path):
    log = tmp_path / "alerts.json"
    with netns.link() as cable:
        arguments = ("--no-models", "-o", str(log), "--workers", "2")
        with started(cable, *arguments) as sensor:
            netns.play(cable.near, cable.port, flood(60)[0])
            until(lambda: sensor.statistics()["packets"] == 60, "60 packets")
            workers = children(sensor)
            assert len(workers) == 2
            os.kill(workers[0], signal.SIGKILL)
            assert sensor.wait() == 71
            assert "a process that captures was ended by signal 9" in sensor.messages[-1]
        assert told(log) == [("flow_rate", kind, "10.0.0.2") for kind in ("start", "update", "end")]
        until(lambda: all(map(gone, workers)), "the workers to be gone")


def test_a_worker_that_stands_still_does_not_keep_the_run(monkeypatch):
    monkeypatch.setattr("sensor.service.workers.workers.ENDING_S", 0.3)
    with netns.link() as cable, netns.inside(cable.far):
        source = Workers((cable.port,), 2, set(), blocks=64, promiscuous=False)
        try:
            packets = iter(source)
            next(packets)
            stopped = source._processes[0].pid
            os.kill(stopped, signal.SIGSTOP)
            source.stop()
            with pytest.raises(HostError, match="ended by signal 9"):
                for _ in packets:
                    pass
            assert gone(stopped)
        finally:
            source.close()


def test_workers_end_with_the_sensor():
    with netns.link() as cable:
        with started(cable, "--no-models", "-o", "/dev/null", "--workers", "2") as sensor:
            workers = children(sensor)
            sensor.process.send_signal(signal.SIGKILL)
            until(sensor.ended, "the end")
        until(lambda: all(map(gone, workers)), "the workers to be gone")


def test_what_several_workers_can_not(capfd):
    for option in (["--record", "file.pcap"], ["--count", "5"], ["--source", "tshark"]):
        outcome = sensor_command(capfd, "run", "-i", "lo", "--workers", "2", *option)
        assert_fails(outcome, 64, "need one worker")
