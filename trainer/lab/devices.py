"""What devices do of their own: video as RTP, monitoring by SNMP, and starting all at once."""

import contextlib
import random
import socket
import struct
import time

from trainer.lab.catalogue import SERVICES
from trainer.lab.client import Client, Paused
from trainer.lab.mqtt import connect_packet, packet, text
from trainer.lab.plan import SSDP_GROUP, SSDP_PORT, Host
from trainer.lab.reflection_protocols import dns_question
from trainer.lab.tls import http_request, wrap_tls
from trainer.lab.upnp import notify, types_of

_RTP_CLOCK = 90_000
"""Ticks a second of video's timestamps (RFC 6184 section 8.2.1)."""
_KEY_FRAME_S = 2.0
_REPORT_S = 5.0
"""RFC 3550 section 6.2: the shortest mean interval of sender reports."""


def video(client: Client) -> None:
    """A camera's RTP stream: frames in packets of the payload's size, a large one now and then."""
    settings, rng = client.settings, client.rng
    start = client.clock()
    end = start + settings["seconds"] * rng.uniform(0.5, 1.5)
    source, sequence = rng.getrandbits(32), rng.getrandbits(16)
    key_at = report_at = start
    full = int(settings["payload_bytes"])
    frame_bytes = settings["rate_kbit"] * 125 / settings["frames"]
    number = 0
    with client.datagrams(client.target(), SERVICES["sink"][0][1]) as sender:
        while (now := client.clock()) < min(end, client.plan.duration_s):
            left = int(frame_bytes * rng.uniform(0.3, 1.2))
            if now >= key_at:
                left, key_at = int(frame_bytes * rng.uniform(3, 8)), now + _KEY_FRAME_S
            while left > 0:
                size = min(left, full)
                left -= size
                sequence = (sequence + 1) & 0xFFFF
                stamp = int((now - start) * _RTP_CLOCK) & 0xFFFFFFFF
                # RFC 3550 section 5.1: version 2; the marker is set in a frame's last packet.
                head = struct.pack("!BBHII", 0x80, 0x60 | (left <= 0) << 7, sequence, stamp, source)
                sender.send(head + bytes(size))
            if now >= report_at:
                sender.send(struct.pack("!BBHI", 0x80, 200, 6, source) + bytes(20))
                report_at = now + _REPORT_S
            number += 1
            time.sleep(max(0.0, start + number / settings["frames"] - client.clock()))


def snmp(client: Client) -> None:
    """Asks an agent for some values, one upon the other (RFC 3416 section 4.2.1)."""
    rng = client.rng
    with client.datagrams(client.target(), SERVICES["snmp"][0][0]) as sender:
        for _ in range(int(client.settings["requests"])):
            sender.send(b"\x30\x28\x02\x01\x01\x04\x06public\xa0" + rng.randbytes(28))
            sender.recv(2048)
            time.sleep(rng.uniform(0, 0.1))


def boot(client: Client) -> None:
    """The power comes back: at one moment of the recording all of them start and call home.

    The moment is the same for every host; a host waits a little of its own.
    """
    plan, rng, settings = client.plan, client.rng, client.settings
    moment = random.Random(plan.seed).uniform(0.2, 0.7) * plan.duration_s
    if client.clock() > moment + settings["spread_s"]:  # it has been, and does not come again
        time.sleep(plan.duration_s)
        return
    time.sleep(max(0.0, moment - client.clock() + settings["spread_s"] * rng.random()))
    servers = [host for host in plan.hosts if host is not client.host]
    for step in (_names, _time, _announcement, _home, _broker):
        with contextlib.suppress(OSError, Paused):
            step(client, servers)
    time.sleep(plan.duration_s)


def _running(client: Client, servers: list[Host], service: str) -> str:
    """Any host that runs a service.

    Raises:
        Paused: there is none.
    """
    found = [host.address for host in servers if service in host.services]
    if not found:
        raise Paused
    return client.rng.choice(found)


def _names(client: Client, servers: list[Host]) -> None:
    address = _running(client, servers, "dns")
    for _ in range(int(client.settings["names"])):
        with client.datagrams(address, 53, 1.0) as sender:
            sender.send(dns_question(client.rng, f"{client.rng.choice(servers).name}.lab.test", 1))
            sender.recv(2048)


def _time(client: Client, servers: list[Host]) -> None:
    with client.datagrams(_running(client, servers, "ntp"), 123, 1.0) as sender:
        for _ in range(client.rng.randint(1, 4)):  # a burst at the start, as ntpd's iburst
            sender.send(bytes([0x23]) + bytes(47))
            sender.recv(512)


def _announcement(client: Client, _: list[Host]) -> None:
    if client.host.side != "lan":
        return
    with client.datagrams(SSDP_GROUP, SSDP_PORT) as sender:
        for target in types_of(client.host):
            message = notify(client.host.address, target, client.host.name)
            sender.sendto(message, (SSDP_GROUP, SSDP_PORT))


def _home(client: Client, servers: list[Host]) -> None:
    """Some connections to the cloud at once."""
    address = _running(client, servers, "web")

    def call(rng: random.Random) -> None:
        with _secure(client, address) as stream:
            for _ in range(rng.randint(1, 6)):
                http_request(stream, rng.randint(100, 60_000), rng.randint(0, 900))

    client.in_parallel(int(client.settings["connections"]), call)


def _secure(client: Client, address: str) -> socket.socket:
    connection = client.connect(address, 443)
    try:
        return wrap_tls(connection, "1.3")
    except OSError:
        connection.close()
        raise


def _broker(client: Client, servers: list[Host]) -> None:
    with client.connect(_running(client, servers, "mqtt"), 1883) as stream:
        stream.sendall(connect_packet(client.host.name, 60))
        stream.recv(64)
        stream.sendall(packet(0x30, text(f"lab/{client.host.name}/state") + b"on"))
