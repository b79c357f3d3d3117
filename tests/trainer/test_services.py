"""Servers: what does not start is told in its own words."""

import socket
from pathlib import Path

import pytest

from sensor.errors import HostError
from trainer.lab import services
from trainer.lab.catalogue import SERVICES
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario


def test_a_daemon_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    daemon = services._daemon("openssl", "no-such-command", folder=tmp_path)
    with pytest.raises(HostError, match=r"lab's web did not start: .*no-such-command"):
        services.await_service("web", lambda: False, daemon, tmp_path)


def test_readiness_is_seen_from_outside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert services.accepts(port)
    assert not services.accepts(port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        assert services._bound_udp(port)
    assert not services._bound_udp(port)


def test_every_service_has_a_starter(tmp_path: Path) -> None:
    plan = make_plan(read_scenario("demo"), 1, 30)
    pair = services.Certificate(tmp_path / "x.crt", tmp_path / "x.key")
    starters = services._starters(plan, plan.hosts[1], tmp_path, pair, lambda: 0.0)
    assert set(starters) == set(SERVICES)
