"""QUIC, between the lab's client and the lab's server."""

import dataclasses
import socket
from pathlib import Path

import pytest

from trainer.lab import quic
from trainer.lab.client import Client, Paused
from trainer.lab.plan import Activity, Attack, Claim, Plan
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario
from trainer.lab.services import make_certificates


def client(plan: Plan) -> Client:
    settings = {"connections": 3, "requests": 2, "gap_s": 0.001, "object_bytes": 30_000}
    activity = Activity("laptop-0", "quic", ("127.0.0.1",), 0, settings, 1)
    return Client(plan, plan.hosts[-2], activity, lambda: 1.0)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def plan_of(*attacks: Attack) -> Plan:
    return dataclasses.replace(make_plan(read_scenario("demo"), 1, 30), attacks=attacks)


def test_objects_arrive_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client raises where one does not."""
    port = free_port()
    monkeypatch.setitem(quic.SERVICES, "quic", ((port,), ""))
    pair = make_certificates(tmp_path, 1)["ec"]
    quic.serve_quic(pair.certificate, pair.key, port)
    quic.quic(client(plan_of()))
    with pytest.raises(OSError, match="in use"):
        quic.serve_quic(pair.certificate, pair.key, port)


def test_it_is_quic(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9000 sections 14.1 and 17.2: an Initial of version 1, in a datagram of 1,200 bytes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        monkeypatch.setitem(quic.SERVICES, "quic", ((server.getsockname()[1],), ""))
        monkeypatch.setattr(quic, "_IDLE_S", 0.2)
        with pytest.raises(ConnectionError):
            quic.quic(client(plan_of()))
        datagram = server.recv(2048)
    assert datagram[0] & 0xF0 == 0xC0
    assert datagram[1:5] == bytes([0, 0, 0, 1])
    assert len(datagram) >= 1200


def test_it_keeps_clear_of_attacks() -> None:
    plan = make_plan(read_scenario("demo"), 1, 30)
    claim = Claim("0.0.0.0/0", "*", "127.0.0.1/32", "443", "udp", "1")
    attack = dataclasses.replace(plan.attacks[0], start_s=0, seconds=9, claims=(claim,))
    with pytest.raises(Paused):
        quic.quic(client(plan_of(attack)))
