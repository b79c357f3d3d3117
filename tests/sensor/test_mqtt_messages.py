"""MQTT with a real broker (Debian's mosquitto)."""

import shutil
import subprocess
import sys
from contextlib import closing

import pytest
from alert_lines import alert_line
from receivers import Broker, free_port, subscribed
from running import until

from sensor.errors import ConfigurationError
from sensor.reporting.alert_log import parse
from sensor.service.forwarding.mqtt import Mqtt, password

pytest.importorskip("paho.mqtt")
needs_broker = pytest.mark.skipif(not shutil.which("mosquitto"), reason="needs mosquitto")


@pytest.fixture
def broker(tmp_path):
    with closing(Broker(tmp_path, free_port(), ["allow_anonymous true"])) as broker:
        broker.start()
        yield broker


def alert(second):
    return parse(alert_line(second)[:-1])


@needs_broker
def test_alerts_reach_the_broker_and_it_says_so(broker):
    destination = Mqtt(f"mqtt://127.0.0.1:{broker.port}/home/alerts", None)
    with subscribed(broker, "home/alerts") as messages:
        destination.connect()
        for k in range(40):
            destination.send(alert(k))
        until(lambda: destination.delivered(0.1) == 40, "the broker to take 40 messages")
        until(lambda: len(messages) == 40, "the subscriber to have 40 messages")
        assert messages == [alert(k).line for k in range(40)]
        broker.close()
        with pytest.raises(OSError, match=r"lost|refused|not connected|closed"):
            until(lambda: destination.delivered(0.1) < 0, "the loss to be noticed")
    with pytest.raises(OSError, match="refused"):
        destination.connect()
    destination.close()
    with pytest.raises(OSError, match="not connected"):
        destination.send(alert(1))


# paho does not close the socket of a handshake that failed; nor can we.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@needs_broker
def test_a_broker_with_a_password_and_tls(tmp_path, monkeypatch):
    certificate = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem"
    subject = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        f"{certificate} {subject}".split(" "),
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["mosquitto_passwd", "-b", "-c", tmp_path / "passwords", "gateway", "right"], check=True
    )
    lines = [
        "allow_anonymous false",
        f"password_file {tmp_path}/passwords",
        f"certfile {tmp_path}/cert.pem",
        f"keyfile {tmp_path}/key.pem",
    ]
    with closing(Broker(tmp_path, free_port(), lines)) as broker:
        broker.start()
        url = f"mqtts://gateway@127.0.0.1:{broker.port}/alerts"
        with pytest.raises(OSError, match=r"(?i)certificate verify failed"):
            Mqtt(url, "right").connect()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        with pytest.raises(OSError, match=r"the broker says: .*(not authorized|bad user)"):
            Mqtt(url, "wrong").connect()
        destination = Mqtt(url, "right")
        destination.connect()
        destination.send(alert(1))
        until(lambda: destination.delivered(0.1) == 1, "the broker to take the message")
        destination.close()


def test_without_paho_the_configuration_is_wrong(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(ConfigurationError, match="pip install 'multa"):
        Mqtt("mqtt://127.0.0.1/alerts", None)


def test_the_password_is_in_the_environment_or_a_credential(tmp_path):
    assert password({}) is None
    assert password({"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None
    (tmp_path / "mqtt-password").write_text("se cret\n")
    assert password({"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "se cret"
    given = {"MULTA_MQTT_PASSWORD": "other", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert password(given) == "other"
    (tmp_path / "mqtt-password").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="can't be read as a password"):
        password({"CREDENTIALS_DIRECTORY": str(tmp_path)})
