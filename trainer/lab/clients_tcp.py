"""Benign activities over TCP: MQTT, the web, single renegotiations, servers that are gone.

Each function is one round of an activity of `trainer.lab.catalogue.ACTIVITIES`.
"""

import contextlib
import random
import select
import socket
import time

from trainer.lab.catalogue import SERVICES
from trainer.lab.client import Client
from trainer.lab.mqtt import connect_packet, packet, text
from trainer.lab.tls import RenegotiatingClient, Stream, http_request, wrap_tls

_CLOSED_PORTS = (81, 1080, 5000, 8000, 8009, 8888, 9000)
_DISCOVERY_PORTS = (22, 80, 443, 554, 1883, 8009, 8080, 9100)


def web(client: Client) -> None:
    """Opens parallel connections to one server and asks each for some objects."""
    address = client.target()
    settings = client.settings

    def one(rng: random.Random) -> None:
        with _stream(client, address, 80, 443) as stream:
            for number in range(int(settings["requests"])):
                if number:
                    time.sleep(settings["gap_s"] * rng.uniform(0.5, 1.5))
                size = int(settings["object_bytes"] * rng.uniform(0.3, 1.7))
                upload = int(settings["upload_bytes"] * rng.uniform(0, 1.5))
                http_request(stream, min(size, 5_000_000), upload)

    client.in_parallel(int(settings["connections"]), one)


def renegotiation(client: Client) -> None:
    """Requests over TLS 1.2, with a renegotiation at one or two places among them."""
    settings, rng = client.settings, client.rng
    requests = int(settings["requests"])
    places = {rng.randrange(requests) for _ in range(int(settings["times"]))}
    connection = client.connect(client.target(), SERVICES["stunnel"][0][0])
    with contextlib.closing(RenegotiatingClient(connection, rng)) as tls:
        for number in range(requests):
            tls.exchange(int(settings["object_bytes"] * rng.uniform(0.3, 1.7)))
            if number in places:
                tls.renegotiate()
            time.sleep(settings["gap_s"] * rng.uniform(0.5, 1.5))


def half_open(client: Client) -> None:
    """Tries a server that is gone and gives up: lone SYNs, repeated SYNs, or refusals."""
    settings, rng = client.settings, client.rng
    gone = settings["target"] == "gone"
    address = client.plan.nowhere if gone else client.target()
    port = rng.choice((443, 8883, rng.randint(1024, 65_535))) if gone else rng.choice(_CLOSED_PORTS)
    for _ in range(int(settings["attempts"])):
        with contextlib.suppress(OSError):
            client.connect(address, port, settings["wait_s"]).close()
        time.sleep(settings["gap_s"] * rng.uniform(0.5, 1.5))


def discovery(client: Client) -> None:
    """Tries one port of every LAN host, a few at a time, and closes what opens."""
    port = client.rng.choice(_DISCOVERY_PORTS)
    hosts = [host for host in client.plan.hosts if host.side == "lan" and host is not client.host]
    opened = []
    for host in client.rng.sample(hosts, len(hosts)):
        client.check(host.address, port, "tcp")
        attempt = socket.socket()
        attempt.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            attempt.connect((host.address, port))
        opened.append(attempt)
        time.sleep(client.settings["gap_s"])
    time.sleep(0.5)
    for attempt in opened:
        attempt.close()


def mqtt(client: Client) -> None:
    """One MQTT 3.1.1 session: CONNECT, SUBSCRIBE, some PUBLISH with their answers, DISCONNECT."""
    settings, rng = client.settings, client.rng
    name = f"{client.host.name}-{rng.getrandbits(16):04x}"
    qos = int(settings["qos"])
    with _stream(client, client.target(), *SERVICES["mqtt"][0]) as stream:
        stream.sendall(connect_packet(name, 60))
        stream.recv(1024)
        stream.sendall(packet(0x82, b"\x00\x01" + text(f"lab/{client.host.group}/+") + b"\x00"))
        stream.recv(1024)
        topic = text(f"lab/{client.host.group}/{name}")
        for number in range(int(settings["messages"])):
            size = int(settings["payload_bytes"] * rng.uniform(0.5, 1.5))
            identifier = (number % 65_535 + 1).to_bytes(2, "big") if qos else b""
            stream.sendall(packet(0x30 | qos << 1, topic + identifier + rng.randbytes(size)))
            _listen(stream, settings["every_s"] * rng.uniform(0.5, 1.5))
        stream.sendall(b"\xe0\x00")


def _listen(stream: "Stream", seconds: float) -> None:
    """Takes what the broker sends for some time."""
    end = time.monotonic() + seconds
    assert isinstance(stream, socket.socket)
    while (left := end - time.monotonic()) > 0:
        if select.select([stream], [], [], left)[0]:
            stream.settimeout(2)
            if not stream.recv(65_536):
                raise ConnectionError("closed by the broker")


def _stream(client: Client, address: str, plain: int, encrypted: int) -> socket.socket:
    """A connection as the activity's setting `tls` says."""
    version = client.settings["tls"]
    if version == "off":
        return client.connect(address, plain)
    connection = client.connect(address, encrypted)
    try:
        return wrap_tls(connection, version)
    except OSError:
        connection.close()
        raise
