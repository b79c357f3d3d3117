"""Benign activities over UDP and ICMP: DNS, NTP, CoAP, SSDP, mDNS, log lines, media, ping.

Each function is one round of an activity of `trainer.lab.catalogue.ACTIVITIES`.
"""

import contextlib
import socket
import struct
import time

from trainer.lab.catalogue import SERVICES
from trainer.lab.client import Client
from trainer.lab.plan import SSDP_GROUP, SSDP_PORT
from trainer.lab.reflection_protocols import dns_question
from trainer.lab.upnp import DESCRIPTION_PORT, search

_MDNS = ("224.0.0.251", 5353)
_NTP_REQUEST = bytes([0x23]) + bytes(47)
"""RFC 4330: version 4, mode 3 (client), the rest zero."""


def dns(client: Client) -> None:
    """Looks some names up, each from a port of its own; A and AAAA as resolvers do (RFC 1035)."""
    address = client.target()
    hosts = client.plan.hosts
    for _ in range(int(client.settings["names"])):
        label = client.rng.choice((client.rng.choice(hosts).name, "cdn", "api-eu1", "telemetry"))
        with client.datagrams(address, 53) as sender:
            for kind in client.rng.choice(((1,), (1, 28))):
                sender.send(dns_question(client.rng, f"{label}.lab.example.net", kind))
                sender.recv(2048)


def ntp(client: Client) -> None:
    """Asks for the time."""
    with client.datagrams(client.target(), 123) as sender:
        sender.send(_NTP_REQUEST)
        sender.recv(512)


def coap(client: Client) -> None:
    """Confirmable GETs of a resource (RFC 7252 section 3)."""
    rng = client.rng
    with client.datagrams(client.target(), 5683) as sender:
        for _ in range(int(client.settings["requests"])):
            path = rng.choice((b"time", b"", b".well-known/core"))
            head = struct.pack("!BBH", 0x44, 0x01, rng.getrandbits(16)) + rng.randbytes(4)
            sender.send(head + _uri_path(path))
            sender.recv(2048)
            time.sleep(rng.uniform(0, 0.3))


def ssdp(client: Client) -> None:
    """Searches by multicast, takes the answers, and may read the descriptions."""
    rng = client.rng
    found: set[str] = set()
    with client.datagrams(SSDP_GROUP, SSDP_PORT, 0.5) as sender:
        target = rng.choice(("ssdp:all", "upnp:rootdevice"))
        for _ in range(int(client.settings["repeats"])):
            # The devices' answers are of the same flow, so they are asked for as such too.
            for host in client.plan.hosts:
                client.check(host.address, SSDP_PORT, "udp")
            sender.sendto(search(target, rng.randint(1, 3)), (SSDP_GROUP, SSDP_PORT))
            with contextlib.suppress(TimeoutError):
                while True:
                    found.add(sender.recvfrom(2048)[1][0])
    if client.settings["fetch"] == "yes":
        for address in sorted(found):
            with client.connect(address, DESCRIPTION_PORT) as connection:
                connection.sendall(b"GET /d.xml HTTP/1.1\r\nHost: device\r\n\r\n")
                while connection.recv(65_536):
                    pass


def mdns(client: Client) -> None:
    """Queries and announces a service by multicast (RFC 6762)."""
    rng = client.rng
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        interface = socket.inet_aton(client.host.address)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        sender.bind(("", _MDNS[1]))
        for _ in range(int(client.settings["repeats"])):
            name = rng.choice(("_http._tcp.local", "_googlecast._tcp.local", "_hap._tcp.local"))
            padding = bytes(rng.choice((0, 0, 80, 240)))
            sender.sendto(dns_question(rng, name, 12) + padding, _MDNS)
            time.sleep(rng.uniform(0.05, 1))


def datagrams(client: Client) -> None:
    """A burst of log lines, from one port or each from its own."""
    settings, rng = client.settings, client.rng
    address = client.target()
    sender = client.datagrams(address, SERVICES["sink"][0][0])
    try:
        for _ in range(int(settings["datagrams"])):
            sender.send(rng.randbytes(1 + int(settings["payload_bytes"] * rng.uniform(0.3, 1))))
            if settings["ports"] == "each":
                sender.close()
                sender = client.datagrams(address, SERVICES["sink"][0][0])
            time.sleep(rng.uniform(0, 0.02))
    finally:
        sender.close()


def media(client: Client) -> None:
    """A stream of datagrams in frames: full ones, and a shorter last one."""
    settings, rng = client.settings, client.rng
    end = client.clock() + settings["seconds"] * rng.uniform(0.5, 1.5)
    full = int(settings["payload_bytes"])
    with client.datagrams(client.target(), SERVICES["sink"][0][1]) as sender:
        while client.clock() < min(end, client.plan.duration_s):
            for _ in range(burst := rng.randint(1, 4)):
                sender.send(bytes(full))
            sender.send(bytes(rng.randint(1, full)))
            time.sleep((burst + 1) / settings["rate"])


def ping(client: Client) -> None:
    """ICMP echo; the kernel fills in checksum and identifier (Linux ping sockets)."""
    rng = client.rng
    address = client.target()
    client.check(address, 0, "icmp")
    size = rng.choice((32, 56, 56, 120))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sender:
        sender.settimeout(1)
        for sequence in range(int(client.settings["echoes"])):
            echo = struct.pack("!BBHHH", 8, 0, 0, 0, sequence) + bytes(size)
            sender.sendto(echo, (address, 0))
            sender.recv(2048)
            time.sleep(0.2)


def _uri_path(path: bytes) -> bytes:
    """CoAP options 11 (Uri-Path), one for each segment (RFC 7252 sections 3.1 and 5.10.1)."""
    options, delta = b"", 11
    for segment in filter(None, path.split(b"/")):
        if len(segment) < 13:
            options += bytes([delta << 4 | len(segment)]) + segment
        else:
            options += bytes([delta << 4 | 13, len(segment) - 13]) + segment
        delta = 0
    return options
