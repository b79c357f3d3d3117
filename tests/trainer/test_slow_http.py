"""Slow HTTP: how the program is called, and what the script leaves undone."""

import contextlib
import dataclasses
import random
import socket

import pytest

from trainer.lab import slow_http
from trainer.lab.plan import Attack
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def attack_with(**settings: object) -> Attack:
    plan = make_plan(read_scenario("assault"), 3, 60)
    attack = next(attack for attack in plan.attacks if attack.task == "slow_http")
    return dataclasses.replace(attack, settings=attack.settings | settings)


@pytest.mark.parametrize(("mode", "flag"), [("headers", "-H"), ("body", "-B"), ("read", "-X")])
def test_how_the_program_is_called(mode: str, flag: str) -> None:
    attack = attack_with(mode=mode, connections=33, rate=0.6, interval_s=0.4)
    attack = dataclasses.replace(attack, victim="192.0.2.1", port=80, seconds=7.9)
    command = slow_http.slowhttptest_command(attack)
    assert command[:2] == ["slowhttptest", flag]
    pairs = dict(zip(command[2:-2:2], command[3:-1:2], strict=False))
    assert (pairs["-c"], pairs["-r"], pairs["-l"]) == ("33", "1", "7")
    assert command[-1].startswith("http://192.0.2.1:80/")


@pytest.mark.parametrize(("mode", "method"), [("headers", b"GET"), ("body", b"POST")])
def test_requests_of_the_script_never_end(mode: str, method: bytes) -> None:
    """A header block ends with an empty line, a body with its last byte (RFC 9112)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        attack = attack_with(mode=mode)
        attack = dataclasses.replace(attack, victim="127.0.0.1", port=server.getsockname()[1])
        rng = random.Random(1)
        with slow_http._begin(attack, rng) as client:
            connection, _ = server.accept()
            with connection:
                received = connection.recv(4096)
                for _ in range(30):
                    assert slow_http._feed(mode, rng, client)
                    received += connection.recv(4096)
                head, _, body = received.partition(b"\r\n\r\n")
                assert head.startswith(method)
                if mode == "headers":
                    assert received.endswith(b"\r\n")
                    assert body == b""
                else:
                    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                    assert 30 <= len(body) < length
            # The server has closed.
            assert any(not slow_http._feed(mode, rng, client) for _ in range(3))


def test_a_slow_reader_takes_little() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        attack = attack_with(mode="read")
        attack = dataclasses.replace(attack, victim="127.0.0.1", port=server.getsockname()[1])
        with slow_http._begin(attack, random.Random(1)) as client:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(4096).endswith(b"\r\n\r\n")
                connection.settimeout(0)
                sent = 0
                with contextlib.suppress(BlockingIOError):
                    while sent < 1 << 28:
                        sent += connection.send(bytes(65_536))
                assert sent < 1 << 28
                # Nearly all of it waits on the server's side.
                waiting = client.recv(1 << 20)
                assert len(waiting) < sent / 2
                assert slow_http._feed("read", random.Random(1), client)
