"""Video, monitoring and a common start, taken apart by dpkt."""

import contextlib
import dataclasses
import itertools
import random
import socket
import threading

import dpkt
import pytest

from trainer.lab import devices
from trainer.lab.client import Client
from trainer.lab.plan import Activity, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def scene(**settings: object) -> tuple[Plan, Client]:
    plan = dataclasses.replace(make_plan(read_scenario("people"), 1, 30), attacks=())
    host = next(host for host in plan.hosts if host.group == "camera")
    activity = Activity(host.name, "video", ("127.0.0.1",), 0, dict(settings), 1)
    times = itertools.count()
    return plan, Client(plan, host, activity, lambda: 0.01 * next(times))


def test_video_is_rtp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.time, "sleep", lambda _: None)
    _, client = scene(seconds=3, frames=20, rate_kbit=800, payload_bytes=1000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        monkeypatch.setitem(devices.SERVICES, "sink", ((514, port), ""))
        devices.video(client)
        receiver.settimeout(0)
        packets = []
        with contextlib.suppress(BlockingIOError):
            while len(packets) < 100_000:
                packets.append(receiver.recv(2048))
    # RFC 5761 section 4: 200 to 204 in the second byte are RTCP.
    reports = [packet for packet in packets if packet[1] == 200]
    media = [dpkt.rtp.RTP(packet) for packet in packets if packet[1] != 200]
    assert all(len(report) == 28 == 4 * (int.from_bytes(report[2:4]) + 1) for report in reports)
    assert reports
    assert len(media) > 50
    assert {packet.version for packet in media} == {2}
    assert len({packet.ssrc for packet in media}) == 1
    numbers = [packet.seq for packet in media]
    assert {(b - a) % 65_536 for a, b in itertools.pairwise(numbers)} == {1}
    assert max(len(packet.data) for packet in media) == 1000
    # A frame ends with the marker, and its packets have one time.
    for one, after in itertools.pairwise(media):
        assert (one.ts != after.ts) is bool(one.m)


def test_all_hosts_start_at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(devices.time, "sleep", slept.append)
    for step in ("_names", "_time", "_announcement", "_home", "_broker"):
        monkeypatch.setattr(devices, step, lambda *_: None)
    plan, client = scene(spread_s=2.0, names=1, connections=1)
    moment = random.Random(plan.seed).uniform(0.2, 0.7) * plan.duration_s
    assert 6 <= moment <= 21
    devices.boot(client)
    assert moment - 0.1 <= slept[0] <= moment + 2
    # Later rounds of the recording do nothing more.
    late = Client(plan, client.host, client.activity, lambda: moment + 2.1)
    slept.clear()
    devices.boot(late)
    assert slept == [plan.duration_s]


def test_a_value_is_asked_for_and_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    _, client = scene(requests=3)
    asked: list[bytes] = []

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(10)
        monkeypatch.setitem(devices.SERVICES, "snmp", ((agent.getsockname()[1],), ""))

        def answer() -> None:
            for _ in range(3):
                message, sender = agent.recvfrom(2048)
                asked.append(message)
                agent.sendto(b"x", sender)

        thread = threading.Thread(target=answer)
        thread.start()
        devices.snmp(client)
        thread.join()
    # The outer length leads to the end; 0xa0 is a GetRequest (RFC 3416 section 3).
    assert all(message[0] == 0x30 and message[1] == len(message) - 2 for message in asked)
    assert [message[13] for message in asked] == [0xA0] * 3
