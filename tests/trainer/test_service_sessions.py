"""Sessions with services, played between the lab's QUIC client and server."""

import asyncio
import dataclasses
import selectors
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from trainer.lab import quic, service_sessions
from trainer.lab.catalogue import SERVICES
from trainer.lab.client import Client
from trainer.lab.plan import Activity
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario
from trainer.lab.service_sessions import play, quic_session
from trainer.lab.service_shapes import Exchange, Visit
from trainer.lab.services import make_certificates


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        free = int(probe.getsockname()[1])
    pair = make_certificates(tmp_path_factory.mktemp("quic"), 1)["ec"]
    quic.serve_quic(Path(pair.certificate), Path(pair.key), free)
    return free


def client(now_s: float = 0.0) -> Client:
    """One that reaches the server at the loopback; its recording takes 100 s."""
    plan = dataclasses.replace(make_plan(read_scenario("demo"), 1, 100), attacks=())
    settings = {"service": "music"}
    activity = Activity("laptop-0", "quic_session", ("127.0.0.1",), 0, settings, 1)
    return Client(plan, plan.hosts[-2], activity, lambda: now_s)


def session(monkeypatch: pytest.MonkeyPatch, port: int, who: Client, *visits: Visit) -> None:
    monkeypatch.setitem(SERVICES, "quic", ((port,), ""))
    monkeypatch.setattr(service_sessions, "draw_session", lambda *_: visits)
    quic_session(who)


def test_every_connection_has_a_port_of_its_own_and_an_end(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchanges = (Exchange(0, 100, 5000), Exchange(0, 7000, 300, 0.001, alongside=True))
    who = client()
    before = time.time()
    waits = Exchange(0, 10, 10, wait_s=20)
    session(
        monkeypatch,
        port,
        who,
        Visit(0, exchanges, 40),
        Visit(0.001, (*exchanges, waits), 0.5),
    )
    session(monkeypatch, port, who, Visit(0, exchanges, 40))
    reports = [each.report() for each in who.sessions]
    assert [report["service"] for report in reports] == ["music", "music"]
    assert {report["server"] for report in reports} == {"127.0.0.1"}
    made = [each for report in reports for each in report["connections"]]
    assert [each["end"] for each in made] == ["done", "left", "done"]
    assert len({each["port"] for each in made}) == 3
    assert all(before <= each["made"] <= each["closed"] <= time.time() for each in made)


def test_no_session_begins_or_lasts_when_the_recording_ends(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = client(now_s=95)
    session(monkeypatch, port, who, Visit(0, (Exchange(0, 10, 10),), 40))
    assert who.sessions == []
    who = client(now_s=93.9)
    monkeypatch.setattr(service_sessions, "CLOSED_S", 6.0)
    monkeypatch.setattr(service_sessions, "_LEAST_S", 0.05)
    session(monkeypatch, port, who, Visit(0, (Exchange(0, 10, 10, wait_s=20),), 40))
    (each,) = who.sessions[0].connections
    assert (each.end, each.closed > 0) == ("over", True)


def test_a_server_that_is_not_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quic, "_IDLE_S", 0.2)
    who = client()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionError):
            session(monkeypatch, mute.getsockname()[1], who, Visit(0, (Exchange(0, 10, 10),), 40))
    (each,) = who.sessions[0].connections
    assert (each.end, each.closed) == ("unmade", 0.0)


class Leaping(asyncio.SelectorEventLoop):
    """A loop whose clock leaps to the next moment at which anything happens."""

    def __init__(self) -> None:
        self.now = 0.0
        loop = self

        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> list[Any]:
                loop.now += timeout or 0
                return super().select(0)

        super().__init__(Selector())

    def time(self) -> float:
        return self.now


def test_who_waits_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Leaping()
    begun: list[tuple[float, int]] = []

    async def answer(_: object, *asked: float) -> None:
        begun.append((round(loop.time(), 3), int(asked[0])))
        await asyncio.sleep(asked[2])

    monkeypatch.setattr(service_sessions, "exchange", answer)
    exchanges = (
        Exchange(0.5, 1, 1, 0.2),
        Exchange(0.1, 2, 1, 0.3, alongside=True),
        # After both and its pause: 0.9 + 0.2.
        Exchange(0.2, 3, 1, 0.4),
        # It is late already when the one before is answered, at 1.5.
        Exchange(0.2, 4, 1, 0.1, paced=True),
        # In time: 1.5 + 1.
        Exchange(1, 5, 1, 0.1, paced=True),
    )
    try:
        loop.run_until_complete(play(None, exchanges))  # type: ignore[arg-type]
    finally:
        loop.close()
    assert begun == [(0.5, 1), (0.6, 2), (1.1, 3), (1.5, 4), (2.5, 5)]
    assert loop.now == pytest.approx(2.6, abs=0.01)


def test_ports_that_were_used_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    used = set(range(1, 65_536, 2))
    monkeypatch.setattr(service_sessions, "_used", used)
    chosen = [service_sessions._unused_port() for _ in range(20)]
    assert {port % 2 for port in chosen} == {0}
    assert len(set(chosen)) == 20
    assert set(chosen) <= used
