"""Sessions of small exchanges, between the real client and the real server."""

import dataclasses
import socket
import ssl
from pathlib import Path

import pytest

from trainer.lab import sessions
from trainer.lab.catalogue import ACTIVITIES, SERVICES
from trainer.lab.client import Client
from trainer.lab.plan import Activity
from trainer.lab.planning import make_plan
from trainer.lab.scenario import read_scenario
from trainer.lab.services import make_certificates


def test_every_flavour_of_the_catalogue_has_a_port_of_the_service() -> None:
    assert set(sessions.FLAVOURS) == set(ACTIVITIES["session"].options["flavour"].words)
    ports = {flavour.port for flavour in sessions.FLAVOURS.values()}
    assert ports == set(SERVICES["sessions"][0])


@pytest.mark.parametrize("name", sessions.FLAVOURS)
@pytest.mark.parametrize("tls", ["off", "1.3"])
def test_exchanges_arrive_whole(
    name: str, tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client raises where the server closes or answers too little."""
    pair = make_certificates(tmp_path, 1)["ec"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flavour = dataclasses.replace(
        sessions.FLAVOURS[name], port=port, tls=(tls,), gap_s=(0.001, 0.002)
    )
    monkeypatch.setattr(sessions, "FLAVOURS", {name: flavour})
    monkeypatch.setattr(sessions, "_TLS_PORTS", (port,))
    sessions.serve_sessions(context, socket.AF_INET)
    plan = dataclasses.replace(make_plan(read_scenario("demo"), 1, 30), attacks=())
    settings = {"flavour": name, "seconds": 0.3, "every_s": 1}
    activity = Activity("laptop-0", "session", ("127.0.0.1",), 0, settings, 1)
    client = Client(plan, plan.hosts[-2], activity, lambda: 1.0)
    exchanged = []
    real = sessions._exchange
    monkeypatch.setattr(
        sessions, "_exchange", lambda *given: exchanged.append(given[1:]) or real(*given)
    )
    sessions.session(client)
    assert exchanged
    low, high = flavour.question
    assert all(low <= asked <= high for asked, *_ in exchanged)
    assert all(size <= 20 * flavour.answer[1] for _, _, size, _ in exchanged)
