"""SSDP messages and the device that answers them."""

import dataclasses
import socket

import pytest

from trainer.lab import upnp
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


@pytest.mark.parametrize(
    ("message", "first", "target"),
    [
        (upnp.search("ssdp:all", 2), "M-SEARCH * HTTP/1.1", "ST: ssdp:all"),
        (
            upnp.notify("10.0.0.1", "upnp:rootdevice", "x"),
            "NOTIFY * HTTP/1.1",
            "NT: upnp:rootdevice",
        ),
        (
            upnp.response("10.0.0.1", "upnp:rootdevice", "x"),
            "HTTP/1.1 200 OK",
            "ST: upnp:rootdevice",
        ),
    ],
)
def test_messages_are_http_over_udp(message: bytes, first: str, target: str) -> None:
    lines = message.decode().split("\r\n")
    assert lines[0] == first
    assert target in lines
    assert lines[-2:] == ["", ""]


def test_devices_answer_with_four_to_ten_types() -> None:
    counts = set()
    for seed in range(20):
        for host in make_plan(read_scenario("mixed"), seed, 30).hosts:
            if "upnp" in host.services:
                types = upnp.types_of(host)
                assert len(types) == len(set(types)) == host.replies
                counts.add(len(types))
    assert counts == set(range(4, 11))


@pytest.mark.parametrize(("target", "count"), [("ssdp:all", 7), ("upnp:rootdevice", 1)])
@pytest.mark.parametrize("replies_from", ["service", "ephemeral"])
def test_answers_come_from_the_right_port(target: str, count: int, replies_from: str) -> None:
    host = make_plan(read_scenario("demo"), 1, 30).hosts[1]
    host = dataclasses.replace(host, replies=7, replies_from=replies_from)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as searcher,
    ):
        for end in (device, searcher):
            end.bind(("127.0.0.1", 0))
            end.settimeout(10)
        searcher.sendto(b"NOTIFY * HTTP/1.1\r\n\r\n", device.getsockname())
        searcher.sendto(upnp.search(target, 1), device.getsockname())
        upnp.answer_once(device, host)
        upnp.answer_once(device, host)
        answers = [searcher.recvfrom(2048) for _ in range(count)]
        searcher.settimeout(0)
        with pytest.raises(BlockingIOError):
            searcher.recv(1)
        assert {sender == device.getsockname() for _, sender in answers} == {
            replies_from == "service"
        }
    assert all(answer.startswith(b"HTTP/1.1 200 OK") for answer, _ in answers)
