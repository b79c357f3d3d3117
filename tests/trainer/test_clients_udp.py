"""What the UDP activities put on the wire, read by dpkt and by hand."""

import dataclasses
import random
import socket

import dpkt
import pytest

from trainer.lab import clients_udp
from trainer.lab.client import Client
from trainer.lab.plan import Activity
from trainer.lab.planning import make_plan
from trainer.lab.reflection_protocols import dns_question
from trainer.lab.scenario import read_scenario


def test_dns_questions() -> None:
    message = dpkt.dns.DNS(dns_question(random.Random(1), "hub.lab.example.net", 28))
    assert message.op & 0x0100  # recursion desired
    assert [(q.name, q.type, q.cls) for q in message.qd] == [("hub.lab.example.net", 28, 1)]


def test_the_ntp_request_is_a_client_s() -> None:
    request = dpkt.ntp.NTP(clients_udp._NTP_REQUEST)
    assert (request.v, request.mode) == (4, 3)
    assert len(clients_udp._NTP_REQUEST) == 48


@pytest.mark.parametrize(
    ("path", "options"),
    # RFC 7252 section 3.1: option delta and length in a byte, lengths over 12 in one more.
    [
        (b"", ""),
        (b"time", "b474696d65"),
        (b".well-known/core", "bb2e77656c6c2d6b6e6f776e04636f7265"),
    ],
)
def test_coap_paths(path: bytes, options: str) -> None:
    assert clients_udp._uri_path(path).hex() == options


@pytest.mark.parametrize(("ports", "sources"), [("one", 1), ("each", 5)])
def test_log_lines_come_from_one_port_or_from_many(
    ports: str, sources: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = dataclasses.replace(make_plan(read_scenario("demo"), 1, 30), attacks=())
    settings = {"datagrams": 5, "payload_bytes": 40, "ports": ports}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        monkeypatch.setitem(clients_udp.SERVICES, "sink", ((port, port), ""))
        activity = Activity("laptop-0", "datagrams", ("127.0.0.1",), 0, settings, 1)
        clients_udp.datagrams(Client(plan, plan.hosts[-2], activity, lambda: 1.0))
        received = [receiver.recvfrom(2048) for _ in range(5)]
    assert len({sender for _, sender in received}) == sources
    assert all(1 <= len(line) <= 41 for line, _ in received)
