"""Guessing: how many, how the programs are called, and what the script puts on the wire."""

import base64
import dataclasses
import random
import socket
import threading
import time
from pathlib import Path

import pytest

from trainer.lab import guesses
from trainer.lab.logins import PASSWORD
from trainer.lab.plan import Attack
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def attack_with(**settings: object) -> Attack:
    plan = make_plan(read_scenario("assault"), 3, 60)
    attack = next(attack for attack in plan.attacks if attack.task == "brute_force")
    return dataclasses.replace(attack, seconds=5, settings=attack.settings | settings)


def test_there_are_as_many_as_rate_and_time_allow_and_none_is_right() -> None:
    words = guesses.guesses_of(attack_with(rate=20))
    assert len(words) == 100
    assert PASSWORD not in words
    assert len(guesses.guesses_of(attack_with(rate=0.2))) == 2


@pytest.mark.parametrize(
    ("tool", "service", "words"),
    [
        ("hydra", "ssh", ["-t", "4", "ssh://192.0.2.1:22"]),
        ("hydra", "http", ["-s", "22", "192.0.2.1", "http-get", "/login"]),
        ("ncrack", "ssh", ["-g", "cd=400ms,CL=4", "ssh://192.0.2.1:22"]),
        ("ncrack", "http", ["-g", "cd=400ms,CL=4,path=login", "http://192.0.2.1:22"]),
    ],
)
def test_how_the_programs_are_called(tool: str, service: str, words: list[str]) -> None:
    attack = attack_with(tool=tool, service=service, rate=10, connections=4)
    attack = dataclasses.replace(attack, victim="192.0.2.1", port=22)
    command = guesses.guesser_command(attack, Path("/x"))
    assert command[0] == tool
    assert command[command.index("-P") + 1] == "/x/passwords"
    assert [word for word in words if word not in command] == []


def test_hydra_waits_whole_seconds_below_one_a_second() -> None:
    command = guesses.guesser_command(attack_with(tool="hydra", service="ssh", rate=0.3), Path())
    assert command[command.index("-c") + 1] == "3"


def test_words_are_paced_and_end_with_the_time() -> None:
    start = time.monotonic()
    assert list(guesses.paced(["a", "b"], random.Random(1), 0.01, start + 60)) == ["a", "b"]
    assert time.monotonic() - start >= 0.012
    assert list(guesses.paced(["a", "b"], random.Random(1), 1, start)) == []


def serve(answer: bytes) -> tuple[int, list[bytes], socket.socket]:
    """A server on the loopback that answers every read, and keeps what it has read."""
    server = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []

    def work() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                while part := connection.recv(4096):
                    seen.append(part)
                    connection.sendall(answer)

    threading.Thread(target=work, daemon=True).start()
    return server.getsockname()[1], seen, server


@pytest.mark.parametrize(("service", "first"), [("http", b"GET /login"), ("mqtt", b"\x10")])
def test_the_script_asks_with_every_password(service: str, first: bytes) -> None:
    no = {"http": b"HTTP/1.1 401 No\r\n\r\n", "mqtt": bytes.fromhex("20020005")}
    port, seen, server = serve(no[service])
    attack = attack_with(service=service, tool="script", rate=1000, connections=2)
    attack = dataclasses.replace(attack, victim="127.0.0.1", port=port, seconds=60)
    words = [f"word{number}" for number in range(12)]
    guesses._with_script(attack, words)
    server.close()
    assert all(part.startswith(first) for part in seen)
    text = b"".join(seen)
    if service == "http":
        coded = [line.split()[-1] for line in text.split(b"\r\n") if b"Basic" in line]
        found = [base64.b64decode(word).decode().partition(":")[2] for word in coded]
        assert sorted(found) == sorted(words)
    else:
        assert [word for word in words if word.encode() not in text] == []
