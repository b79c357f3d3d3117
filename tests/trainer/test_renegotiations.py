"""The renegotiation attack against a real stunnel, on this machine's loopback."""

import dataclasses
import shutil
import socket
from collections.abc import Iterator

import pytest

from trainer.lab import services
from trainer.lab.attack_report import AttackReport
from trainer.lab.plan import Attack
from trainer.lab.planning import make_plan
from trainer.lab.renegotiations import ssl_renegotiation
from trainer.lab.scenario import read_scenario

pytestmark = pytest.mark.skipif(not shutil.which("stunnel4"), reason="needs stunnel4")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An stunnel like the lab's, which the test ends itself."""
    folder = tmp_path_factory.mktemp("stunnel")
    number = free_port()
    certificate = services.make_certificates(folder, 1)["ec"]
    process = services.start_stunnel(folder, certificate, number, free_port())
    try:
        services.await_service("stunnel", lambda: services.accepts(number), process, folder)
        yield number
    finally:
        process.kill()
        process.wait()


def attack(port: int, **settings: object) -> Attack:
    planned = make_plan(read_scenario("demo"), 7, 30).attacks[2]
    assert planned.task == "ssl_renegotiation"
    settings = {"rate": 200, "connections": 2, "reconnects": 0, "onset": 0} | settings
    return dataclasses.replace(
        planned,
        victim="127.0.0.1",
        port=port,
        seconds=30,
        packets=20,
        settings=planned.settings | settings,
    )


@pytest.mark.parametrize("tool", ["library", "s_client"])
def test_ends_after_so_many_renegotiations(port: int, tool: str) -> None:
    report = AttackReport()
    ssl_renegotiation(attack(port, tool=tool), report)
    assert 20 <= report.packets <= 40  # s_client answers a little late
    assert sum(entry.count for entry in report.connections) == report.packets
    assert report.first < report.last


@pytest.mark.parametrize("onset", [16, 200])
def test_begins_after_so_many_packets(port: int, onset: int) -> None:
    report = AttackReport()
    ssl_renegotiation(attack(port, tool="library", connections=1, onset=onset), report)
    entry = report.connections[0]
    assert onset <= entry.onset_packets <= onset + 12  # an exchange may end a little beyond
    assert entry.made < entry.onset
    assert (entry.count, entry.error) == (20, "")
