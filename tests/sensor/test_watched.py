"""Several interfaces as one stream: all of theirs, nothing of others, in order."""

import contextlib
import itertools
import json
import subprocess

import frames
import netns
import pytest
from command import flood, sensor_command
from netns import play
from running import started, told

from sensor.capture.ring import FULL_FRAMES, Ring
from sensor.errors import CaptureUnavailableError, UsageError

pytestmark = pytest.mark.network

QUICK = {"timeout_ms": 20, "blocks": 8, "snap_bytes": FULL_FRAMES}
MORE = ("port1", "port2")


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def lay(cable, name):
    """One more pair of ports between the two namespaces."""
    peer = ("type", "veth", "peer", "name", name, "netns", cable.far)
    ip("-n", cable.near, "link", "add", name, *peer)
    for namespace in (cable.near, cable.far):
        ip("-n", namespace, "link", "set", name, "up")
        offloads = [word for name in netns.OFFLOADS for word in (name, "off")]
        cable.run(namespace, ["ethtool", "-K", name, *offloads])


@pytest.fixture(scope="module")
def cable():
    with netns.link() as cable:
        for name in MORE:
            lay(cable, name)
        yield cable


def numbered(number):
    return frames.udp_frame("10.0.0.1", 1000, "10.0.0.2", 53, number.to_bytes(4, "big") * 8)


def contents(block):
    return [
        block.buffer[start : start + length].tobytes()
        for start, length in zip(block.offset.tolist(), block.captured_length.tolist(), strict=True)
    ]


def until_seen(blocks, last):
    """What comes until a frame does, which may be lost before the carrier is there."""
    seen = []
    for block in itertools.islice(blocks, 2_000):
        seen += contents(block)
        if last in seen:
            return seen
    raise AssertionError(f"{len(seen)} frames, and not the last one")


def test_frames_of_all_of_them_come_in_order_and_those_of_others_do_not(cable):
    with netns.inside(cable.far):
        ring = Ring("port0", "lo", "port1", snap_bytes=FULL_FRAMES)
    with contextlib.closing(ring):
        assert ring.interface == "port0,lo,port1"
        sent = [numbered(number) for number in range(100)]
        for number, frame in enumerate(sent):
            play(cable.near, ("port0", "port1")[number % 2], [frame])
            if number % 10 == 0:
                play(cable.near, "port2", [numbered(10_000 + number)])
        last = numbered(999)
        play(cable.far, "lo", [last])
        # A loopback shows each frame as it leaves and as it arrives.
        assert until_seen(iter(ring), last) == [*sent, last]
        assert dict(ring.blind) == {}


def test_each_is_followed(cable):
    with netns.inside(cable.far):
        ring = Ring("port0", "port2", **QUICK)
    with contextlib.closing(ring):
        blocks = iter(ring)
        ip("-n", cable.far, "link", "set", "port2", "down")
        while dict(ring.blind) != {"port2": "is down"}:
            next(blocks)
        ip("-n", cable.far, "link", "delete", "port2")
        while dict(ring.blind) != {"port2": "is gone"}:
            next(blocks)
        play(cable.near, "port0", [numbered(1)])
        assert until_seen(blocks, numbered(1)) == [numbered(1)]
        lay(cable, "port2")
        while ring.blind:
            next(blocks)
        play(cable.near, "port2", [numbered(2)])
        assert until_seen(blocks, numbered(2)) == [numbered(2)]


def test_names_that_do_not_make_sense(cable):
    with netns.inside(cable.far):
        with pytest.raises(UsageError, match="twice"):
            Ring("port0", "port0", **QUICK)
        with pytest.raises(UsageError, match="32"):
            Ring(*(f"port{number}" for number in range(33)), **QUICK)
        with pytest.raises(CaptureUnavailableError, match="nothing0"):
            Ring("port0", "nothing0", **QUICK)


def test_a_flood_that_comes_both_ways_is_one_incident_and_so_it_is_replayed(cable, capfd, tmp_path):
    log, record = tmp_path / "alerts.json", tmp_path / "record.pcap"
    sent, _ = flood(60)
    arguments = ("--no-models", "-i", "port1", "-o", str(log), "--record", str(record))
    with started(cable, *arguments) as sensor:
        for number, frame in enumerate(sent):
            play(cable.near, ("port0", "port1")[number % 2], [frame])
        sensor.wait_for_recording(record, sent)
        assert sensor.end() == 0
    live = [json.loads(line) for line in log.read_text().splitlines()]
    assert {each.pop("in_iface") for each in live} == {"port0,port1"}
    assert told(log) == [("flow_rate", kind, "10.0.0.2") for kind in ("start", "update", "end")]
    again = tmp_path / "again.json"
    outcome = sensor_command(capfd, "replay", record, "--no-models", "-o", again)
    assert (outcome.status, outcome.err) == (0, "")
    for each in live:
        each.pop("host")
        each["alert"]["metadata"]["multa"].pop("emitted_at")
    assert [json.loads(line) for line in again.read_text().splitlines()] == live
