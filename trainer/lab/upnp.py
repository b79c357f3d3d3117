"""A UPnP device: announces itself, answers searches, and serves its description.

Messages are those of the UPnP Device Architecture 1.1, section 1. A search for everything is
answered with 4 to 10 datagrams, one for each device and service type, which is what makes SSDP a
reflector.
"""

import contextlib
import random
import socket
import struct
import threading
import time

from trainer.lab.client import Clock, claims_at
from trainer.lab.plan import SSDP_GROUP, SSDP_PORT, Host, Plan

DESCRIPTION_PORT = 49152
_TYPES = (
    "upnp:rootdevice",
    "urn:schemas-upnp-org:device:Basic:1",
    "urn:schemas-upnp-org:device:MediaRenderer:1",
    "urn:schemas-upnp-org:service:ConnectionManager:1",
    "urn:schemas-upnp-org:service:RenderingControl:1",
    "urn:schemas-upnp-org:service:AVTransport:1",
    "urn:schemas-upnp-org:service:ContentDirectory:1",
    "urn:dial-multiscreen-org:service:dial:1",
    "urn:schemas-upnp-org:service:SwitchPower:1",
)


def search(target: str, mx: int) -> bytes:
    """An M-SEARCH request."""
    return _message(
        "M-SEARCH * HTTP/1.1",
        f"HOST: {SSDP_GROUP}:{SSDP_PORT}",
        'MAN: "ssdp:discover"',
        f"MX: {mx}",
        f"ST: {target}",
    )


def response(address: str, target: str, name: str) -> bytes:
    """The answer of a device to a search."""
    return _message(
        "HTTP/1.1 200 OK",
        "CACHE-CONTROL: max-age=1800",
        "EXT:",
        f"LOCATION: http://{address}:{DESCRIPTION_PORT}/d.xml",
        "SERVER: Linux/4.9 UPnP/1.1 lab/1.0",
        f"ST: {target}",
        f"USN: uuid:{name}::{target}",
    )


def notify(address: str, target: str, name: str) -> bytes:
    """An announcement."""
    return _message(
        "NOTIFY * HTTP/1.1",
        f"HOST: {SSDP_GROUP}:{SSDP_PORT}",
        "CACHE-CONTROL: max-age=1800",
        f"LOCATION: http://{address}:{DESCRIPTION_PORT}/d.xml",
        f"NT: {target}",
        "NTS: ssdp:alive",
        "SERVER: Linux/4.9 UPnP/1.1 lab/1.0",
        f"USN: uuid:{name}::{target}",
    )


def types_of(host: Host) -> list[str]:
    """What a device answers to a search for everything, `Host.replies` types."""
    return [f"uuid:{host.name}", *_TYPES][: host.replies]


def start_upnp(plan: Plan, host: Host, clock: Clock) -> None:
    """Starts a device's threads; they end with the lab."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    receiver.bind(("", SSDP_PORT))
    membership = struct.pack("4s4s", socket.inet_aton(SSDP_GROUP), socket.inet_aton(host.address))
    receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    rng = random.Random(f"{plan.seed} {host.name}")
    described = socket.create_server(("", DESCRIPTION_PORT))
    for target, arguments in (
        (_answer, (receiver, host)),
        (_announce, (plan, host, rng, clock)),
        (_describe, (described, host, rng.randint(600, 4000))),
    ):
        threading.Thread(target=target, args=arguments, daemon=True).start()


def _message(*lines: str) -> bytes:
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _answer(receiver: socket.socket, host: Host) -> None:
    while True:
        answer_once(receiver, host)


def answer_once(receiver: socket.socket, host: Host) -> None:
    """Waits for a datagram and answers it if it is a search.

    At once: many devices ignore MX, and as a reflector one that waits is no worse.
    """
    request, sender = receiver.recvfrom(2048)
    if not request.startswith(b"M-SEARCH"):
        return
    types = types_of(host) if b"ssdp:all" in request else ["upnp:rootdevice"]
    answers = [response(host.address, target, host.name) for target in types]
    if host.replies_from == "service":
        _send(receiver, answers, sender)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as fresh:
        _send(fresh, answers, sender)


def _send(sender: socket.socket, datagrams: list[bytes], address: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):  # the searcher's address may not exist
        for datagram in datagrams:
            sender.sendto(datagram, address)


def _announce(plan: Plan, host: Host, rng: random.Random, clock: Clock) -> None:
    """Announces the device, except while an attack sends to the group in its name."""
    group = (host.address, 0, SSDP_GROUP, SSDP_PORT, "udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        interface = socket.inet_aton(host.address)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
        while True:
            time.sleep(rng.uniform(1, 15))
            if any(claim.fits(*group) for claim in claims_at(plan, clock())):
                continue
            for target in types_of(host):
                sender.sendto(notify(host.address, target, host.name), (SSDP_GROUP, SSDP_PORT))
                time.sleep(rng.uniform(0, 0.02))


def _describe(server: socket.socket, host: Host, size: int) -> None:
    body = f"<root><device><UDN>uuid:{host.name}</UDN>".encode().ljust(size, b" ")
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    while True:
        connection, _ = server.accept()
        try:
            connection.settimeout(5)
            connection.recv(4096)
            connection.sendall(head + body)
        except OSError:
            pass
        finally:
            connection.close()
