"""UDP protocols whose servers answer a small request with more, and can be asked in any name.

Requests are those of the protocols' own specifications. For some the lab runs real servers
(`trainer.lab.services`); the others are answered here.
"""

import random
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

BIG_NAME = "big.lab.example.net"
"""A name with long texts in the lab's DNS."""


@dataclass(frozen=True)
class Protocol:
    """A protocol that is reflected.

    Attributes:
        service: that answers, a key of `trainer.lab.catalogue.SERVICES`.
        port: of the service.
        answers: most datagrams that one request brings.
        request: makes one.
    """

    service: str
    port: int
    answers: int
    request: Callable[[random.Random], bytes]


def dns_question(rng: random.Random, name: str, kind: int, answer_bytes: int = 0) -> bytes:
    """A DNS query for one name (RFC 1035): recursion desired, class IN.

    Args:
        rng: for the identifier.
        name: asked for.
        kind: of record.
        answer_bytes: how much the asker takes (RFC 6891, the option record of type 41); 0: no
            such record.
    """
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    more = int(answer_bytes > 0)
    header = struct.pack("!6H", rng.getrandbits(16), 0x0100, 1, 0, 0, more)
    option = struct.pack("!BHHIH", 0, 41, answer_bytes, 0, 0) if more else b""
    return header + labels + b"\0" + struct.pack("!HH", kind, 1) + option


def _dns(rng: random.Random) -> bytes:
    return dns_question(rng, BIG_NAME, rng.choice((16, 255)), 4096)


def _ntp(_: random.Random) -> bytes:
    """RFC 4330: version 4, mode 3 (client), the rest zero."""
    return bytes([0x23]) + bytes(47)


def _coap(rng: random.Random) -> bytes:
    """RFC 6690 section 4: GET of /.well-known/core, as RFC 7252 section 3 writes it."""
    head = struct.pack("!BBH", 0x44, 0x01, rng.getrandbits(16)) + rng.randbytes(4)
    return head + b"\xbb.well-known\x04core"


def _snmp(rng: random.Random) -> bytes:
    """RFC 3416 section 4.2.3: GetBulk of all under 1.3.6.1.2.1, community "public"."""
    names = _ber(0x30, _ber(0x30, _ber(0x06, b"\x2b\x06\x01\x02\x01") + _ber(0x05, b"")))
    numbers = _ber(0x02, rng.randbytes(3) + b"\1") + _ber(0x02, b"\0") + _ber(0x02, b"\x08\xca")
    body = _ber(0x02, b"\1") + _ber(0x04, b"public") + _ber(0xA5, numbers + names)
    return _ber(0x30, body)


def _ber(tag: int, content: bytes) -> bytes:
    """A BER element of less than 128 bytes."""
    return bytes([tag, len(content)]) + content


def _monlist(_: random.Random) -> bytes:
    """The request for recent clients of ntpd before 4.2.7p26 (CVE-2013-5211)."""
    return b"\x17\x00\x03\x2a" + bytes(4)


def _wsd(rng: random.Random) -> bytes:
    """WS-Discovery 1.1 section 5.2: a Probe for everything."""
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"><s:Header><a:Action>'
        "http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action><a:MessageID>urn:uuid:"
        f"{rng.randbytes(16).hex()}</a:MessageID></s:Header><s:Body/></s:Envelope>"
    ).encode()


def _chargen(_: random.Random) -> bytes:
    """RFC 864: any datagram is answered with characters."""
    return b"\0"


PROTOCOLS: dict[str, Protocol] = {
    "dns": Protocol("dns", 53, 1, _dns),
    "ntp": Protocol("ntp", 123, 1, _ntp),
    "coap": Protocol("coap", 5683, 1, _coap),
    "snmp": Protocol("snmp", 161, 1, _snmp),
    "monlist": Protocol("monlist", 123, 10, _monlist),
    "wsd": Protocol("wsd", 3702, 2, _wsd),
    "chargen": Protocol("chargen", 19, 1, _chargen),
}
"""By the words of udp_reflection's option `protocol`."""


def start_reflector(service: str, seed: str) -> None:
    """Starts a scripted server; it ends with the lab.

    Args:
        service: snmp, monlist, wsd or chargen.
        seed: decides how much this one answers, as real ones differ.
    """
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("", PROTOCOLS[service].port))
    rng = random.Random(seed)
    sizes = answer_sizes(service, rng)
    threading.Thread(target=_answer, args=(receiver, service, sizes), daemon=True).start()


def answer_sizes(service: str, rng: random.Random) -> list[int]:
    """Bytes of the datagrams that a scripted server answers a whole request with."""
    if service == "monlist":  # up to 6 entries of 72 bytes behind 8 of header
        full = rng.randint(0, PROTOCOLS["monlist"].answers - 1)
        return [440] * full + [8 + 72 * rng.randint(1, 6)]
    if service == "wsd":
        return [rng.randint(700, 1400) for _ in range(rng.randint(1, PROTOCOLS["wsd"].answers))]
    if service == "chargen":
        return [74 * rng.randint(1, 13)]
    return [rng.randint(300, 1400)]


def _answer(receiver: socket.socket, service: str, sizes: list[int]) -> None:
    while True:
        answer_once(receiver, service, sizes)


def answer_once(receiver: socket.socket, service: str, sizes: list[int]) -> None:
    """Waits for a datagram and answers it; a question for one value of SNMP with little."""
    request, sender = receiver.recvfrom(2048)
    if service == "snmp" and b"\xa5" not in request[:20]:
        sizes = [len(request) + 8]
    try:
        for size in sizes:
            receiver.sendto(request[:1] + bytes(size - 1), sender)
    except OSError:  # the asker's address may not exist
        return
