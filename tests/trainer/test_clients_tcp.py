"""What the TCP activities put on the wire, against specifications and real servers."""

import dataclasses
import socket
import threading

import pytest

from trainer.lab import clients_tcp
from trainer.lab.client import Client
from trainer.lab.plan import Activity
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def client(**settings: object) -> Client:
    plan = dataclasses.replace(make_plan(read_scenario("demo"), 1, 30), attacks=())
    activity = Activity("laptop-0", "mqtt", ("127.0.0.1",), 0, dict(settings), 1)
    return Client(plan, plan.hosts[-2], activity, lambda: 1.0)


def test_an_mqtt_session_reads_as_the_specification_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broker of our own takes the packets apart; mosquitto itself is met in recordings."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    monkeypatch.setitem(clients_tcp.SERVICES, "mqtt", ((port, port), ""))
    received = bytearray()

    def broker() -> None:
        connection, _ = server.accept()
        with connection:
            received.extend(connection.recv(1024))
            connection.sendall(bytes.fromhex("20020000"))  # CONNACK
            received.extend(connection.recv(1024))
            connection.sendall(bytes.fromhex("9003000100"))  # SUBACK
            while part := connection.recv(1024):
                received.extend(part)

    thread = threading.Thread(target=broker)
    thread.start()
    clients_tcp.mqtt(client(tls="off", qos=1, messages=3, payload_bytes=10, every_s=1e-6))
    thread.join()
    server.close()
    kinds = []
    while received:
        kind, length = received[0], received[1]  # all of them are shorter than 128 bytes
        kinds.append(kind)
        if kind == 0x10:
            assert received[2:9] == b"\x00\x04MQTT\x04"
        del received[: 2 + length]
    assert kinds == [0x10, 0x82, 0x32, 0x32, 0x32, 0xE0]


def test_a_refused_server_is_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(clients_tcp, "_CLOSED_PORTS", (port,))
    one = client(target="closed", attempts=2, gap_s=0, wait_s=0.1)
    clients_tcp.half_open(one)
    assert not one.counts
