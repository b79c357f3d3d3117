"""Metrics over HTTP, asked with a plain client on this machine."""

import os
import socket
import time
import urllib.error
import urllib.request

import pytest
from receivers import LOCALHOST, free_port

from sensor.errors import HostError
from sensor.service.forwarding.metrics_server import STALE_S, MetricsServer

SENSOR = "# TYPE multa_packets_total counter\nmulta_packets_total 12\n"
OWN = 'multa_forward_sent_total{to="syslog"} 3\n'


@pytest.fixture
def metrics(tmp_path):
    (tmp_path / "metrics.prom").write_text(SENSOR)
    return tmp_path / "metrics.prom"


@pytest.fixture
def problems():
    return []


@pytest.fixture
def server(metrics, problems):
    server = MetricsServer(f"{LOCALHOST}:0", metrics, lambda: OWN, lambda: problems)
    server.start()
    yield server
    server.stop()


def ask(server, path):
    try:
        url = f"http://{LOCALHOST}:{server.port}{path}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_metrics_are_the_sensors_file_and_the_forwarders_own(server, metrics):
    assert ask(server, "/metrics?x=1") == (200, SENSOR + OWN)
    assert ask(server, "/healthz") == (200, "ok\n")
    assert ask(server, "/")[0] == 404
    metrics.unlink()
    reason = f"{metrics}: no such file or directory"
    assert ask(server, "/metrics") == (200, f"# {reason}\n{OWN}")
    assert ask(server, "/healthz") == (503, f"{reason}\n")


def test_metrics_of_a_sensor_that_runs_no_more_are_not_served(server, metrics):
    past_s = time.time() - STALE_S - 10
    os.utime(metrics, (past_s, past_s))
    status, text = ask(server, "/metrics")
    assert status == 200
    assert "multa_packets_total" not in text
    assert "so no sensor runs" in text
    assert ask(server, "/healthz")[0] == 503


def test_a_destination_that_is_gone_is_not_well(server, problems):
    problems.append("mqtt: not connected")
    assert ask(server, "/healthz") == (503, "mqtt: not connected\n")


def test_it_listens_on_this_machine_only_and_goes_on_after_a_client_that_went_away(server):
    with socket.create_connection((LOCALHOST, server.port)) as client:
        client.sendall(b"GET /metrics HTT")
    assert ask(server, "/healthz") == (200, "ok\n")
    with pytest.raises(HostError, match=f"forward.http {LOCALHOST}:{server.port}: can't be bound"):
        MetricsServer(f"{LOCALHOST}:{server.port}", None, lambda: "", list)


def test_the_loopback_address_of_ipv6(metrics):
    try:
        server = MetricsServer(f"[::1]:{free_port()}", metrics, lambda: OWN, list)
    except HostError:
        pytest.skip("::1 can't be bound here")
    server.start()
    with urllib.request.urlopen(f"http://[::1]:{server.port}/metrics", timeout=60) as answer:
        assert answer.read().decode() == SENSOR + OWN
    server.stop()
