"""``multa-sensor forward`` as a process: real receivers, signals, crashes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
from alert_lines import alert_line
from command import ROOT, assert_fails, sensor_command
from receivers import LOCALHOST, Broker, Datagrams, Frames, free_port, subscribed
from running import PATIENCE_S, until

from sensor.reporting.alert_log import parse
from sensor.service.forwarding.syslog import message


def lines(*numbers):
    return [alert_line(number, alert_id=f"{number:016x}") for number in numbers]


def messages(*numbers):
    return [message(parse(line[:-1])) for line in lines(*numbers)]


class Forwarding:
    """A forwarder with a configuration, that can be started and ended."""

    def __init__(self, folder: Path, **forward: str) -> None:
        self.log, self.state = folder / "alerts.json", folder / "forward.json"
        self.metrics, self.config = folder / "metrics.prom", folder / "sensor.toml"
        entries = {"state": str(self.state), **forward}
        self.config.write_text(
            f'[alerts]\noutput = "{self.log}"\n[health]\nmetrics = "{self.metrics}"\n[forward]\n'
            + "".join(f'{key} = "{value}"\n' for key, value in entries.items())
        )
        self.process: subprocess.Popen[str] | None = None
        self.said = ""

    def start(self, **environment: str) -> None:
        command = [sys.executable, "-m", "sensor.cli", "forward", "--config", str(self.config)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
        )

    def write(self, *numbers: int) -> None:
        with self.log.open("ab") as file:
            file.write(b"".join(lines(*numbers)))

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        _, self.said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode


@pytest.fixture
def forwarding(tmp_path):
    made = []

    def make(**forward):
        made.append(Forwarding(tmp_path, **forward))
        return made[-1]

    yield make
    for each in made:
        if each.process and each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


@pytest.fixture
def broker(tmp_path):
    """One that is not started."""
    with closing(Broker(tmp_path, free_port(), ["allow_anonymous true"])) as broker:
        yield broker


def test_over_rotation_restarts_and_a_kill_every_alert_arrives(forwarding, tmp_path):
    server = Frames()
    forwarder = forwarding(syslog=server.url)
    forwarder.write(*range(5))
    forwarder.start()
    server.wait(5)
    forwarder.log.rename(tmp_path / "alerts.json.1")
    forwarder.write(5, 6)
    server.wait(7)
    assert forwarder.end() == 0
    assert forwarder.said.splitlines() == [
        f"multa-sensor: forwarding {forwarder.log} to {server.url}",
        f"multa-sensor: {server.url}: alerts are sent",
        f"multa-sensor: {server.url}: 7 alerts sent, 0 lost",
    ]
    forwarder.write(7)
    forwarder.start()
    server.wait(8)
    # An orderly end and a new start send nothing twice.
    assert server.messages == messages(*range(8))
    saved = json.loads(forwarder.state.read_text())["places"]["syslog"]
    forwarder.write(8, 9)
    server.wait(10)
    assert forwarder.end(signal.SIGKILL) == -signal.SIGKILL
    forwarder.write(10)
    forwarder.start()
    until(lambda: messages(10)[0] in server.messages, "the alert after the kill")
    assert forwarder.end() == 0
    assert json.loads(forwarder.state.read_text())["places"]["syslog"] != saved
    server.close()
    assert sorted(set(server.messages)) == sorted(messages(*range(11)))
    assert server.messages[:10] == messages(*range(10))


def test_while_a_server_is_gone_alerts_wait_in_the_log(forwarding):
    port = free_port()
    forwarder = forwarding(syslog=f"tcp://{LOCALHOST}:{port}")
    forwarder.write(0, 1)
    forwarder.start()
    assert forwarder.process.stderr.readline()
    assert "can't be reached (connection refused)" in forwarder.process.stderr.readline()
    server = Frames(port)
    forwarder.write(2)
    assert server.wait(3) == messages(0, 1, 2)
    assert forwarder.end(signal.SIGINT) == 0
    server.close()


@pytest.mark.skipif(not shutil.which("mosquitto"), reason="needs mosquitto")
def test_syslog_mqtt_and_http_at_once_each_at_its_own_pace(forwarding, broker, tmp_path):
    pytest.importorskip("paho.mqtt")
    receiver = Datagrams(tmp_path / "socket")
    url = f"mqtt://{LOCALHOST}:{broker.port}/home/alerts"
    http = free_port()
    forwarder = forwarding(syslog=receiver.url, mqtt=url, http=f"{LOCALHOST}:{http}")
    forwarder.metrics.write_text("multa_packets_total 5\n")
    forwarder.write(*range(3))
    forwarder.start()
    # Without a broker yet, syslog has all of them.
    assert len(receiver.take(3)) == 3
    broker.start()

    def metrics():
        with urllib.request.urlopen(f"http://{LOCALHOST}:{http}/metrics", timeout=60) as answer:
            return answer.read().decode()

    with subscribed(broker, "home/alerts") as taken:
        until(lambda: len(taken) >= 1 or 'sent_total{to="mqtt"} 3\n' in metrics(), "the broker")
        forwarder.write(3)
        until(lambda: lines(3)[0][:-1] in taken, "the last alert")
        until(lambda: 'multa_forward_sent_total{to="mqtt"} 4\n' in metrics(), "its answer")
        assert metrics().startswith("multa_packets_total 5\n")
        assert 'multa_forward_connected{to="syslog"} 1\n' in metrics()
        assert forwarder.end() == 0
    receiver.close()
    assert f"{url}: 4 alerts sent, 0 lost" in forwarder.said


def test_a_state_that_can_not_be_written_is_said_once(forwarding, tmp_path):
    receiver = Datagrams()
    forwarder = forwarding(syslog=receiver.url, state=str(tmp_path / "missing" / "state"))
    forwarder.write(0)
    forwarder.start()
    receiver.take(1)
    assert forwarder.end() == 0
    assert forwarder.said.count("can't be written (no such file or directory)") == 1
    receiver.close()


def test_a_damaged_state_is_said_and_all_of_the_log_is_sent(forwarding):
    receiver = Datagrams()
    forwarder = forwarding(syslog=receiver.url)
    forwarder.state.write_text("{")
    forwarder.write(0, 1)
    forwarder.start()
    assert receiver.take(2) == messages(0, 1)
    assert forwarder.end() == 0
    assert f"{forwarder.state}: can't be read, so {forwarder.log} is sent" in forwarder.said
    receiver.close()


def test_a_configuration_without_a_destination_is_refused(capfd, tmp_path):
    config = tmp_path / "sensor.toml"
    config.write_text("")
    found = sensor_command(capfd, "forward", "--config", config)
    assert_fails(found, 78, f"{config}: [forward] names no destination")
    config.write_text('[alerts]\noutput = "-"\n[forward]\nsyslog = "udp://127.0.0.1"\n')
    found = sensor_command(capfd, "forward", "--config", config)
    assert_fails(found, 78, "alerts.output is standard output")


def test_the_sensor_loads_nothing_of_it():
    program = (
        "import sys, sensor.cli.run, sensor.cli.replay\n"
        "print([name for name in sys.modules if 'forwarding' in name or 'paho' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n"
