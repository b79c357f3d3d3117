"""People and devices that log in, against the lab's own server and one that takes notes."""

import dataclasses
import socket
import threading

import pytest

from trainer.lab import logins
from trainer.lab.client import Client
from trainer.lab.plan import Activity
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario
from trainer.lab.services import _serve_http


def client(port: int, monkeypatch: pytest.MonkeyPatch, **settings: object) -> Client:
    plan = dataclasses.replace(make_plan(read_scenario("demo"), 1, 30), attacks=())
    activity = Activity("laptop-0", "login", ("127.0.0.1",), 0, dict(settings), 1)
    made = Client(plan, plan.hosts[-2], activity, lambda: 1.0)
    monkeypatch.setattr(
        made, "connect", lambda address, _: socket.create_connection((address, port), 10)
    )
    return made


def test_a_page_is_refused_until_the_password_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _serve_http("127.0.0.1", port, None)
    answers = []
    real = socket.socket.recv
    monkeypatch.setattr(
        socket.socket, "recv", lambda *given: answers.append(real(*given)) or answers[-1]
    )
    logins.login(client(port, monkeypatch, mistakes=2, gap_s=0.001))
    codes = [int(part[9:12]) for part in answers if part.startswith(b"HTTP/1.1 ")]
    assert codes == [401, 401, 401, 200, 200]


@pytest.mark.parametrize("mistakes", [0, 2])
def test_a_device_logs_in_and_reports(mistakes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def broker() -> None:
        for _ in range(mistakes + 1):
            connection, _ = server.accept()
            with connection:
                received = connection.recv(4096)
                right = received.endswith(logins.PASSWORD.encode())
                connection.sendall(bytes.fromhex("20020000" if right else "20020005"))
                while part := connection.recv(4096):
                    received += part
                seen.append(received)

    thread = threading.Thread(target=broker)
    thread.start()
    port = server.getsockname()[1]
    logins.mqtt_login(client(port, monkeypatch, mistakes=mistakes, messages=3, gap_s=0.001))
    thread.join()
    server.close()
    assert [logins.PASSWORD.encode() in each for each in seen] == [False] * mistakes + [True]
    assert seen[-1].endswith(b"\xe0\x00")
